"""Spans as OTLP: every field as the official decoder reads it, and as upstream's encoder writes it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as upstream_encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from unit.sdk import otlp_messages as otlp

from otel_kpi.sdk.otlp import Encoding, encode_spans

EVENTS = st.builds(
    Event, otlp.texts, st.builds(otlp.bounded, otlp.attributes, otlp.dropped), timestamp=otlp.times
)
LINKS = st.builds(Link, otlp.contexts, st.none() | st.builds(otlp.bounded, otlp.attributes, otlp.dropped))
STATUSES = st.sampled_from([Status(), Status(StatusCode.OK), Status(StatusCode.ERROR)]) | st.builds(
    Status, st.just(StatusCode.ERROR), otlp.texts
)


def _bounded_list(items: list[Any], dropped: int) -> BoundedList[Any]:
    result: BoundedList[Any] = BoundedList.from_seq(None, items)
    result.dropped = dropped
    return result


@st.composite
def spans(draw: st.DrawFn) -> list[ReadableSpan]:
    resources = draw(otlp.resources)
    scopes = draw(st.lists(otlp.scopes | st.none(), min_size=1, max_size=3))
    return [
        ReadableSpan(
            name=draw(otlp.texts),
            context=draw(otlp.contexts),
            parent=draw(st.none() | otlp.contexts),
            resource=draw(st.sampled_from(resources)),
            attributes=draw(st.builds(otlp.bounded, otlp.attributes, otlp.dropped) | otlp.attributes),
            events=draw(st.builds(_bounded_list, st.lists(EVENTS, max_size=2), otlp.dropped)),
            links=draw(st.builds(_bounded_list, st.lists(LINKS, max_size=2), otlp.dropped)),
            kind=draw(st.sampled_from(SpanKind)),
            status=draw(STATUSES),
            start_time=draw(otlp.times),
            end_time=draw(otlp.times),
            instrumentation_scope=draw(st.sampled_from(scopes)),
        )
        for _ in range(draw(st.integers(0, 6)))
    ]


def flags(context: SpanContext, remote: SpanContext | None) -> int:
    """`opentelemetry.proto.trace.v1.SpanFlags`: trace flags, and whether the other side is remote."""
    return context.trace_flags | 0x100 | (0x200 if remote is not None and remote.is_remote else 0)


def assert_span(message: Any, span: ReadableSpan) -> None:
    context = span.context
    assert context is not None
    assert message.trace_id == context.trace_id.to_bytes(16, "big")
    assert message.span_id == context.span_id.to_bytes(8, "big")
    assert message.trace_state == context.trace_state.to_header()
    assert message.parent_span_id == (span.parent.span_id.to_bytes(8, "big") if span.parent else b"")
    assert message.flags == flags(context, span.parent)
    assert message.name == span.name
    assert message.kind == span.kind.value + 1
    assert message.start_time_unix_nano == span.start_time
    assert message.end_time_unix_nano == span.end_time
    assert otlp.exact(otlp.python_attributes(message.attributes)) == otlp.exact(span.attributes)
    assert message.dropped_attributes_count == span.dropped_attributes
    assert message.dropped_events_count == span.dropped_events
    assert message.dropped_links_count == span.dropped_links
    assert message.status.code == span.status.status_code.value
    assert message.status.message == (span.status.description or "")
    assert len(message.events) == len(span.events)
    for found, event in zip(message.events, span.events, strict=True):
        assert (found.name, found.time_unix_nano) == (event.name, event.timestamp)
        assert otlp.exact(otlp.python_attributes(found.attributes)) == otlp.exact(event.attributes)
        assert found.dropped_attributes_count == event.dropped_attributes
    for found, link in zip(message.links, span.links, strict=True):
        assert found.trace_id == link.context.trace_id.to_bytes(16, "big")
        assert found.span_id == link.context.span_id.to_bytes(8, "big")
        assert found.trace_state == link.context.trace_state.to_header()
        assert found.flags == flags(link.context, link.context)
        assert otlp.exact(otlp.python_attributes(found.attributes)) == otlp.exact(link.attributes or {})
        assert found.dropped_attributes_count == link.dropped_attributes


@otlp.quickly
@given(spans())
def test_every_field_of_every_span_is_what_the_official_decoder_reads(batch: list[ReadableSpan]) -> None:
    encoded = encode_spans(batch, Encoding.PROTOBUF)
    assert (encoded.items, encoded.skipped) == (len(batch), 0)
    left = list(batch)
    for resource in otlp.from_protobuf("traces", encoded).resource_spans:
        for scope in resource.scope_spans:
            for message in scope.spans:
                span = next(span for span in left if _found(message, scope, span))
                otlp.assert_resource(resource, span.resource)
                otlp.assert_scope(scope, span.instrumentation_scope)
                assert_span(message, span)
                left.remove(span)
    assert not left


def _found(message: Any, scope: Any, span: ReadableSpan) -> bool:
    context = span.context
    assert context is not None
    ids = (int.from_bytes(message.trace_id, "big"), int.from_bytes(message.span_id, "big"))
    own = span.instrumentation_scope
    return (
        ids == (context.trace_id, context.span_id)
        and message.name == span.name
        and message.start_time_unix_nano == span.start_time
        and message.end_time_unix_nano == span.end_time
        and (own.name if own else "") == scope.scope.name
    )


@otlp.quickly
@given(spans())
def test_json_and_protobuf_say_the_same_of_spans(batch: list[ReadableSpan]) -> None:
    protobuf = encode_spans(batch, Encoding.PROTOBUF)
    json = encode_spans(batch, Encoding.JSON)
    assert (json.items, json.skipped) == (protobuf.items, protobuf.skipped)
    assert otlp.same(otlp.from_json("traces", json), otlp.from_protobuf("traces", protobuf))


@otlp.quickly
@given(spans())
def test_spans_are_what_upstream_writes_but_for_three_differences(batch: list[ReadableSpan]) -> None:
    """Ours carry trace flags and the trace state of links, and leave out a status that says nothing."""
    # Upstream merges resources that are equal though not the same object; ours need not.
    known: dict[Resource, Resource] = {}
    for span in batch:
        span._resource = known.setdefault(span.resource, span.resource)
    ours = otlp.from_protobuf("traces", encode_spans(batch, Encoding.PROTOBUF))
    theirs = upstream_encode_spans(batch)
    for span in _all_spans(ours):
        span.flags &= ~0xFF
        for link in span.links:
            link.flags &= ~0xFF
            link.ClearField("trace_state")
    for span in _all_spans(theirs):
        if not span.status.code and not span.status.message:
            span.ClearField("status")
    for resource in theirs.resource_spans:
        for scope in resource.scope_spans:
            if not scope.scope.ByteSize() and not _has_scope(ours, scope):
                scope.ClearField("scope")  # a span without a scope
    assert otlp.same(ours, theirs)


def _all_spans(request: Any) -> list[Any]:
    return [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]


def _has_scope(request: Any, like: Any) -> bool:
    return any(
        scope.HasField("scope")
        for resource in request.resource_spans
        for scope in resource.scope_spans
        if len(scope.spans) == len(like.spans)
        and scope.spans[0].span_id == like.spans[0].span_id
        and not scope.scope.ByteSize()
    )


@otlp.quickly
@given(spans())
def test_a_span_of_another_make_is_written_like_one_of_the_sdk(batch: list[ReadableSpan]) -> None:
    """A span whose inside is not the SDK's is read through its properties."""
    others = [Lean(span) for span in batch]
    for encoding in Encoding:
        assert encode_spans(others, encoding).body == encode_spans(batch, encoding).body  # type: ignore[arg-type] # looser than the stub, on purpose


