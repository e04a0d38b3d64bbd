"""What is made of what a check returns."""

from __future__ import annotations

from typing import Any

import pytest

from otel_kpi.health.result import Result, judged


class Liar(str):
    """A text that says that it equals everything."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize(
    ("returned", "status"),
    [
        (None, "healthy"),
        (True, "healthy"),
        (False, "unhealthy"),
        ("degraded", "degraded"),
        (Result("unhealthy"), "unhealthy"),
    ],
)
def test_a_check_says_its_status_in_one_of_five_ways(returned: object, status: str) -> None:
    judgement = judged(returned)
    assert judgement is not None
    assert judgement.status == status


@pytest.mark.parametrize(
    "returned",
    [
        1,
        0,
        1.0,
        "ok",
        "HEALTHY",
        b"PONG",
        [],
        {"status": "healthy"},
        object(),
        Liar("x"),
        float("nan"),
        Result("fine"),  # type: ignore[arg-type] # what an untyped program may do
        Result(Liar("x")),  # type: ignore[arg-type] # the same
        Result(None),  # type: ignore[arg-type] # the same
    ],
)
def test_what_is_no_result_is_not_believed(returned: object) -> None:
    assert judged(returned) is None


def test_details_are_few_short_finite_and_without_secrets() -> None:
    class Hostile:
        def items(self) -> Any:
            raise LookupError

    many = judged(Result("healthy", {f"n{number}": number for number in range(100)}))
    assert many is not None
    assert len(many.details) == 10
    shown = judged(
        Result(
            "healthy",
            {
                "text": "x" * 1000,
                "nan": float("nan"),
                "object": object(),  # type: ignore[dict-item] # what an untyped program may do
                "password": "hunter2",
                "where": "postgresql://clerk:hunter2@db/shop",
                "status": "healthy",
                "age": 3,
            },
        )
    )
    assert shown is not None
    assert len(str(shown.details["text"])) == 200
    assert "hunter2" not in str(shown.details)
    assert set(shown.details) == {"text", "password", "where"}
    hostile: Any = Hostile()
    refused = judged(Result("degraded", hostile))
    assert refused is not None
    assert (refused.status, dict(refused.details)) == ("degraded", {})
