"""An error event and its span: which trace an error belongs to, and whether the trace has sent it before.

An error finds its trace in two ways. While a span is current the SDK asks us for it. An error that nobody
handles is captured by Sentry's outer ASGI wrapper after the span has gone; it carries a stamp, put on the
exception by the span that recorded it.

Functions over plain dictionaries and exceptions, without an import of sentry_sdk.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.trace import Span, SpanContext

    Event = dict[str, Any]
    Ids = tuple[int, int, bool]

unlinked: Counter[str] = Counter()
"""Exceptions that took no stamp, by type: their events may miss the link to the trace."""

EVENT_ID = "sentry.event_id"
"""Attribute of a span in which an error was captured."""

CRUMB_TRACE = "otel_kpi_trace"
"""Which trace a breadcrumb belongs to; taken off before the event is sent."""

PARTS = "otel_kpi_parts"
"""Ids of events that an event makes superfluous; taken off before it is sent."""

CRUMB_SPAN = "otel_kpi_span"
"""The span that a breadcrumb tells about, as long as nobody needs it."""

# Attributes of an exception object. Plain tuples, so that an exception still pickles.
_SPAN = "_otel_kpi_span"
_CAPTURED = "_otel_kpi_captured"
_RELATED = 16
_MARKS = frozenset([CRUMB_TRACE, CRUMB_SPAN])


def current_ids() -> tuple[str, str] | None:
    """Trace and span id of the current span in hexadecimal, as Sentry wants them."""
    context = trace.get_current_span().get_span_context()
    return _hexadecimal(_ids(context)) if context.is_valid else None


def _ids(context: SpanContext) -> Ids:
    return context.trace_id, context.span_id, context.trace_flags.sampled


def _hexadecimal(ids: Ids) -> tuple[str, str]:
    return trace.format_trace_id(ids[0]), trace.format_span_id(ids[1])


def stamp(span: Span, error: BaseException) -> None:
    """Write on the exception which span it ended. Within a trace the innermost span stays."""
    try:
        context = span.get_span_context()
        if not context.is_valid:
            return
        attributes = error.__dict__
        known = attributes.get(_SPAN)
        # An exception object that is raised again for another request belongs to that one.
        if known is None or known[0] != context.trace_id:
            attributes[_SPAN] = _ids(context)
    except Exception:
        unlinked[type(error).__name__] += 1


def is_stamped(error: BaseException) -> bool:
    """Whether a span has recorded this exception."""
    return _read(error, _SPAN) is not None


def _read(error: BaseException, name: str) -> Any:
    try:
        return error.__dict__.get(name)
    except Exception:
        return None


def _related(error: BaseException) -> Iterator[BaseException]:
    """What is shown along with an exception, nearest first: its causes, and the members of a group."""
    waiting, seen = [error], {id(error)}
    while waiting and len(seen) <= _RELATED:
        first = waiting.pop(0)
        if first is not error:
            yield first
        shown = first.__cause__ or (None if first.__suppress_context__ else first.__context__)
        members = first.exceptions if isinstance(first, BaseExceptionGroup) else ()
        for other in (shown, *cast("tuple[BaseException, ...]", members)):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)


def _origin(error: BaseException | None) -> Ids | None:
    """The span of an exception, or of one that belongs to it."""
    if error is None:
        return None
    for each in (error, *_related(error)):
        ids = _read(each, _SPAN)
        if ids is not None:
            return cast("Ids", ids)
    return None


@dataclass(frozen=True, slots=True)
class Linker:
    """Puts an error event in its place, see `link`.

    Attributes:
        trace_url: Where a person finds a trace; `{trace_id}` and `{span_id}` are replaced.
        holds: Whether the current client can take events back that have not left yet.
        write: Makes a breadcrumb that can be sent; None drops it.
    """

    trace_url: str | None = None
    holds: Callable[[], bool] | None = None
    write: Callable[[Event], Event | None] | None = None

    def link(self, event: Event, hint: Mapping[str, Any] | None) -> Event | None:
        """Put the ids of the span on an error event; None for an exception that this trace has already sent.

        The SDK's own check for duplicates remembers in a context variable, which does not come back from a
        thread pool: an endpoint that logs an exception and raises it would be two events.
        """
        if event.get("type") not in (None, "error"):
            return event
        error = _error(hint)
        ids = _origin(error)
        if ids is None:
            context = trace.get_current_span().get_span_context()
            ids = _ids(context) if context.is_valid else None
        if error is not None:
            trace_id = ids[0] if ids is not None else 0
            captured = _read(error, _CAPTURED)
            if trace_id and captured is not None and captured[0] == trace_id:
                return None
            self._name_parts(event, error, trace_id)
            try:
                error.__dict__[_CAPTURED] = (trace_id, event.get("event_id"))
            except Exception:
                unlinked[type(error).__name__] += 1
        self._keep_crumbs_of(event, ids)
        return event if ids is None else self.linked(event, ids)

    def linked(self, event: Event, ids: Ids) -> Event:
        """The event with the ids of a span."""
        trace_id, span_id = _hexadecimal(ids)
        contexts = event.setdefault("contexts", {})
        contexts["trace"] = {"trace_id": trace_id, "span_id": span_id}
        if self.trace_url is not None:
            url = self.trace_url.replace("{trace_id}", trace_id).replace("{span_id}", span_id)
            contexts["opentelemetry"] = {"trace_url": url}
        tags = event.setdefault("tags", {})
        if isinstance(tags, dict):
            # The trace of an unsampled span exists nowhere; the person who follows the id should know.
            tags["otel.sampled"] = "true" if ids[2] else "false"
        return event

    def unsampled_fallback(self) -> Callable[[Event, Any], Event] | None:
        """A step that links what `link` could not, for the request of an unsampled span; None for any other."""
        span = trace.get_current_span()
        context = span.get_span_context()
        if span.is_recording() or not context.is_valid:
            return None
        ids = _ids(context)

        def fallback(event: Event, _: Any) -> Event:
            return event if "otel.sampled" in event.get("tags", {}) else self.linked(event, ids)

        return fallback

    def _name_parts(self, event: Event, error: BaseException, trace_id: int) -> None:
        """Name the events in which parts of this error were logged before: this one shows them, too."""
        if self.holds is None or not self.holds():
            return
        captured = [_read(part, _CAPTURED) for part in _related(error)]
        parts = [each[1] for each in captured if each is not None and each[0] == trace_id and each[1]]
        if parts:
            event[PARTS] = parts

    def _keep_crumbs_of(self, event: Event, ids: Ids | None) -> None:
        """Keep the breadcrumbs of this trace and those of none.

        Sentry separates requests where it has an integration; a consumer or a server without one has one list.
        """
        crumbs = event.get("breadcrumbs")
        values = crumbs.get("values") if isinstance(crumbs, dict) else None
        if not isinstance(values, list):
            return
        kept: list[Any] = []
        for crumb in cast("list[Any]", values):
            if not isinstance(crumb, dict) or CRUMB_TRACE not in crumb:
                kept.append(crumb)
            elif ids is None or crumb[CRUMB_TRACE] == ids[0]:
                whole = cast("Event", crumb) if self.write is None else self.write(cast("Event", crumb))
                if whole is not None:
                    # A copy: the next event of the request has the same crumbs.
                    kept.append({name: value for name, value in whole.items() if name not in _MARKS})
        event["breadcrumbs"] = {**cast("Event", crumbs), "values": kept}


def mark_crumb(crumb: Event) -> Event:
    """Write on a breadcrumb in which trace it was left."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid and CRUMB_TRACE not in crumb:
        crumb[CRUMB_TRACE] = context.trace_id
    return crumb


def note_event_id(event_id: str) -> Span:
    """Write the id of an event that is being sent on the current span; returns the span."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute(EVENT_ID, event_id)
    return span


def _error(hint: Mapping[str, Any] | None) -> BaseException | None:
    info = (hint or {}).get("exc_info")
    return info[1] if isinstance(info, tuple) and isinstance(info[1], BaseException) else None