class Lean:
    """A span with the properties of the SDK's, and nothing else of it."""

    __slots__ = ("_span",)

    def __init__(self, span: ReadableSpan) -> None:
        self._span = span

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._span, name)


def test_spans_of_a_real_tracer_arrive_in_full() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests", "1")
    with tracer.start_as_current_span("parent", kind=SpanKind.SERVER, attributes={"n": 1}) as parent:
        parent.add_event("seen", {"what": ("a", "b")})
        link = Link(parent.get_span_context(), {"why": "test"})
        with tracer.start_as_current_span("child", links=[link]) as child:
            child.set_status(StatusCode.ERROR, "no")
    finished = list(exporter.get_finished_spans())
    request = otlp.from_protobuf("traces", encode_spans(finished, Encoding.PROTOBUF))
    for message, span in zip(_all_spans(request), finished, strict=True):
        assert_span(message, span)


def test_a_tracer_asked_for_at_each_call_does_not_repeat_its_scope() -> None:
    batch = [
        ReadableSpan(
            "work",
            SpanContext(1, number, is_remote=False),
            resource=Resource.get_empty(),
            start_time=1,
            end_time=2,
            instrumentation_scope=InstrumentationScope("library", "1"),
        )
        for number in range(1, 50)
    ]
    request = otlp.from_protobuf("traces", encode_spans(batch, Encoding.PROTOBUF))
    (resource,) = request.resource_spans
    (scope,) = resource.scope_spans
    assert len(scope.spans) == len(batch)


def test_an_empty_batch_is_an_empty_request() -> None:
    assert encode_spans([], Encoding.PROTOBUF).body == b""
    assert encode_spans([], Encoding.JSON).body == b"{}"
