"""What becomes of an envelope between the error and the network."""

from __future__ import annotations

import threading
import time
from typing import Any

from opentelemetry.trace import INVALID_SPAN
from sentry_sdk.attachments import Attachment
from sentry_sdk.envelope import Envelope

from otel_kpi.sentry.delivery import Gate, Held


def envelope(event_id: str, mechanism: str | None = None) -> Envelope:
    made = Envelope(headers={"event_id": event_id})
    event: Any = {"event_id": event_id}
    if mechanism is not None:
        event["exception"] = {"values": [{"type": "E", "mechanism": {"type": mechanism}}]}
    made.add_event(event)
    return made


def gate(refused: list[str] | None = None, noted: list[str] | None = None) -> Gate:
    def note(event_id: str) -> Any:
        if noted is not None:
            noted.append(event_id)
        return INVALID_SPAN

    return Gate(frozenset(), (refused if refused is not None else []).append, note)


def test_only_events_leave_and_each_other_item_is_named() -> None:
    refused: list[str] = []
    noted: list[str] = []
    made = envelope("1" * 32)
    made.add_item(Attachment(bytes=b"S1", filename="secret.txt").to_envelope_item())
    made.add_session({"sid": "1"})
    assert gate(refused, noted).enter(made)
    assert [item.type for item in made.items] == ["event"]
    assert refused == ["attachment", "session"]
    assert noted == ["1" * 32]
    made.items.clear()
    made.add_transaction({"type": "transaction"})
    assert not gate(refused).enter(made)


def test_logged_exception_waits_and_anything_else_does_not() -> None:
    door = gate()
    first, second = envelope("1" * 32, "logging"), envelope("2" * 32, "asgi")
    assert door.enter(first)
    assert door.enter(second)
    started = time.monotonic()
    assert door.leave(second)
    assert time.monotonic() - started < 0.1
    assert door.leave(first)
    assert time.monotonic() - started >= 0.2


def test_withdrawn_event_is_not_sent_and_can_be_withdrawn_once() -> None:
    door = gate()
    made = envelope("1" * 32, "logging")
    door.enter(made)
    assert door.withdraw("1" * 32) is INVALID_SPAN
    assert door.withdraw("1" * 32) is None
    assert not door.leave(made)


def test_flush_waits_for_nothing_that_is_held() -> None:
    held = Held(60.0)
    held.hold("1", INVALID_SPAN)
    answers: list[bool] = []
    sender = threading.Thread(target=lambda: answers.append(held.wait("1")))
    sender.start()
    held.hurry()
    sender.join(5)
    assert answers == [True]


def test_flood_of_held_events_is_bounded_and_none_of_them_is_lost() -> None:
    held = Held(60.0)
    for number in range(1000):
        held.hold(str(number), INVALID_SPAN)
        held.withdraw(str(number)) if number % 2 else None
    assert len(held._waiting) + len(held._withdrawn) < 600
    assert held.wait("0")
