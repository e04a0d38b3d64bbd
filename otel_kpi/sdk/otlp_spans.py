"""From a span of the SDK to the fields of ``opentelemetry.proto.trace.v1.Span``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import DEFAULT_TRACE_STATE, StatusCode

from otel_kpi._compat import span_parts
from otel_kpi.sdk.otlp_values import pairs
from otel_kpi.sdk.otlp_writer import Field, Piece, Writer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, SpanContext, Status

_TRACE_STATE = Field(3, "trace_state")
_PARENT_SPAN_ID = Field(4, "parent_span_id")
_ATTRIBUTES = Field(9, "attributes")
_DROPPED_ATTRIBUTES = Field(10, "dropped_attributes_count")
_EVENTS = Field(11, "events")
_DROPPED_EVENTS = Field(12, "dropped_events_count")
_LINKS = Field(13, "links")
_DROPPED_LINKS = Field(14, "dropped_links_count")
_STATUS = Field(15, "status")

_STATUS_MESSAGE = Field(2, "message")
_STATUS_CODE = Field(3, "code")

_EVENT_TIME = Field(1, "time_unix_nano")
_EVENT_NAME = Field(2, "name")
_EVENT_ATTRIBUTES = Field(3, "attributes")
_EVENT_DROPPED_ATTRIBUTES = Field(4, "dropped_attributes_count")

_LINK_TRACE_ID = Field(1, "trace_id")
_LINK_SPAN_ID = Field(2, "span_id")
_LINK_TRACE_STATE = Field(3, "trace_state")
_LINK_ATTRIBUTES = Field(4, "attributes")
_LINK_DROPPED_ATTRIBUTES = Field(5, "dropped_attributes_count")
_LINK_FLAGS = Field(6, "flags")

# opentelemetry.proto.trace.v1.SpanFlags
_HAS_IS_REMOTE = 0x100
_IS_REMOTE = 0x200


def encode_span(  # noqa: C901 - one branch for each field that may be absent
    writer: Writer[Piece], span: ReadableSpan
) -> Piece:
    """The content of a ``Span``.

    Raises:
        Exception: The span is broken beyond use: it has no context, or a time that is not a number.
    """
    (
        name,
        context,
        parent,
        kind,
        status,
        start,
        end,
        attributes,
        events,
        links,
        dropped_attributes,
        dropped_events,
        dropped_links,
    ) = span_parts(span)
    trace_id, span_id, _, trace_flags, trace_state, _ = context
    flags = trace_flags | _HAS_IS_REMOTE
    parent_id = 0
    if parent is not None:
        _, parent_id, is_remote, _, _, _ = parent
        if is_remote:
            flags |= _IS_REMOTE
    pieces = [writer.span_head(name, trace_id, span_id, kind + 1, start or 0, end or 0, flags)]
    if attributes:
        pieces.append(writer.attributes(_ATTRIBUTES, attributes))
    if parent_id:
        pieces.append(writer.span_id(_PARENT_SPAN_ID, parent_id))
    if trace_state is not DEFAULT_TRACE_STATE and trace_state:
        pieces.append(writer.string(_TRACE_STATE, trace_state.to_header()))
    if events:
        pieces.append(writer.messages(_EVENTS, [_event(writer, event) for event in events]))
    if links:
        pieces.append(writer.messages(_LINKS, [_link(writer, link) for link in links]))
    if status.status_code is not StatusCode.UNSET:
        pieces.append(writer.message(_STATUS, _status(writer, status)))
    if dropped_attributes:
        pieces.append(writer.uint32(_DROPPED_ATTRIBUTES, dropped_attributes))
    if dropped_events:
        pieces.append(writer.uint32(_DROPPED_EVENTS, dropped_events))
    if dropped_links:
        pieces.append(writer.uint32(_DROPPED_LINKS, dropped_links))
    return writer.join(pieces)


def _status(writer: Writer[Piece], status: Status) -> Piece:
    pieces = [writer.uint32(_STATUS_CODE, status.status_code.value)]
    if status.description:
        pieces.append(writer.string(_STATUS_MESSAGE, status.description))
    return writer.join(pieces)


def _event(writer: Writer[Piece], event: Event) -> Piece:
    pieces = [writer.fixed64(_EVENT_TIME, event.timestamp), writer.string(_EVENT_NAME, event.name)]
    if attributes := pairs(event.attributes):
        pieces.append(writer.attributes(_EVENT_ATTRIBUTES, attributes))
    if dropped := event.dropped_attributes:
        pieces.append(writer.uint32(_EVENT_DROPPED_ATTRIBUTES, dropped))
    return writer.join(pieces)


def _link(writer: Writer[Piece], link: Link) -> Piece:
    context: SpanContext = link.context
    flags = int(context.trace_flags) | _HAS_IS_REMOTE | (_IS_REMOTE if context.is_remote else 0)
    pieces = [
        writer.trace_id(_LINK_TRACE_ID, context.trace_id),
        writer.span_id(_LINK_SPAN_ID, context.span_id),
        writer.fixed32(_LINK_FLAGS, flags),
    ]
    if context.trace_state:
        pieces.append(writer.string(_LINK_TRACE_STATE, context.trace_state.to_header()))
    if attributes := pairs(link.attributes):
        pieces.append(writer.attributes(_LINK_ATTRIBUTES, attributes))
    if dropped := link.dropped_attributes:
        pieces.append(writer.uint32(_LINK_DROPPED_ATTRIBUTES, dropped))
    return writer.join(pieces)
