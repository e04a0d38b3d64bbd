"""Spans and log records without what must not leave the process.

Called by the export thread, before encoding. Where nothing was found the object itself is passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

from otel_kpi import _compat, redaction
from otel_kpi.redaction import REDACTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry._logs import LogRecord
    from opentelemetry.sdk._logs import ReadWriteLogRecord

    from otel_kpi.redaction import Redactor

_INFO = 9
"""OpenTelemetry's number for it."""
SECURITY = "security."
"""How the event names of security log records begin; in these alone network addresses stay whole."""


def redacted_span(span: ReadableSpan) -> ReadableSpan:
    """The span, or a copy of it without secrets in its name, status, attributes, events and links."""
    name, context, parent, _, status, start, end, attributes, events, links, *dropped = _compat.span_parts(
        span
    )
    redactor = redaction.active().of_spans
    kept_name = redactor.text(name)
    kept = redactor.attributes(attributes) if attributes else attributes
    kept_events = _cleaned(redactor, events, _event_attributes, _event) if events else events
    kept_links = _cleaned(redactor, links, _link_attributes, _link) if links else links
    description = status.description
    kept_status = status
    if description:
        for kind in _kinds(attributes, events):
            description = redactor.quoted(kind, description)
        clean = redactor.text(description)
        if clean != status.description:
            kept_status = Status(status.status_code, clean)
    unchanged = (
        kept is attributes
        and kept_events is events
        and kept_links is links
        and kept_status is status
        and kept_name == name
    )
    if unchanged:
        return span
    kept_attributes = _bounded(kept, dropped[0])
    changed: dict[str, Any] = {"_name": kept_name, "_status": kept_status}
    if kept is not attributes:
        changed["_attributes"] = kept_attributes
    if kept_events is not events:
        changed["_events"] = _bounded_list(kept_events, dropped[1])
    if kept_links is not links:
        changed["_links"] = _bounded_list(kept_links, dropped[2])
    copied = _compat.changed_span(span, **changed)
    return copied or ReadableSpan(
        name=kept_name,
        context=context,
        parent=parent,
        resource=span.resource,
        attributes=kept_attributes,
        events=_bounded_list(kept_events, dropped[1]),
        links=_bounded_list(kept_links, dropped[2]),
        kind=span.kind,
        status=kept_status,
        start_time=start,
        end_time=end,
        instrumentation_scope=span.instrumentation_scope,
    )


def redacted_log(record: ReadWriteLogRecord) -> ReadWriteLogRecord:
    """The record; secrets in its body and attributes are replaced in place."""
    log = record.log_record
    redactor = redaction.active().of_events
    try:
        event = _event_name(log.event_name, log.attributes)
        if event and event.startswith(SECURITY):
            redactor = redactor.of_security
        scope = record.instrumentation_scope
        if scope is not None and _is_detail(log) and redactor.is_told_by(scope.name):
            log.body, log.attributes = REDACTED, _places(log.attributes)
        elif isinstance(log.body, str):
            log.body = None if redactor.is_content_event(event) else redactor.text(log.body)
        elif log.body is not None:
            log.body = (
                redactor.frame(log.body)
                if redactor.is_content_event(event)
                else redactor.value("body", log.body)
            )
        attributes = log.attributes
        if attributes:
            clean = redactor.event_attributes(event or "", attributes)
            if clean is not attributes:
                log.attributes = _bounded(clean, record.dropped_attributes)
    except Exception:
        # What cannot be looked at does not leave.
        log.body = REDACTED
        log.attributes = None
    return record


def _kinds(attributes: Mapping[str, Any] | None, events: Sequence[Event]) -> Iterator[Any]:
    """Of the errors that a span tells of."""
    if attributes:
        yield attributes.get("error.type")
    for event in events:
        if event.name == "exception" and event.attributes:
            yield event.attributes.get("exception.type")


def _is_detail(log: LogRecord) -> bool:
    """Whether it is below `info`, where clients write what they send and get."""
    severity = log.severity_number
    return severity is not None and 0 < severity.value < _INFO


def _places(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (attributes or {}).items() if name.startswith("code.")}


def _event_name(name: str | None, attributes: Mapping[str, Any] | None) -> str | None:
    """The record's event; before 1.33 the conventions had it among the attributes."""
    if name or not attributes:
        return name
    older = attributes.get("event.name")
    return older if isinstance(older, str) else None


def _event_attributes(redactor: Redactor, event: Event) -> Mapping[str, Any]:
    return redactor.event_attributes(event.name, event.attributes or {})


def _link_attributes(redactor: Redactor, link: Link) -> Mapping[str, Any]:
    return redactor.attributes(link.attributes or {})


def _event(redactor: Redactor, event: Event, attributes: Mapping[str, Any]) -> Event:
    return Event(redactor.text(event.name), _bounded(attributes, event.dropped_attributes), event.timestamp)


def _link(_redactor: Redactor, link: Link, attributes: Mapping[str, Any]) -> Link:
    return Link(link.context, _bounded(attributes, link.dropped_attributes))


def _cleaned(
    redactor: Redactor,
    items: Sequence[Any],
    clean: Callable[[Redactor, Any], Mapping[str, Any]],
    rebuild: Callable[[Redactor, Any, Mapping[str, Any]], Any],
) -> Sequence[Any]:
    """The events or links without secrets; the same object when there were none."""
    cleaned: list[Any] = []
    changed = False
    for item in items:
        attributes = item.attributes
        kept = clean(redactor, item) if attributes else attributes
        if kept is attributes and redactor.text(getattr(item, "name", "")) == getattr(item, "name", ""):
            cleaned.append(item)
        else:
            changed = True
            cleaned.append(rebuild(redactor, item, kept or {}))
    return cleaned if changed else items


def _bounded(attributes: Mapping[str, Any] | None, dropped: int) -> Any:
    if attributes is None or isinstance(attributes, BoundedAttributes):
        return attributes
    return _compat.bounded_attributes(dict(attributes), dropped)


def _bounded_list(items: Sequence[Any], dropped: int) -> BoundedList[Any]:
    bounded: BoundedList[Any] = BoundedList.from_seq(len(items) or None, items)
    bounded.dropped = dropped
    return bounded
