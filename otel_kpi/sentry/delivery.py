"""What becomes of an envelope between the error and the network: let through, held for a moment, counted.

Pure bookkeeping; the transport in `otel_kpi._compat` calls it. An envelope is what
https://develop.sentry.dev/sdk/data-model/envelopes/ says.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from otel_kpi.redaction import redact_value
from otel_kpi.sentry.links import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span

lost: Counter[str] = Counter()
"""Events that did not reach Sentry, by reason."""

HELD_FOR = 0.25
"""Seconds for which a logged exception waits for one that was raised from it."""

# What the SDK counts here too, although nobody misses it.
_CHOSEN = frozenset({"event_processor", "before_send", "sample_rate"})
# Traces, metrics, logs and sessions leave by OTLP or not at all; an attachment is a file that nobody has looked into.
_ITEMS = frozenset({"event", "client_report", "check_in"})
_WAITING = 256  # more than the SDK's queue holds


def count_lost(reason: str, quantity: int) -> None:
    """Count error events that will not arrive, except those that were dropped on purpose."""
    if reason not in _CHOSEN:
        lost[reason] += quantity


class Held:
    """Events that could still be taken back.

    A handler that logs an exception and raises another one from it is one error: the second event shows both.
    """

    def __init__(self, seconds: float = HELD_FOR) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._waiting: dict[str, tuple[float, Span]] = {}
        self._withdrawn: dict[str, None] = {}

    def hold(self, event_id: str, span: Span) -> None:
        """Keep an event back; `span` carries its id."""
        with self._changed:
            _make_room(self._waiting)
            self._waiting[event_id] = (time.monotonic() + self._seconds, span)

    def withdraw(self, event_id: str) -> Span | None:
        """Take an event back; None when it was not held or has left."""
        with self._changed:
            found = self._waiting.pop(event_id, None)
            if found is None:
                return None
            _make_room(self._withdrawn)
            self._withdrawn[event_id] = None
            self._changed.notify_all()
            return found[1]

    def wait(self, event_id: str) -> bool:
        """Wait until an event is due, in the thread that sends; answers whether it is to be sent."""
        with self._changed:
            while (found := self._waiting.get(event_id)) is not None:
                left = found[0] - time.monotonic()
                if left <= 0:
                    del self._waiting[event_id]
                else:
                    self._changed.wait(left)
            withdrawn = event_id in self._withdrawn
            self._withdrawn.pop(event_id, None)
            return not withdrawn

    def hurry(self) -> None:
        """Make everything due."""
        with self._changed:
            for event_id, (_, span) in self._waiting.items():
                self._waiting[event_id] = (0.0, span)
            self._changed.notify_all()


def _make_room(entries: dict[str, Any]) -> None:
    while len(entries) >= _WAITING:
        del entries[next(iter(entries))]


class Gate:
    """Decides about each envelope of a client that we made.

    Args:
        items: Kinds of items that may leave beside events.
        refused: Called with the kind of an item that is dropped.
        note: Called with the id of an event that is sent, in the context where it was captured.
    """

    def __init__(
        self, items: frozenset[str], refused: Callable[[str], None], note: Callable[[str], Span]
    ) -> None:
        self._items = _ITEMS | items
        self._refused = refused
        self._note = note
        self._held = Held()

    def enter(self, envelope: Any) -> bool:
        """Take from an envelope what may not leave; answers whether something is left of it."""
        kept: list[Any] = []
        for item in envelope.items:
            if item.type in self._items:
                if item.type == "profile_chunk":
                    item.payload.json = redact_value("profile", item.payload.json)
                kept.append(item)
            else:
                self._refused(str(item.type))
        envelope.items[:] = kept
        for item in kept:
            event = item.payload.json if item.type == "event" else None
            if isinstance(event, dict) and event.get("event_id"):
                for part in event.pop(PARTS, ()):
                    self._take_back(part, event, envelope)
                span = self._note(str(event["event_id"]))
                if _may_be_a_part(event):
                    self._held.hold(str(event["event_id"]), span)
        return bool(kept)

    def _take_back(self, part: str, event: dict[str, Any], envelope: Any) -> None:
        """Take back a part of an event that is sent now, after everything that could have dropped it."""
        span = self._held.withdraw(part)
        if span is not None and span.get_span_context().is_valid and not span.is_recording():
            # An ended span tells the id of what was taken back, so this event goes under that id.
            event["event_id"] = envelope.headers["event_id"] = part

    def leave(self, envelope: Any) -> bool:
        """Wait for an envelope's time, in the thread that sends; answers whether it is to be sent."""
        event_id = envelope.headers.get("event_id")
        return event_id is None or self._held.wait(str(event_id))

    def hurry(self) -> None:
        """Let nothing wait any longer: the process wants everything sent."""
        self._held.hurry()

    def after_fork(self) -> None:
        """Begin anew in a forked child, whose parent sends what was held."""
        self._held = Held()


def _may_be_a_part(event: dict[str, Any]) -> bool:
    """Whether this is an exception that was logged, of which more may come."""
    values = (event.get("exception") or {}).get("values") or ()
    mechanism = (values[-1].get("mechanism") or {}) if values else {}
    return mechanism.get("type") == "logging"
