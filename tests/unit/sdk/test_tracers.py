from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource

from otel_kpi import _compat
from otel_kpi.sdk import tracers
from otel_kpi.sdk.tracers import RememberingTracerProvider

if TYPE_CHECKING:
    import pytest


def test_asking_for_a_tracer_again_leaves_the_filters_for_warnings_alone() -> None:
    provider = RememberingTracerProvider(shutdown_on_exit=False)
    first = provider.get_tracer("driver", "1.0")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        before = list(warnings.filters)
        assert provider.get_tracer("driver", "1.0") is first
        assert list(warnings.filters) == before


def test_tracers_are_told_apart_by_all_that_names_them() -> None:
    provider = RememberingTracerProvider(shutdown_on_exit=False)
    asked = {
        id(provider.get_tracer("a")),
        id(provider.get_tracer("b")),
        id(provider.get_tracer("a", "1")),
        id(provider.get_tracer("a", "1", "https://schema")),
        id(provider.get_tracer("a", "1", None, {"key": "value"})),
    }
    assert len(asked) == 5


def test_remembered_tracer_has_the_resource_of_its_provider() -> None:
    """After a fork, and after a second `configure()`."""
    provider = RememberingTracerProvider(shutdown_on_exit=False, resource=Resource({"app": "a"}))
    tracer = provider.get_tracer("driver")
    _compat.update_resource(Resource({"app": "b"}), provider, None, None)
    assert provider.get_tracer("driver") is tracer
    with tracer.start_as_current_span("span") as span:
        assert getattr(span, "resource").attributes["app"] == "b"  # noqa: B009 - the API's span has none


def test_names_without_bound_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracers, "_MOST", 3)
    provider = RememberingTracerProvider(shutdown_on_exit=False)
    for number in range(10):
        provider.get_tracer(f"made-{number}")
    assert len(provider._remembered) == 3
