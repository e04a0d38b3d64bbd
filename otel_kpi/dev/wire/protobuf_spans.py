"""A `Span` of protobuf.

The one message whose fields are read by hand: with `protobuf_fields.fields` a span costs twice as much.
"""

# ruff: noqa: PLR2004 - a tag is what the .proto file numbers it: number << 3 | wire type
from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from otel_kpi.dev.telemetry import Event, Link, Span
from otel_kpi.dev.wire.accepted import dropped, event_kept, link_kept
from otel_kpi.dev.wire.protobuf_fields import (
    SEVEN_BITS,
    fields,
    fixed32,
    fixed64,
    int32,
    overrun,
    skip,
    text,
    varint,
)
from otel_kpi.dev.wire.protobuf_values import found, known, learn
from otel_kpi.dev.wire.values import MAX_PARTS

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Attribute

_TRACE_ID, _SPAN_ID, _TRACE_STATE, _PARENT_ID, _NAME = 0x0A, 0x12, 0x1A, 0x22, 0x2A
_KIND, _START, _END, _ATTRIBUTE, _DROPPED_ATTRIBUTES = 0x30, 0x39, 0x41, 0x4A, 0x50
_EVENT, _DROPPED_EVENTS, _LINK, _DROPPED_LINKS, _STATUS, _FLAGS = 0x5A, 0x60, 0x6A, 0x70, 0x7A, 0x85
_UINT32 = 0xFFFF_FFFF

both_times = Struct("<QxQ").unpack_from


def span(data: bytes, position: int, end: int) -> Span:  # noqa: C901, PLR0912, PLR0915 - the span's fields, one by one
    """The span between two positions, as it was sent.

    Raises:
        MalformedError: It is no message.
    """
    trace_id = span_id = parent_id = b""
    name = trace_state = status_message = ""
    kind = start_ns = end_ns = status = flags = 0
    dropped_attributes = dropped_events = dropped_links = empty_events = empty_links = 0
    carried: list[Attribute] = []
    events: list[Event] = []
    links: list[Link] = []
    find, carry = known.get, carried.append
    while position < end:
        tag = data[position]
        if tag == _ATTRIBUTE:  # ten of a span's twenty fields; that it ends with the span is seen at the end
            size = data[position + 1]
            start = position + 2
            if size >= SEVEN_BITS:
                size, start = varint(data, position + 1)
            position = start + size
            carry(find(data[start:position]) or learn(data, start, position))
            continue
        position += 1
        if tag >= SEVEN_BITS:
            tag, position = varint(data, position - 1)
        if tag & 7 == 2:  # LENGTH
            size = data[position]
            position += 1
            if size >= SEVEN_BITS:
                size, position = varint(data, position - 1)
            start = position
            position += size
            if position > end:
                raise overrun(position, end, tag)
            if tag == _ATTRIBUTE:  # whose tag was written with needless bytes
                carry(find(data[start:position]) or learn(data, start, position))
            elif tag == _TRACE_ID:
                trace_id = data[start:position]
            elif tag == _SPAN_ID:
                span_id = data[start:position]
            elif tag == _PARENT_ID:
                parent_id = data[start:position]
            elif tag == _NAME:
                name = data[start:position].decode("utf-8", "replace")
            elif tag == _STATUS:
                for part, first, last in fields(data, start, position):
                    if part == 0x12:  # message
                        status_message = text(data, first, last)
                    elif part == 0x18:  # code
                        status = int32(first)
            elif tag == _EVENT and len(events) <= MAX_PARTS:  # with one too many the span is rejected
                event = _event(data, start, position)
                if event_kept(event):
                    events.append(event)
                else:
                    empty_events += 1
            elif tag == _LINK and len(links) <= MAX_PARTS:
                link = _link(data, start, position)
                if link_kept(link):
                    links.append(link)
                else:
                    empty_links += 1
            elif tag == _TRACE_STATE:
                trace_state = text(data, start, position)
            elif tag < 8:  # no number
                skip(data, tag, start)
        elif tag == _START:
            if position + 17 <= end and data[position + 8] == _END:  # as everybody writes it
                start_ns, end_ns = both_times(data, position)
                position += 17
            else:
                (start_ns,) = fixed64(data, position)
                position += 8
        elif tag == _END:
            (end_ns,) = fixed64(data, position)
            position += 8
        elif tag == _FLAGS:
            (flags,) = fixed32(data, position)
            position += 4
        elif tag == _KIND:
            kind, position = varint(data, position)
            kind = int32(kind)
        elif tag == _DROPPED_ATTRIBUTES:
            dropped_attributes, position = varint(data, position)
        elif tag == _DROPPED_EVENTS:
            dropped_events, position = varint(data, position)
        elif tag == _DROPPED_LINKS:
            dropped_links, position = varint(data, position)
        else:
            position = skip(data, tag, position)
    if position > end:
        raise overrun(position, end)
    left_out = (0, 0, 0)
    if dropped_attributes or dropped_events or dropped_links or empty_events or empty_links:
        left_out = (
            dropped_attributes & _UINT32,
            dropped(dropped_events & _UINT32, empty_events),
            dropped(dropped_links & _UINT32, empty_links),
        )
    return Span(
        trace_id,
        span_id,
        parent_id,
        name,
        kind,
        start_ns,
        end_ns,
        tuple(carried),
        events,
        links,
        status,
        status_message,
        trace_state,
        flags,
        left_out,
    )


def _event(data: bytes, start: int, stop: int) -> Event:
    time_ns = left_out = 0
    name = ""
    carried: list[Attribute] = []
    for tag, first, last in fields(data, start, stop):
        if tag == 0x1A:
            carried.append(found(data, first, last))
        elif tag == 0x09:
            (time_ns,) = fixed64(data, first)
        elif tag == 0x12:
            name = text(data, first, last)
        elif tag == 0x20:
            left_out = first & _UINT32
    return Event(name, time_ns, tuple(carried), left_out)


def _link(data: bytes, start: int, stop: int) -> Link:
    link = Link(b"", b"")
    carried: list[Attribute] = []
    for tag, first, last in fields(data, start, stop):
        if tag == 0x0A:
            link.trace_id = data[first:last]
        elif tag == 0x12:
            link.span_id = data[first:last]
        elif tag == 0x1A:
            link.trace_state = text(data, first, last)
        elif tag == 0x22:
            carried.append(found(data, first, last))
        elif tag == 0x28:
            link.dropped = first & _UINT32
        elif tag == 0x35:
            (link.flags,) = fixed32(data, first)
    link.attributes = tuple(carried)
    return link
