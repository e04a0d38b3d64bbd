"""Coaching sessions and plans: S4's words, and a block for each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from otel_kpi import coaching
from otel_kpi.packs.coaching import plans

if TYPE_CHECKING:
    from support.measured import Measured


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(plans, "tracer", provider.get_tracer("test"))
    return exporter


def test_session_that_is_over_is_one_session_with_its_duration_in_both_names(series: Measured) -> None:
    coaching.track_coaching_session("web_user", 90.0)
    assert series.value("coaching_sessions_total", kind="web_user") == 1
    assert series.value("coaching_session_duration_seconds", kind="web_user") == (1, 90.0)
    assert series.value("kpi_coaching_sessions_total", kpi_coaching_kind="web_user") == 1
    assert series.value("kpi_coaching_session_duration_seconds", kpi_coaching_kind="web_user") == (1, 90.0)


def test_session_of_a_block_is_active_while_it_lasts_and_counted_once(series: Measured) -> None:
    with coaching.session("web_user") as session:
        assert series.value("kpi_coaching_sessions_active", kpi_coaching_kind="web_user") == 1
        assert series.value("coaching_sessions_total", kind="web_user") == 1
        session.end()
        assert series.value("kpi_coaching_sessions_active", kpi_coaching_kind="web_user") == 0
    assert series.value("kpi_coaching_sessions_active", kpi_coaching_kind="web_user") == 0
    assert series.value("coaching_sessions_total", kind="web_user") == 1
    assert series.value("coaching_session_duration_seconds", kind="web_user")[0] == 1


@pytest.mark.parametrize("raised", [ValueError("no"), SystemExit(1), asyncio.CancelledError()])
def test_session_is_over_however_its_block_ends(series: Measured, raised: BaseException) -> None:
    async def main() -> None:
        async with coaching.session("api"):
            raise raised

    # Not `asyncio.run`, which would make something else of two of them.
    with pytest.raises(type(raised)):
        main().send(None)
    assert series.value("kpi_coaching_sessions_active", kpi_coaching_kind="api") == 0
    assert series.value("coaching_session_duration_seconds", kind="api")[0] == 1


def test_decorated_function_is_a_session_for_each_call(series: Measured) -> None:
    @coaching.session("api")
    def talk() -> int:
        return 5

    assert (talk(), talk()) == (5, 5)
    assert series.value("coaching_sessions_total", kind="api") == 2
    assert series.value("kpi_coaching_sessions_active", kpi_coaching_kind="api") == 0


def test_plan_is_a_span_with_a_time_in_both_names(series: Measured, spans: InMemorySpanExporter) -> None:
    with coaching.plan("running"), plans.tracer.start_as_current_span("chat"):
        pass
    chat, plan = spans.get_finished_spans()
    assert plan.name == "make plan running"
    assert chat.parent is not None
    assert plan.context is not None
    assert chat.parent.span_id == plan.context.span_id
    assert dict(plan.attributes or {}) == {"kpi.coaching.kind": "running", "kpi.coaching.result": "success"}
    ended = {"kpi_coaching_kind": "running", "kpi_coaching_result": "success"}
    assert series.value("kpi_coaching_plans_total", **ended) == 1
    assert series.value("kpi_coaching_plan_duration_seconds", **ended)[0] == 1
    assert series.value("coaching_plan_generation_duration_seconds", kind="running", status="success")[0] == 1


def test_plan_that_fails_says_why_and_what_was_raised_goes_on(
    series: Measured, spans: InMemorySpanExporter
) -> None:
    @coaching.plan("running")
    async def make() -> None:
        raise TimeoutError("slow")

    with pytest.raises(TimeoutError):
        asyncio.run(make())
    ended = {"kpi_coaching_kind": "running", "kpi_coaching_result": "timeout"}
    assert series.value("kpi_coaching_plans_total", **ended) == 1
    assert series.value("coaching_plan_generation_duration_seconds", kind="running", status="error")[0] == 1
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_bad_input_is_counted_or_dropped_and_raises_nothing(series: Measured) -> None:
    bad: Any = object()
    coaching.track_coaching_session(bad, bad)
    coaching.track_coaching_session("api", float("nan"))
    coaching.track_coaching_session("api", -1)
    with coaching.session(bad), coaching.plan(bad):
        pass
    assert series.value("coaching_sessions_total", kind="api") == 2
    assert series.value("coaching_session_duration_seconds", kind="api") is None
