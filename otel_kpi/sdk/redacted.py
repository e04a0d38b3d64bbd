"""Spans and log records without what must not leave the process.

Called by the export thread, before encoding. Where nothing was found the object itself is passed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, Status

from otel_kpi.redaction import REDACTED, redact_attributes, redact_text, redact_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.sdk._logs import ReadWriteLogRecord


def redacted_span(span: ReadableSpan) -> ReadableSpan:
    """The span, or a copy of it without secrets in its name, status, attributes, events and links."""
    original, all_events, all_links = span.attributes, span.events, span.links  # each read builds a tuple
    name = redact_text(span.name)
    attributes = redact_attributes(original) if original else original
    events = _cleaned(all_events, _event) if all_events else all_events
    links = _cleaned(all_links, _link) if all_links else all_links
    description = span.status.description
    status = span.status
    if description and (clean := redact_text(description)) != description:
        status = Status(status.status_code, clean)
    unchanged = (
        attributes is original
        and events is all_events
        and links is all_links
        and status is span.status
        and name == span.name
    )
    if unchanged:
        return span
    return ReadableSpan(
        name=name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_bounded(attributes, span.dropped_attributes),
        events=_bounded_list(events, span.dropped_events),
        links=_bounded_list(links, span.dropped_links),
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def redacted_log(record: ReadWriteLogRecord) -> ReadWriteLogRecord:
    """The record; secrets in its body and attributes are replaced in place."""
    log = record.log_record
    try:
        if isinstance(log.body, str):
            log.body = redact_text(log.body)
        elif log.body is not None:
            log.body = redact_value("body", log.body)
        attributes = log.attributes
        if attributes:
            clean = redact_attributes(attributes)
            if clean is not attributes:
                log.attributes = _bounded(clean, record.dropped_attributes)
    except Exception:
        # What cannot be looked at does not leave.
        log.body = REDACTED
        log.attributes = None
    return record


Item = TypeVar("Item", Event, Link)


def _cleaned(items: Sequence[Item], rebuild: Callable[[Item, BoundedAttributes], Item]) -> Sequence[Item]:
    """The events or links without secrets in their attributes; the same object when there were none."""
    cleaned: list[Item] = []
    changed = False
    for item in items:
        attributes = item.attributes
        clean = redact_attributes(attributes) if attributes else attributes
        if clean is attributes:
            cleaned.append(item)
        else:
            changed = True
            cleaned.append(rebuild(item, _bounded(clean, item.dropped_attributes)))
    return cleaned if changed else items


def _event(event: Event, attributes: BoundedAttributes) -> Event:
    return Event(event.name, attributes, event.timestamp)


def _link(link: Link, attributes: BoundedAttributes) -> Link:
    return Link(link.context, attributes)


def _bounded(attributes: Mapping[str, Any] | None, dropped: int) -> BoundedAttributes:
    bounded = BoundedAttributes(attributes=attributes)
    bounded.dropped = dropped
    return bounded


def _bounded_list(items: Sequence[Any], dropped: int) -> BoundedList[Any]:
    bounded: BoundedList[Any] = BoundedList.from_seq(len(items) or None, items)
    bounded.dropped = dropped
    return bounded
