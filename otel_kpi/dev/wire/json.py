"""The body of an OTLP request as JSON, or a line of a file: the Collector's file exporter writes the same."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.telemetry import (
    Event,
    Group,
    Link,
    LogRecord,
    MalformedError,
    Request,
    Resource,
    Scope,
    Span,
)
from otel_kpi.dev.wire.accepted import (
    SPAN_ID,
    TRACE_ID,
    Counted,
    context,
    dropped,
    event_kept,
    link_kept,
    log_problem,
    severity,
    span_problem,
)
from otel_kpi.dev.wire.json_fields import (
    Message,
    document,
    enumeration,
    identifier,
    items,
    members,
    string,
    uint32,
    uint64,
)
from otel_kpi.dev.wire.json_metrics import metric
from otel_kpi.dev.wire.json_values import any_value, attributes, known
from otel_kpi.dev.wire.values import attribute, service_of

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Signal

NOUNS: Final[dict[Signal, tuple[str, str, str]]] = {
    "traces": ("resourceSpans", "scopeSpans", "spans"),
    "metrics": ("resourceMetrics", "scopeMetrics", "metrics"),
    "logs": ("resourceLogs", "scopeLogs", "logRecords"),
}
"""What the three levels of a request are called."""

_KINDS: Final = {
    f"SPAN_KIND_{name}": number
    for number, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_STATUSES: Final = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_SEVERITIES: Final = {
    f"SEVERITY_NUMBER_{level}{step or ''}": 4 * place + (step or 1)
    for place, level in enumerate(_LEVELS)
    for step in (0, 2, 3, 4)
}


class _Reader:
    """Reads one request, and knows where it is for the text of an error."""

    def __init__(self, signal: Signal, size: int) -> None:
        self.request = Request[Any](signal, [], size=size)
        self._counted = Counted(self.request)
        self._nouns = NOUNS[signal]
        self._places = [-1, -1, -1]
        self._read = {"traces": self._span, "metrics": self._metric, "logs": self._log}[signal]

    def path(self) -> str:
        """The place, as one would write it in code."""
        places = zip(self._nouns, self._places, strict=True)
        return ".".join([f"{name}[{number}]" for name, number in places if number >= 0]) or "the request"

    def read(self, message: Message) -> None:
        """The whole request."""
        of_resource, of_scope, of_item = self._nouns
        now = time.time_ns()
        for place, found in enumerate(items(message, of_resource)):
            self._places = [place, -1, -1]
            each = members(found)
            resource = _resource(each)
            for inner, scoped in enumerate(items(each, of_scope)):
                self._places = [place, inner, -1]
                group = members(scoped)
                kept: list[Any] = []
                scope = _scope(group)
                for number, item in enumerate(items(group, of_item)):
                    self._places[2] = number
                    self._read(kept, members(item), now)
                if kept:
                    self.request.groups.append(Group(resource, scope, kept))

    def _span(self, kept: list[Any], message: Message, _now: int) -> None:
        ids: list[bytes] = []
        for name, size in (("traceId", TRACE_ID), ("spanId", SPAN_ID), ("parentSpanId", SPAN_ID)):
            found = identifier(message, name)
            if found is None:
                self._counted.reject(
                    f"span {string(message, 'name')[:80]!r}: {_not_hexadecimal(message, name, size)}"
                )
                return
            ids.append(found)
        item = _span(message, *ids)
        if problem := span_problem(item):
            self._counted.reject(problem)
        elif self._counted.room_for(item):
            kept.append(item)

    def _log(self, kept: list[Any], message: Message, now: int) -> None:
        item = _log(message)
        if problem := log_problem(item, now):
            self._counted.reject(problem)
        elif self._counted.room_for(item):
            kept.append(item)

    def _metric(self, kept: list[Any], message: Message, _now: int) -> None:
        item, rejected, problem = metric(message)
        if rejected:
            self._counted.reject(problem, rejected)
        if item is not None and item.points and self._counted.room(len(item.points)):
            kept.append(item)


def decode(signal: Signal, body: bytes) -> Request[Any]:
    """What a request says.

    Args:
        signal: Where it was sent to.
        body: Decompressed.

    Raises:
        MalformedError: It is no such message.
    """
    message = document(body)
    if NOUNS[signal][0] not in message:
        sent = signal_of(message)
        if sent is not None:
            raise MalformedError(
                f"this is a request of {sent} ({NOUNS[sent][0]}), sent to where {signal} belong"
            )
    return _decoded(signal, message, len(body))


def decode_line(line: bytes) -> Request[Any]:
    """What a line of a file says, whichever signal it is of.

    Raises:
        MalformedError: It is no request.
    """
    message = document(line)
    signal = signal_of(message)
    if signal is None:
        expected = ", ".join(nouns[0] for nouns in NOUNS.values())
        raise MalformedError(f"it has none of {expected}")
    return _decoded(signal, message, len(line))


def signal_of(message: Message) -> Signal | None:
    """Of which signal a request is; None where it does not say."""
    return next((signal for signal, nouns in NOUNS.items() if nouns[0] in message), None)


def _decoded(signal: Signal, message: Message, size: int) -> Request[Any]:
    reader = _Reader(signal, size)
    known.begin()
    try:
        reader.read(message)
    except MalformedError as error:
        raise MalformedError(f"{reader.path()}: {error}") from None
    return reader.request


def _not_hexadecimal(message: Message, name: str, size: int) -> str:
    value = string(message, name)
    base64 = len(value.rstrip("=")) == -(-size * 4 // 3)
    return f"{name} is not hexadecimal: {value[:40]!r}" + (
        " (OTLP/JSON has no base64 here)" if base64 else ""
    )


def _resource(message: Message) -> Resource:
    found = attributes(members(message.get("resource") or {}))
    return Resource(found, string(message, "schemaUrl"), service_of(found))


def _scope(message: Message) -> Scope:
    scope = members(message.get("scope") or {})
    return Scope(
        string(scope, "name"), string(scope, "version"), attributes(scope), string(message, "schemaUrl")
    )


def _span(message: Message, trace_id: bytes, span_id: bytes, parent_id: bytes) -> Span:
    events = [_event(members(each)) for each in items(message, "events")]
    links = [_link(members(each)) for each in items(message, "links")]
    kept_events, kept_links = (
        [each for each in events if event_kept(each)],
        [each for each in links if link_kept(each)],
    )
    status = members(message.get("status") or {})
    return Span(
        trace_id,
        span_id,
        parent_id,
        string(message, "name"),
        enumeration(message, "kind", _KINDS),
        uint64(message, "startTimeUnixNano"),
        uint64(message, "endTimeUnixNano"),
        attributes(message),
        kept_events,
        kept_links,
        enumeration(status, "code", _STATUSES),
        string(status, "message"),
        string(message, "traceState"),
        uint32(message, "flags"),
        (
            uint32(message, "droppedAttributesCount"),
            dropped(uint32(message, "droppedEventsCount"), len(events) - len(kept_events)),
            dropped(uint32(message, "droppedLinksCount"), len(links) - len(kept_links)),
        ),
    )


def _event(message: Message) -> Event:
    return Event(
        string(message, "name"),
        uint64(message, "timeUnixNano"),
        attributes(message),
        uint32(message, "droppedAttributesCount"),
    )


def _link(message: Message) -> Link:
    return Link(
        identifier(message, "traceId") or b"",
        identifier(message, "spanId") or b"",
        attributes(message),
        string(message, "traceState"),
        uint32(message, "flags"),
        uint32(message, "droppedAttributesCount"),
    )


def _log(message: Message) -> LogRecord:
    trace_id, span_id = context(identifier(message, "traceId") or b"", identifier(message, "spanId") or b"")
    record = LogRecord(
        uint64(message, "timeUnixNano"),
        uint64(message, "observedTimeUnixNano"),
        severity(enumeration(message, "severityNumber", _SEVERITIES)),
        string(message, "severityText"),
        attributes=attributes(message),
        trace_id=trace_id,
        span_id=span_id,
        event_name=string(message, "eventName"),
        flags=uint32(message, "flags"),
        dropped=uint32(message, "droppedAttributesCount"),
    )
    if message.get("body") is not None:
        record.body = attribute("", any_value(message["body"]))
    return record
