"""The plan is worth comparing with: complete, repeatable, and the same after a round trip."""

from __future__ import annotations

import pytest
from storefront.ledger import Ledger, differences
from storefront.traffic import script


@pytest.mark.parametrize(("rate", "duration"), [(50, 6), (50, 60), (20, 15), (25, 4)])
def test_every_kind_of_request_is_in_the_script_and_their_number_is_exact(rate: int, duration: int) -> None:
    requests = script.requests(rate, duration)
    assert len(requests) == rate * duration
    assert {request.kind for request in requests} == {*script.KINDS, script.IMPORT}


def test_same_seed_gives_the_same_requests() -> None:
    first, second, other = (script.requests(50, 6, seed) for seed in (1, 1, 2))
    assert [(r.kind.key, r.path, r.body) for r in first] == [(r.kind.key, r.path, r.body) for r in second]
    assert [r.path for r in first] != [r.path for r in other]


def test_plan_survives_json_and_a_difference_names_key_and_numbers() -> None:
    plan = script.plan(script.requests(50, 6))
    read = Ledger.from_json(plan.to_json())
    assert not differences(plan, read)
    read.requests["storefront-shop GET /products 200"] -= 1
    wanted = plan.requests["storefront-shop GET /products 200"]
    assert differences(plan, read) == [
        f"requests: storefront-shop GET /products 200: expected {wanted}, got {wanted - 1}"
    ]
