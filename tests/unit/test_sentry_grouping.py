"""Which errors are one issue."""

from __future__ import annotations

import time
from typing import Any

import pytest

from otel_kpi.sentry.grouping import fingerprint, without_ids


def error(text: str, *, kind: str = "ValueError", function: str = "pay", causes: tuple[str, ...] = ()) -> Any:
    frames = [
        {"module": "django.core", "function": "run", "in_app": False},
        {"module": "shop.orders", "function": function, "in_app": True},
        {"module": "json.decoder", "function": "decode", "in_app": False},
    ]
    values: list[Any] = [{"type": cause, "value": "of the cause"} for cause in causes]
    return {
        "exception": {"values": [*values, {"type": kind, "value": text, "stacktrace": {"frames": frames}}]}
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 not found", "order 4711 not found"),
        (
            "order 3f2b8a4e-92fd-4d4b-9a50-3f2c1b7e8d10 lost",
            "order 00000000-92fd-4d4b-9a50-3f2c1b7e8d11 lost",
        ),
        ("no route to 10.0.0.1:5432", "no route to 192.168.100.254:6379"),
        ("no route to 2001:db8::1", "no route to fe80::1ff:fe23:4567:890a"),
        ("mail to bob@example.com bounced", "mail to alice.b+x@mail.example.org bounced"),
        ("<Cart object at 0x7f3a2c1d9e80> is empty", "<Cart object at 0x55d0c0ffee00> is empty"),
        ("run of 2026-11-21T05:12:01.123Z failed", "run of 2025-01-02T15:00:00+01:00 failed"),
        ("took 1.25 s", "took 31 s"),
        ("'ord_8f3kQ2zL' is gone", "'ord_99ab1cZZ' is gone"),
        ("digest 9e107d9d372bb6826bd81d3542a419d6", "digest e4d909c290d0fb1ca068ffaddf22cbd0"),
    ],
)
def test_messages_that_differ_in_ids_numbers_and_addresses_are_alike(one: str, other: str) -> None:
    assert without_ids(one) == without_ids(other)
    assert fingerprint(error(one)) == fingerprint(error(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (error("not found"), error("not found", kind="KeyError")),
        (error("card declined"), error("card expired")),
        (error("not found"), error("not found", function="refund")),
        (error("failed", causes=("KeyError",)), error("failed", causes=("OSError",))),
        (error("failed"), {"logger": "shop", "logentry": {"message": "failed"}}),
        ({"logger": "shop", "message": "failed"}, {"logger": "stock", "message": "failed"}),
        (error("user 'alice'"), error("user 'bob'")),
    ],
)
def test_different_errors_stay_different(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_lines_of_a_log_are_grouped_by_their_template() -> None:
    def line(who: str) -> Any:
        entry = {"message": "%s is late", "params": [who], "formatted": f"{who} is late"}
        return {"logger": "shop", "logentry": entry}

    assert fingerprint(line("alice")) == fingerprint(line("bob"))


def test_fingerprint_holds_no_secret_and_nothing_without_a_message() -> None:
    found = fingerprint(error("cannot log in with password=hunter2"))
    assert "hunter2" not in repr(found)
    assert fingerprint({}) is None
    assert fingerprint({"exception": None, "message": None}) is None
    assert fingerprint({"exception": {"values": [{"type": None}]}}) == ["None", "", ""]


@pytest.mark.parametrize("text", ["a-" * 50_000, "1:" * 50_000, "a@" * 50_000, "0" * 100_000, "1." * 50_000])
def test_no_message_takes_long(text: str) -> None:
    started = time.process_time()
    without_ids(text)
    assert time.process_time() - started < 0.05
