"""The body of an OTLP request as protobuf, without protobuf: applications and their pinned versions of it stay unharmed.

What is made of a body is what protobuf's own decoder would, but for this: a string that is no UTF-8 keeps what is, with U+FFFD
for the rest; values that are nested beyond `values.MAX_DEPTH` are cut there, not refused; fields that nobody shows are not
looked into.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from otel_kpi.dev.telemetry import Group, MalformedError, Request, Resource, Scope
from otel_kpi.dev.wire.accepted import Counted, log_problem, span_problem
from otel_kpi.dev.wire.protobuf_fields import fields, text
from otel_kpi.dev.wire.protobuf_logs import log_record
from otel_kpi.dev.wire.protobuf_metrics import metric
from otel_kpi.dev.wire.protobuf_spans import span
from otel_kpi.dev.wire.protobuf_values import found, known
from otel_kpi.dev.wire.values import service_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_kpi.dev.telemetry import Attribute, Signal

Owner = TypeVar("Owner", Resource, Scope)

_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A
_MOST: Final = 1_000
"""Resources and scopes that are remembered: a machine has some dozens."""
_LONGEST: Final = 16_384
"""Bytes of one that is remembered."""

_NOUNS: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("spans", "spans"),
    "metrics": ("metrics", "metrics"),
    "logs": ("logs", "log_records"),
}

_resources: dict[tuple[bytes, str], Resource] = {}
_scopes: dict[tuple[bytes, str], Scope] = {}


class _Reader:
    """Reads one request, and knows where it is for the text of an error."""

    def __init__(self, signal: Signal, body: bytes) -> None:
        self.request = Request[Any](signal, [], size=len(body))
        self._counted = Counted(self.request)
        self._resource = self._scope = self._item = -1
        self._read = {"traces": self._span, "metrics": self._metric, "logs": self._log}[signal]

    def path(self) -> str:
        """The place, as one would write it in code."""
        noun, items = _NOUNS[self.request.signal]
        names = (f"resource_{noun}", self._resource), (f"scope_{noun}", self._scope), (items, self._item)
        return ".".join([f"{name}[{number}]" for name, number in names if number >= 0]) or "the request"

    def read(self, data: bytes) -> None:
        """The whole request."""
        for tag, start, stop in fields(data, 0, len(data)):
            if tag == _FIRST:
                self._resource += 1
                self._of_resource(data, start, stop)
                self._scope = -1

    def _of_resource(self, data: bytes, start: int, stop: int) -> None:
        """A `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`: they have the same fields."""
        parts = bytearray()
        found: list[tuple[Scope, list[Any]]] = []
        schema_url = ""
        for tag, first, last in fields(data, start, stop):
            if tag == _SECOND:
                self._scope += 1
                found.extend(self._of_scope(data, first, last))
                self._item = -1
            elif tag == _FIRST:
                parts += data[first:last]
            elif tag == _THIRD:
                schema_url = text(data, first, last)
        resource = _remembered(_resources, _read_resource, parts, schema_url)
        self.request.groups += [Group(resource, scope, items) for scope, items in found]

    def _of_scope(self, data: bytes, start: int, stop: int) -> Sequence[tuple[Scope, list[Any]]]:
        """A `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`; nothing where nothing of it is kept."""
        parts = bytearray()
        items: list[Any] = []
        schema_url = ""
        read = self._read
        for tag, first, last in fields(data, start, stop):
            if tag == _SECOND:
                self._item += 1
                read(items, data, first, last)
            elif tag == _FIRST:
                parts += data[first:last]
            elif tag == _THIRD:
                schema_url = text(data, first, last)
        scope = _remembered(_scopes, _read_scope, parts, schema_url)
        return ((scope, items),) if items else ()

    def _span(self, items: list[Any], data: bytes, start: int, stop: int) -> None:
        item = span(data, start, stop)
        if problem := span_problem(item):
            self._counted.reject(problem)
        elif self._counted.room_for(item):
            items.append(item)

    def _log(self, items: list[Any], data: bytes, start: int, stop: int) -> None:
        item = log_record(data, start, stop)
        if problem := log_problem(item, time.time_ns()):
            self._counted.reject(problem)
        elif self._counted.room_for(item):
            items.append(item)

    def _metric(self, items: list[Any], data: bytes, start: int, stop: int) -> None:
        item, rejected, problem = metric(data, start, stop)
        if rejected:
            self._counted.reject(problem, rejected)
        if item is not None and item.points and self._counted.room(len(item.points)):
            items.append(item)


def decode(signal: Signal, body: bytes) -> Request[Any]:
    """What a request says.

    Resources, scopes and attributes that are equal may be the same object, in several requests: nobody may change them.

    Args:
        signal: Where it was sent to.
        body: Decompressed.

    Raises:
        MalformedError: It is no such message.
    """
    reader = _Reader(signal, body)
    known.begin()
    try:
        reader.read(body)
    except MalformedError as error:
        raise MalformedError(f"{reader.path()}: {error}") from None
    except (IndexError, struct.error):
        raise MalformedError(
            f"{reader.path()}: the body ends in the middle of it, after {len(body)} bytes"
        ) from None
    return reader.request


def _remembered(
    known: dict[tuple[bytes, str], Owner],
    read: Callable[[bytes, str], Owner],
    parts: bytearray,
    schema_url: str,
) -> Owner:
    raw = bytes(parts)  # of several for one field protobuf makes one: what they say one after another
    owner = known.get((raw, schema_url))
    if owner is None:
        owner = read(raw, schema_url)
        if len(raw) <= _LONGEST:
            if len(known) >= _MOST:
                known.clear()
            known[raw, schema_url] = owner
    return owner


def _read_resource(raw: bytes, schema_url: str) -> Resource:
    carried = tuple(
        [found(raw, first, last) for tag, first, last in fields(raw, 0, len(raw)) if tag == _FIRST]
    )
    return Resource(carried, schema_url, service_of(carried))


def _read_scope(raw: bytes, schema_url: str) -> Scope:
    scope = Scope(schema_url=schema_url)
    carried: list[Attribute] = []
    for tag, first, last in fields(raw, 0, len(raw)):
        if tag == _FIRST:
            scope.name = text(raw, first, last)
        elif tag == _SECOND:
            scope.version = text(raw, first, last)
        elif tag == _THIRD:
            carried.append(found(raw, first, last))
    scope.attributes = tuple(carried)
    return scope
