"""The root of a script is withdrawn in time: after so many spans, so much time, or when the process serves."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from otel_kpi.instrumentation.runtime import script
from otel_kpi.sdk.tracers import RememberingTracerProvider


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    # A test run is no script; what is tested here is what happens when it is one.
    monkeypatch.setattr(script, "is_script", lambda: True)
    return InMemorySpanExporter()


def provider_with_root(exporter: InMemorySpanExporter, **limits: Any) -> tuple[Any, script.ScriptRoot]:
    provider = RememberingTracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    root = script.ScriptRoot(provider, **limits)
    provider.place = root.place
    return provider.get_tracer("client"), root


def test_after_its_limit_work_is_a_trace_of_its_own_with_a_link(exporter: InMemorySpanExporter) -> None:
    tracer, root = provider_with_root(exporter, most_spans=3)
    for number in range(5):
        tracer.start_span(f"call {number}", kind=SpanKind.CLIENT).end()
    root.end(None)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    [start] = [span for span in spans.values() if span.kind is SpanKind.INTERNAL]
    assert start.context is not None
    below = [name for name, span in spans.items() if span.parent == start.context]
    assert below == ["call 0", "call 1", "call 2"]
    for name in ("call 3", "call 4"):
        assert spans[name].parent is None
        assert [link.context for link in spans[name].links] == [start.context]
    assert start.end_time is not None
    assert start.end_time <= (spans["call 3"].start_time or 0), "it arrives when it is withdrawn"


def test_after_its_time_work_is_a_trace_of_its_own(exporter: InMemorySpanExporter) -> None:
    tracer, _ = provider_with_root(exporter, longest=0.0)
    tracer.start_span("first", kind=SpanKind.CLIENT).end()
    tracer.start_span("later", kind=SpanKind.CLIENT).end()
    first, start, later = exporter.get_finished_spans()
    assert first.parent == start.context
    assert later.parent is None
    assert len(later.links) == 1


@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
def test_incoming_span_ends_the_root_and_is_not_below_it(
    exporter: InMemorySpanExporter, kind: SpanKind
) -> None:
    tracer, _ = provider_with_root(exporter)
    tracer.start_span("before", kind=SpanKind.CLIENT).end()
    tracer.start_span("incoming", kind=kind).end()
    tracer.start_span("after", kind=SpanKind.CLIENT).end()
    before, start, incoming, after = exporter.get_finished_spans()
    assert before.parent == start.context
    assert incoming.parent is None
    assert after.parent is None


def test_span_with_a_parent_and_span_that_is_a_root_on_purpose_are_left_alone(
    exporter: InMemorySpanExporter,
) -> None:
    tracer, root = provider_with_root(exporter)
    with tracer.start_as_current_span("run") as run:
        tracer.start_span("below", kind=SpanKind.CLIENT).end()
    tracer.start_span("on purpose", context.Context(), SpanKind.CLIENT).end()
    root.end(None)
    below, run_, on_purpose = exporter.get_finished_spans()
    assert below.parent == run.get_span_context()
    assert run_.parent is None
    assert on_purpose.parent is None


def test_root_that_is_not_sampled_takes_its_calls_along(exporter: InMemorySpanExporter) -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

    provider = RememberingTracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    root = script.ScriptRoot(provider)
    provider.place = root.place
    span = provider.get_tracer("client").start_span("call", kind=SpanKind.CLIENT)
    assert not span.is_recording()
    root.end(None)
    assert exporter.get_finished_spans() == ()


def test_providers_without_a_script_notice_nothing(exporter: InMemorySpanExporter) -> None:
    provider = RememberingTracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("client").start_span("call", kind=SpanKind.CLIENT).end()
    [call] = exporter.get_finished_spans()
    assert call.parent is None
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_error_of_ours_leaves_the_call_a_trace_of_its_own_and_is_said_once(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise OSError("no such program")

    monkeypatch.setattr(script, "name_of_script", broken)
    tracer, root = provider_with_root(exporter)
    for _ in range(3):
        tracer.start_span("call", kind=SpanKind.CLIENT).end()
    root.end(None)
    assert [(span.name, span.parent) for span in exporter.get_finished_spans()] == [("call", None)] * 3
    assert [record.message for record in caplog.records] == [
        "the calls of this script have no root: OSError('no such program')"
    ]
