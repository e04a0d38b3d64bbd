"""Checks that were made to break the answer, or to have it tell what it must not; clocks that are set."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi import health as public
from otel_kpi.health import uptime
from otel_kpi.health.result import judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_kpi.health.declaration import Known
    from otel_kpi.health.registry import Health, Which

    Knows = Callable[[str], Known]

SECRET = "hunter2-hunter2"
ANSWERS: tuple[Which, ...] = ("full", "live", "ready", "instrumentation")


class _Nameless(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override] # it raises
        raise RuntimeError("no name")


class _NamelessError(Exception, metaclass=_Nameless):
    pass


def _fail_without_a_name() -> None:
    raise _NamelessError


def _fail_with_a_secret_for_a_name() -> None:
    raise type(f"{SECRET} at 10.1.2.3", (Exception,), {})


def _cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["itself"] = cycle
    return cycle


@pytest.mark.parametrize(
    "details",
    [
        {"n": 10**5000},
        {"n": -(10**30)},
        {"text": "\ud800", "\udfff": 1},
        _cycle(),
        {"of": {"\ud800": "\udfff"}},
    ],
    ids=["digits", "large", "surrogates", "cycle", "inside"],
)
def test_details_that_cannot_be_written_break_no_answer(
    health: Health, known: Knows, details: dict[str, Any]
) -> None:
    health.check("liar", lambda: public.Result("healthy", details))
    assert known("liar").status(time.monotonic()) == "healthy"
    for which in ANSWERS:
        assert json.loads(health.answer(which).body)


def test_details_do_not_pass_for_what_the_answer_says_itself() -> None:
    said: dict[str, Any] = dict.fromkeys(
        ("blockedBy", "dependencies", "lastStatus", "hangingSince", "critical"), "lie"
    )
    result = judged(public.Result("healthy", said))
    assert result is not None
    assert result.details == {}


class _Endless(dict[Any, Any]):
    def items(self) -> Iterator[tuple[int, str]]:  # type: ignore[override] # it never ends
        return ((number, "x") for number in count())


def test_details_take_no_longer_to_judge_however_much_they_are() -> None:
    began = time.process_time()
    judged(public.Result("healthy", _Endless()))
    judged(public.Result("healthy", {"text": "password=x " * 5_000_000}))
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("fail", [_fail_without_a_name, _fail_with_a_secret_for_a_name])
def test_an_error_whose_class_has_no_proper_name_ends_the_run_and_tells_nothing(
    health: Health, known: Knows, fail: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    health.check("search", fail)
    outcome = known("search").outcome
    assert outcome is not None
    assert (outcome.result.status, outcome.error) == ("unhealthy", "Unnamed")
    assert known("search").hanging_since is None
    assert SECRET not in caplog.text


def test_a_password_in_the_name_of_a_check_is_in_no_answer_and_no_line(
    health: Health, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"postgresql://reader:{SECRET}@db.internal/shop"
    health.check(address, lambda: False)
    health.check("orders", lambda: True, depends_on=[address])
    health.check(f"redis://:{SECRET}@cache", 7)
    health.check(f"https://{SECRET}@{'x' * 200}.example", lambda: True)
    health.start()
    deadline = time.monotonic() + 10
    while any(each.outcome is None for each in health.known()) and time.monotonic() < deadline:
        time.sleep(0.005)  # outcomes come from other threads
    for which in ANSWERS:
        assert SECRET not in health.answer(which).body.decode()
    orders = json.loads(health.answer("full").body)["services"]["orders"]
    assert len(orders["blockedBy"]) == 1
    assert SECRET not in caplog.text


def test_a_clock_that_is_set_changes_no_age_and_no_uptime(
    health: Health, known: Knows, monkeypatch: pytest.MonkeyPatch
) -> None:
    health.check("orders", lambda: True, interval=60)
    known("orders")
    before = json.loads(health.answer("full").body)
    real = time.time
    for step in (86_400.0, -86_400.0):
        with monkeypatch.context() as patched:
            patched.setattr(time, "time", lambda step=step: real() + step)
            full = json.loads(health.answer("full").body)
        assert full["status"] == before["status"]
        assert full["services"]["orders"]["status"] == "healthy"
        assert 0 <= full["services"]["orders"]["age"] < 60
        assert 0 <= full["uptime"]["seconds"] - before["uptime"]["seconds"] < 60
    assert abs(uptime.started() - (real() - before["uptime"]["seconds"])) < 60
