"""The body of an OTLP request as protobuf, without protobuf: applications and their pinned versions of it stay unharmed.

What is made of a body is what protobuf's own decoder would, but for this: a string that is no UTF-8 keeps what is, with U+FFFD
for the rest; values that are nested beyond `values.MAX_DEPTH` are cut there, not refused; fields that nobody shows are not
looked into.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, TypeVar

from otel_kpi.dev.telemetry import Group, MalformedError, Request, Resource, Scope
from otel_kpi.dev.wire.accepted import span_problem
from otel_kpi.dev.wire.protobuf_fields import fields, text
from otel_kpi.dev.wire.protobuf_spans import span
from otel_kpi.dev.wire.protobuf_values import attributes
from otel_kpi.dev.wire.values import service_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_kpi.dev.telemetry import Signal

    Range = tuple[int, int]

Owner = TypeVar("Owner", Resource, Scope)

_FIRST, _SECOND, _THIRD = 0x0A, 0x12, 0x1A
_MOST: Final = 1_000
"""Resources and scopes that are remembered: a machine has some dozens."""
_LONGEST: Final = 16_384
"""Bytes of one that is remembered."""

_resources: dict[tuple[bytes, str], Resource] = {}
_scopes: dict[tuple[bytes, str], Scope] = {}


class _Place:
    """Where in a request the decoder is, for the text of an error."""

    __slots__ = ("item", "resource", "scope")

    def __init__(self) -> None:
        self.resource = self.scope = self.item = -1

    def path(self, signal: Signal) -> str:
        """As one would write it in code."""
        noun, items = _NOUNS[signal]
        names = (f"resource_{noun}", self.resource), (f"scope_{noun}", self.scope), (items, self.item)
        return ".".join([f"{name}[{number}]" for name, number in names if number >= 0]) or "the request"


def decode(signal: Signal, body: bytes) -> Request[Any]:
    """What a request says.

    Resources and scopes that are equal may be the same object, in several requests: nobody may change them.

    Args:
        signal: Where it was sent to.
        body: Decompressed.

    Raises:
        MalformedError: It is no such message.
    """
    request = Request[Any](signal, [], size=len(body))
    place = _Place()
    try:
        for tag, start, stop in fields(body, 0, len(body)):
            if tag == _FIRST:
                place.resource += 1
                _resource(request, body, start, stop, place)
                place.scope = place.item = -1
    except MalformedError as error:
        raise MalformedError(f"{place.path(signal)}: {error}") from None
    except (IndexError, struct.error):
        raise MalformedError(
            f"{place.path(signal)}: the body ends after {len(body)} bytes in the middle of it"
        ) from None
    return request


def _resource(request: Request[Any], data: bytes, start: int, stop: int, place: _Place) -> None:
    """A `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`: they have the same fields."""
    ranges: list[Range] = []
    scopes: list[Range] = []
    schema_url = ""
    for tag, first, last in fields(data, start, stop):
        if tag == _FIRST:
            ranges.append((first, last))
        elif tag == _SECOND:
            scopes.append((first, last))
        elif tag == _THIRD:
            schema_url = text(data, first, last)
    resource = _remembered(_resources, _read_resource, data, ranges, schema_url)
    for number, (first, last) in enumerate(scopes):
        place.scope = number
        place.item = -1
        _scope(request, resource, data, first, last, place)


def _scope(  # noqa: PLR0913, PLR0917 - where it is and where it belongs
    request: Request[Any], resource: Resource, data: bytes, start: int, stop: int, place: _Place
) -> None:
    """A `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`."""
    ranges: list[Range] = []
    found: list[Range] = []
    schema_url = ""
    for tag, first, last in fields(data, start, stop):
        if tag == _SECOND:
            found.append((first, last))
        elif tag == _FIRST:
            ranges.append((first, last))
        elif tag == _THIRD:
            schema_url = text(data, first, last)
    scope = _remembered(_scopes, _read_scope, data, ranges, schema_url)
    items: list[Any] = []
    _READERS[request.signal](request, items, data, found, place)
    if items:
        request.groups.append(Group(resource, scope, items))


def _remembered(
    known: dict[tuple[bytes, str], Owner],
    read: Callable[[bytes, str], Owner],
    data: bytes,
    ranges: Sequence[Range],
    schema_url: str,
) -> Owner:
    # Of several for one field protobuf makes one, which is what their bytes say one after another.
    raw = b"".join([data[start:stop] for start, stop in ranges])
    owner = known.get((raw, schema_url))
    if owner is None:
        owner = read(raw, schema_url)
        if len(raw) <= _LONGEST:
            if len(known) >= _MOST:
                known.clear()
            known[raw, schema_url] = owner
    return owner


def _read_resource(raw: bytes, schema_url: str) -> Resource:
    found = attributes(raw, [(first, last) for tag, first, last in fields(raw, 0, len(raw)) if tag == _FIRST])
    return Resource(found, schema_url, service_of(found))


def _read_scope(raw: bytes, schema_url: str) -> Scope:
    scope = Scope(schema_url=schema_url)
    ranges: list[Range] = []
    for tag, first, last in fields(raw, 0, len(raw)):
        if tag == _FIRST:
            scope.name = text(raw, first, last)
        elif tag == _SECOND:
            scope.version = text(raw, first, last)
        elif tag == _THIRD:
            ranges.append((first, last))
    scope.attributes = attributes(raw, ranges)
    return scope


def _spans(
    request: Request[Any], items: list[Any], data: bytes, ranges: Sequence[Range], place: _Place
) -> None:
    for number, (start, stop) in enumerate(ranges):
        place.item = number
        item = span(data, start, stop)
        if problem := span_problem(item):
            reject(request, problem)
        else:
            items.append(item)


def reject(request: Request[Any], problem: str, count: int = 1) -> None:
    """Count what cannot be kept."""
    request.rejected += count
    request.problem = request.problem or problem


_NOUNS: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("spans", "spans"),
    "metrics": ("metrics", "metrics"),
    "logs": ("logs", "log_records"),
}
_READERS: Final[dict[str, Callable[[Request[Any], list[Any], bytes, Sequence[Range], _Place], None]]] = {
    "traces": _spans,
}
