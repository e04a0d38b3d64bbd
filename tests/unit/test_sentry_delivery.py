"""What becomes of an envelope between the error and the network."""

from __future__ import annotations

import threading
import time
from typing import Any
from unittest.mock import ANY

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN
from sentry_sdk.attachments import Attachment
from sentry_sdk.envelope import Envelope

from otel_kpi.sentry.delivery import Gate, Held
from otel_kpi.sentry.links import PARTS


def envelope(event_id: str, mechanism: str | None = None) -> Envelope:
    made = Envelope(headers={"event_id": event_id})
    event: Any = {"event_id": event_id}
    if mechanism is not None:
        event["exception"] = {"values": [{"type": "E", "mechanism": {"type": mechanism}}]}
    made.add_event(event)
    return made


def json_of(made: Envelope) -> dict[str, Any]:
    event: Any = made.items[0].payload.json
    return event


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


def test_part_of_a_later_event_is_not_sent_and_one_that_is_late_is() -> None:
    door = gate()
    part, whole = envelope("1" * 32, "logging"), envelope("2" * 32, "asgi")
    json_of(whole)[PARTS] = ["1" * 32, "3" * 32]
    door.enter(part)
    door.enter(whole)
    assert not door.leave(part)
    assert door.leave(whole)
    assert json_of(whole) == {"event_id": "2" * 32, "exception": {"values": [ANY]}}
    late = envelope("4" * 32, "logging")
    door.enter(late)
    assert door.leave(late)


def test_event_takes_the_id_that_an_ended_span_tells() -> None:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("ended")
    door = Gate(frozenset(), lambda _: None, lambda _: span)
    door.enter(envelope("1" * 32, "logging"))
    span.end()
    whole = envelope("2" * 32, "asgi")
    json_of(whole)[PARTS] = ["1" * 32]
    door.enter(whole)
    assert whole.headers["event_id"] == json_of(whole)["event_id"] == "1" * 32


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
