"""What a few seeds try every day, with thousands of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from unit.dev.wire import test_json, test_otlp_json, test_protobuf

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.dev.telemetry import Signal

SEEDS = 2_000


@pytest.mark.proof
@pytest.mark.parametrize("signal", test_protobuf.SIGNALS)
@pytest.mark.parametrize(
    ("fuzz", "more"),
    [
        (test_protobuf.test_any_message_means_what_protobuf_says, {}),
        (test_protobuf.test_in_any_order_in_parts_and_with_unknown_fields_it_means_the_same_to_both, {}),
        (test_protobuf.test_a_damaged_body_is_refused_or_means_what_protobuf_says, {}),
        (test_json.test_any_message_means_what_it_means_as_protobuf, {"snake": True, "named": False}),
        (test_json.test_any_message_means_what_it_means_as_protobuf, {"snake": False, "named": True}),
        (test_json.test_what_is_damaged_is_refused_and_nothing_else_happens, {}),
        (test_otlp_json.test_any_request_comes_back_as_it_was, {}),
    ],
)
def test_thousands_of_seeds_find_nothing(
    fuzz: Callable[..., None], signal: Signal, more: dict[str, Any]
) -> None:
    inner = fuzz.hypothesis.inner_test  # pyright: ignore[reportFunctionMemberAccess] - what `given` has wrapped
    for seed in range(SEEDS):
        inner(signal=signal, seed=seed, **more)
