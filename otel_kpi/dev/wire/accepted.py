"""Which spans, points and records can be kept, and what to tell the sender of the others. For both encodings.

What can be mended without a lie is kept: a trace id of the wrong length makes a log record one without a trace, as OTLP's
description of the field demands, and a span that ends before it starts has no duration. What nothing can be said about is
rejected by itself; the rest of its request is kept.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.telemetry import CUMULATIVE, ERROR, MalformedError, Span
from otel_kpi.dev.wire.values import (
    MAX_ALL_PARTS,
    MAX_BUCKETS,
    MAX_ITEMS,
    MAX_PARTS,
    MAX_REJECTED,
    MAX_SCALE,
    MAX_TIME,
    MIN_SCALE,
)

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Event, Kind, Link, LogRecord, Point, Request

TRACE_ID: Final = 16
SPAN_ID: Final = 8
MAX_COUNT: Final = (1 << 32) - 1
"""Of what was dropped: OTLP has 32 bits for it."""
NO_TRACE: Final = bytes(TRACE_ID)
NO_SPAN: Final = bytes(SPAN_ID)
_KINDS = 5
_SEVERITIES = 24


class Counted:
    """What becomes of the spans, points and records of a request, one by one."""

    __slots__ = ("_parts", "_request", "kept")

    def __init__(self, request: Request[Any]) -> None:
        self._request = request
        self._parts = 0
        self.kept = 0

    def reject(self, problem: str, count: int = 1) -> None:
        """Count what cannot be kept; the first problem is what the sender is told.

        Raises:
            MalformedError: It is nearly all of what there is.
        """
        request = self._request
        request.rejected += count
        request.problem = request.problem or problem
        if request.rejected > MAX_REJECTED:
            raise MalformedError(f"more than {MAX_REJECTED} items cannot be kept: {request.problem}")

    def room(self, count: int = 1) -> bool:
        """Whether that many more are kept; they are rejected where not."""
        if self.kept + count > MAX_ITEMS:
            self.reject(f"a request has more than {MAX_ITEMS} items", count)
            return False
        self.kept += count
        return True

    def room_for(self, item: Span | LogRecord) -> bool:
        """The same of a span or a record, by what it carries."""
        parts = len(item.attributes)
        if isinstance(item, Span) and (item.events or item.links):
            parts += sum([1 + len(each.attributes) for each in (*item.events, *item.links)])
        if parts > MAX_PARTS:
            self.reject(f"an item has more than {MAX_PARTS} attributes, events and links")
            return False
        if self._parts + parts > MAX_ALL_PARTS:
            self.reject(f"a request has more than {MAX_ALL_PARTS} attributes, events and links")
            return False
        self._parts += parts
        return self.room()


def span_problem(span: Span) -> str:  # noqa: C901 - one for each thing that may be wrong
    """Why a span cannot be kept; empty where it can. What can be mended is.

    A start that is missing is the end, and an end that is missing or earlier is the start.
    """
    if len(span.trace_id) != TRACE_ID or span.trace_id == NO_TRACE:
        return _named(span, id_problem("trace_id", span.trace_id, TRACE_ID))
    if len(span.span_id) != SPAN_ID or span.span_id == NO_SPAN:
        return _named(span, id_problem("span_id", span.span_id, SPAN_ID))
    if span.parent_id:
        if len(span.parent_id) != SPAN_ID:
            return _named(span, id_problem("parent_span_id", span.parent_id, SPAN_ID))
        if span.parent_id == NO_SPAN:
            span.parent_id = b""
    if span.end_ns < span.start_ns:
        span.end_ns = span.start_ns
    elif not span.start_ns:
        span.start_ns = span.end_ns
        if not span.end_ns:
            return _named(span, "it has no times")
    if span.end_ns > MAX_TIME:
        return _named(span, f"a time of {span.end_ns} ns is after the year 2262")
    if not 0 <= span.kind <= _KINDS:
        span.kind = 0
    if not 0 <= span.status <= ERROR:
        span.status = 0
    return ""


def _named(span: Span, problem: str) -> str:
    return f"span {span.name[:80]!r}: {problem}"


def id_problem(name: str, value: bytes, size: int) -> str:
    """What is wrong with an id that is not of its size, or zero."""
    if not value:
        return f"{name} is missing"
    return f"{name} has {len(value)} bytes instead of {size}" if len(value) != size else f"{name} is zero"


def dropped(count: int, more: int) -> int:
    """How many the sender left out, with those that say nothing."""
    return min(count + more, MAX_COUNT)


def link_kept(link: Link) -> bool:
    """Whether a link leads anywhere."""
    return (
        len(link.trace_id) == TRACE_ID
        and len(link.span_id) == SPAN_ID
        and link.trace_id != NO_TRACE
        and link.span_id != NO_SPAN
    )


def event_kept(event: Event) -> bool:
    """Whether an event says anything."""
    return bool(event.time_ns or event.name or event.attributes)


def context(trace_id: bytes, span_id: bytes) -> tuple[bytes, bytes]:
    """The ids of a log record or an exemplar; none where they are not ones."""
    if len(trace_id) != TRACE_ID or trace_id == NO_TRACE:
        return b"", b""
    return trace_id, b"" if len(span_id) != SPAN_ID or span_id == NO_SPAN else span_id


def severity(number: int) -> int:
    """A severity number, 0 where there is no such."""
    return number if 0 <= number <= _SEVERITIES else 0


def temporality(number: int) -> int:
    """An aggregation temporality, 0 where there is no such."""
    return number if 0 <= number <= CUMULATIVE else 0


def log_problem(record: LogRecord, now_ns: int) -> str:
    """Why a record cannot be kept; empty where it can. One without any time was observed now, by us."""
    latest = max(record.time_ns, record.observed_ns)
    if latest > MAX_TIME:
        return f"log record: a time of {latest} ns is after the year 2262"
    if not (record.attributes or record.severity_number or record.event_name) and record.body.value is None:
        return "log record: it says nothing"
    if not latest:
        record.observed_ns = now_ns
    return ""


def point_problem(name: str, kind: Kind, point: Point) -> str:
    """Why a point cannot be kept; empty where it can."""
    problem = _point_problem(kind, point)
    return problem and f"metric {name[:80]!r}: {problem}"


def _point_problem(kind: Kind, point: Point) -> str:  # noqa: C901, PLR0911 - the same
    if not point.time_ns:
        return "a point has no time_unix_nano"
    if max(point.time_ns, point.start_ns) > MAX_TIME:
        return f"a time of {max(point.time_ns, point.start_ns)} ns is after the year 2262"
    if len(point.attributes) > MAX_PARTS:
        return f"a point has {len(point.attributes)} attributes, more than {MAX_PARTS}"
    if len(point.exemplars) > MAX_BUCKETS:
        return f"a point has more than {MAX_BUCKETS} exemplars"
    if point.no_value:
        return ""
    if kind in {"gauge", "sum"}:
        return "a point has no value" if point.value is None else ""
    sizes = [
        len(each)
        for each in (
            point.counts,
            point.bounds,
            point.quantiles,
            point.positive.counts,
            point.negative.counts,
        )
    ]
    if max(sizes) > MAX_BUCKETS:
        return f"a point has {max(sizes)} buckets or quantiles, more than {MAX_BUCKETS}"
    if kind == "histogram":
        if point.counts and len(point.counts) != len(point.bounds) + 1:
            return f"a point has {len(point.counts)} bucket_counts for {len(point.bounds)} explicit_bounds"
        if not point.counts:
            point.bounds = ()
        bounds = point.bounds
        if not all(lower < upper for lower, upper in pairwise(bounds)):
            return "the explicit_bounds of a point do not increase"
    elif kind == "exponential_histogram" and not MIN_SCALE <= point.scale <= MAX_SCALE:
        return f"a scale of {point.scale} is not between {MIN_SCALE} and {MAX_SCALE}"
    return ""
