"""What happens to one Sentry event: it is linked to its span, counted once, and scrubbed.

Functions over plain dictionaries, without an import of sentry_sdk.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace

from otel_kpi.redaction import REDACTED, redact_text, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Span, SpanContext

    Event = dict[str, Any]
    BeforeSend = Callable[[Event, dict[str, Any]], Event | None]

lost: Counter[str] = Counter()
"""Events that did not reach Sentry, by reason."""

unlinked: Counter[str] = Counter()
"""Exceptions that took no stamp, by type: their events may miss the link to the trace."""

# What the SDK counts here too, although nobody misses it.
_CHOSEN = frozenset({"event_processor", "before_send", "sample_rate"})


def count_lost(reason: str, quantity: int) -> None:
    """Count error events that will not arrive, except those that were dropped on purpose."""
    if reason not in _CHOSEN:
        lost[reason] += quantity


# Attributes of an exception object. Plain tuples, so that an exception still pickles.
_SPAN = "_otel_kpi_span"
_CAPTURED = "_otel_kpi_captured"
_CHAIN = 8

# What Sentry needs as it is: ids, versions, the list of installed packages.
_VERBATIM = frozenset(
    [
        "event_id",
        "timestamp",
        "start_timestamp",
        "type",
        "platform",
        "level",
        "sdk",
        "modules",
        "release",
        "environment",
        "server_name",
        "dist",
        "transaction_info",
        "_meta",
    ]
)
# Every other header is withheld, because a header of one's own may be a key under any name.
_HEADERS = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "host",
        "origin",
        "referer",
        "traceparent",
        "user-agent",
        "x-correlation-id",
        "x-request-id",
    ]
)


def current_ids() -> tuple[str, str] | None:
    """Trace and span id of the current span in hexadecimal, as Sentry wants them."""
    context = trace.get_current_span().get_span_context()
    return _hexadecimal(_ids(context)) if context.is_valid else None


def _ids(context: SpanContext) -> tuple[int, int, bool]:
    return context.trace_id, context.span_id, context.trace_flags.sampled


def _hexadecimal(ids: tuple[int, int, bool]) -> tuple[str, str]:
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


def _origin(error: BaseException | None) -> tuple[int, int, bool] | None:
    """The span of an exception, or of the one that caused it."""
    for _ in range(_CHAIN):
        if error is None:
            return None
        ids = _read(error, _SPAN)
        if ids is not None:
            return cast("tuple[int, int, bool]", ids)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def link(event: Event, hint: Mapping[str, Any] | None) -> Event | None:
    """Put the ids of the span on an error event; None for an exception that this trace has already sent.

    The SDK's own check for duplicates remembers in a context variable, which does not come back from a thread
    pool: an endpoint that logs an exception and raises it would be two events.
    """
    if event.get("type") not in (None, "error"):
        return event
    error = _error(hint)
    ids = _origin(error)
    if ids is None:
        context = trace.get_current_span().get_span_context()
        ids = _ids(context) if context.is_valid else None
    if ids is None:
        return event
    if error is not None:
        if _read(error, _CAPTURED) == ids[0]:
            return None
        try:
            error.__dict__[_CAPTURED] = ids[0]
        except Exception:
            unlinked[type(error).__name__] += 1
    return _linked(event, ids)


def unsampled_fallback() -> Callable[[Event, Any], Event] | None:
    """A step that links what `link` could not, for the request of an unsampled span; None for any other."""
    span = trace.get_current_span()
    context = span.get_span_context()
    if span.is_recording() or not context.is_valid:
        return None
    ids = _ids(context)

    def fallback(event: Event, _: Any) -> Event:
        return event if "otel.sampled" in event.get("tags", {}) else _linked(event, ids)

    return fallback


def _linked(event: Event, ids: tuple[int, int, bool]) -> Event:
    trace_id, span_id = _hexadecimal(ids)
    event.setdefault("contexts", {})["trace"] = {"trace_id": trace_id, "span_id": span_id}
    tags = event.setdefault("tags", {})
    if isinstance(tags, dict):
        # The trace of an unsampled span exists nowhere; the person who follows the id should know.
        tags["otel.sampled"] = "true" if ids[2] else "false"
    return event


def _error(hint: Mapping[str, Any] | None) -> BaseException | None:
    info = (hint or {}).get("exc_info")
    return info[1] if isinstance(info, tuple) and isinstance(info[1], BaseException) else None


def scrubber(before: BeforeSend | None) -> BeforeSend:
    """The last step before an event is sent: the application's `before_send`, then the scrubber."""

    def before_send(event: Event, hint: dict[str, Any]) -> Event | None:
        kept = event if before is None else before(event, hint)
        return None if kept is None else scrub(kept)

    return before_send


def scrub(event: Event) -> Event:
    """The event without secrets, bodies, cookies and unknown headers."""
    scrubbed: Event = {}
    for name, value in event.items():
        if name in _VERBATIM:
            scrubbed[name] = value
        elif name == "request":
            scrubbed[name] = _request(value)
        elif name == "logentry":
            scrubbed[name] = _logentry(value)
        else:
            scrubbed[name] = redact_value(name, value)
    if not scrubbed.get("release"):
        scrubbed.pop("release", None)
    return scrubbed


def _request(request: Any) -> Any:
    if not isinstance(request, dict):
        return REDACTED
    kept = {
        name: redact_value(name, value)
        for name, value in cast("dict[str, Any]", request).items()
        if name not in ("data", "cookies", "headers")
    }
    query = kept.get("query_string")
    if isinstance(query, str) and query:
        # The rules know parameters by what stands before them.
        kept["query_string"] = redact_text(f"?{query}")[1:]
    headers = cast("dict[str, Any]", request).get("headers")
    if isinstance(headers, dict):
        kept["headers"] = {
            name: redact_value(name, value) if name.lower() in _HEADERS else REDACTED
            for name, value in cast("dict[str, Any]", headers).items()
        }
    return kept


def _logentry(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return redact_value("logentry", entry)
    kept = dict(cast("dict[str, Any]", redact_value("logentry", entry)))
    # "password=%s" and its argument are sent apart; only together do they show what the argument is.
    if kept.get("formatted") != entry.get("formatted") and kept.get("params"):
        kept["params"] = [REDACTED]
    return kept
