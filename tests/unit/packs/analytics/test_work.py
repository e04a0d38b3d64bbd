"""An analysis, its stages and its methods: counted, timed and traced however they end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from otel_kpi import analytics
from otel_kpi.packs.analytics import work

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.measured import Measured


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans of the test: the provider of the process could be set but once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(work, "tracer", provider.get_tracer("test"))
    return exporter


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def _named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def test_analysis_is_counted_when_it_starts_and_when_it_ends(series: Measured) -> None:
    with analytics.analysis("marketing"):
        assert series.value("kpi_analytics_analyses_started_total", model_name="marketing") == 1
        assert series.value("kpi_analytics_analyses_active", model_name="marketing") == 1
        assert series.labels("kpi_analytics_analyses_completed_total") == set()
    assert series.value("kpi_analytics_analyses_active", model_name="marketing") == 0
    ended = {"model_name": "marketing", "kpi_analytics_result": "success"}
    assert series.value("kpi_analytics_analyses_completed_total", **ended) == 1
    assert series.value("kpi_analytics_analysis_duration_seconds", **ended)[0] == 1


@pytest.mark.parametrize(
    ("raised", "result"),
    [
        (ValueError("no"), "error"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "cancellation"),
        (KeyboardInterrupt(), "cancellation"),
        (SystemExit(143), "cancellation"),
    ],
)
def test_whatever_ends_an_analysis_is_its_result_and_goes_on(
    series: Measured, spans: InMemorySpanExporter, raised: BaseException, result: str
) -> None:
    with pytest.raises(type(raised)) as caught, analytics.analysis("marketing"):
        raise raised
    assert caught.value is raised
    ended = {"model_name": "marketing", "kpi_analytics_result": result}
    assert series.value("kpi_analytics_analyses_completed_total", **ended) == 1
    attributes = _named(spans, "analyse marketing").attributes or {}
    assert attributes["kpi.analytics.result"] == result
    assert str(attributes["error.type"]).endswith(type(raised).__name__)


def test_stage_is_a_child_of_its_analysis_and_says_what_was_found(
    series: Measured, spans: InMemorySpanExporter
) -> None:
    with analytics.analysis("marketing") as analysis, analysis.stage("statistical") as stage:
        stage.data_points(300)
        analytics.anomaly("marketing", "conversion_rate", "zscore", "high", score=4.2)
        analytics.anomaly("sales", "revenue", "iqr", "low")
    outer, inner = _named(spans, "analyse marketing"), _named(spans, "statistical marketing")
    assert inner.parent is not None
    assert inner.parent.span_id == _id(outer)
    for span in (outer, inner):
        attributes = span.attributes or {}
        assert attributes["kpi.analytics.data_points"] == 300
        assert attributes["kpi.analytics.anomalies"] == 1, "the anomaly of another model is not this one's"
    duration = series.value(
        "kpi_analytics_stage_duration_seconds",
        model_name="marketing",
        kpi_analytics_stage="statistical",
        kpi_analytics_result="success",
    )
    assert duration[0] == 1
    assert series.value("kpi_analytics_data_points_processed_total", model_name="marketing") == 300


def test_decorated_function_is_an_analysis_at_each_call(series: Measured) -> None:
    @analytics.analysis("marketing")
    def double(number: int) -> int:
        """Twice."""
        return 2 * number

    assert [double(number) for number in range(3)] == [0, 2, 4]
    assert double.__doc__ == "Twice."
    assert series.value("kpi_analytics_analyses_started_total", model_name="marketing") == 3
    assert series.value("kpi_analytics_analyses_active", model_name="marketing") == 0


async def _concurrent(series: Measured) -> None:
    both = asyncio.Event()

    @analytics.analysis("marketing")
    async def one() -> None:
        if series.value("kpi_analytics_analyses_active", model_name="marketing") == 2:
            both.set()
        await both.wait()

    await asyncio.gather(one(), one())


def test_coroutines_are_analysed_beside_each_other(series: Measured) -> None:
    asyncio.run(_concurrent(series))
    ended = {"model_name": "marketing", "kpi_analytics_result": "success"}
    assert series.value("kpi_analytics_analyses_completed_total", **ended) == 2


def test_function_that_gives_a_coroutine_lasts_until_it_is_done(
    series: Measured, spans: InMemorySpanExporter
) -> None:
    async def span_id() -> int:
        await asyncio.sleep(0)
        return trace.get_current_span().get_span_context().span_id

    @analytics.stage("marketing", "statistical")
    def later() -> asyncio.Future[int] | object:
        return span_id()

    async def main() -> int:
        pending = later()
        assert series.labels("kpi_analytics_stage_duration_seconds") == set()
        assert not trace.get_current_span().get_span_context().is_valid
        return await pending  # type: ignore[misc, no-any-return] # declared as what comes out is not known

    assert asyncio.run(main()) == _id(_named(spans, "statistical marketing"))


def test_generator_left_half_way_ends_its_stage_and_leaks_no_context(
    series: Measured, spans: InMemorySpanExporter
) -> None:
    @analytics.stage("marketing", "trend")
    def values() -> Generator[int]:
        yield from range(10)

    with contextlib.closing(values()) as half:
        assert next(half) == 0
        assert not trace.get_current_span().get_span_context().is_valid
    assert (_named(spans, "trend marketing").attributes or {})["kpi.analytics.result"] == "cancellation"
    assert _named(spans, "trend marketing").status.status_code is StatusCode.UNSET
    assert list(values()) == list(range(10))
    assert {
        dict(each)["kpi_analytics_result"] for each in series.labels("kpi_analytics_stage_duration_seconds")
    } == {
        "cancellation",
        "success",
    }


def test_async_generator_ends_its_stage_with_its_last_value(series: Measured) -> None:
    @analytics.stage("marketing", "trend")
    async def values() -> AsyncGenerator[int]:
        for number in range(3):
            yield number

    async def main() -> list[int]:
        return [number async for number in values()]

    assert asyncio.run(main()) == [0, 1, 2]
    (only,) = series.labels("kpi_analytics_stage_duration_seconds")
    assert dict(only)["kpi_analytics_result"] == "success"


def test_algorithm_has_a_time_and_no_span(series: Measured, spans: InMemorySpanExporter) -> None:
    with analytics.algorithm("marketing", "iqr"):
        pass
    method = {"model_name": "marketing", "kpi_analytics_method": "iqr"}
    assert series.value("kpi_analytics_algorithm_duration_seconds", **method)[0] == 1
    assert spans.get_finished_spans() == ()


def test_wrong_values_never_reach_the_application(series: Measured) -> None:
    with analytics.analysis("marketing") as analysis:
        analysis.data_points("many")  # type: ignore[arg-type] # what a caller may do
        analysis.data_points(-1)
        analysis.data_points(None)  # type: ignore[arg-type] # as above
    analytics.anomaly(None, object(), [], {})  # type: ignore[arg-type] # as above
    analytics.insight(7, float("nan"))  # type: ignore[arg-type] # as above
    analytics.trend("marketing", "sideways")
    analytics.correlations("marketing", float("inf"))  # type: ignore[arg-type] # as above
    assert series.labels("kpi_analytics_data_points_processed_total") == set()
    trends = series.labels("kpi_analytics_trends_detected_total")
    assert trends == {(("kpi_analytics_trend_direction", "other"), ("model_name", "marketing"))}


def test_exception_is_recorded_on_the_innermost_span_alone(spans: InMemorySpanExporter) -> None:
    def analyse() -> None:
        with analytics.analysis("marketing") as analysis, analysis.stage("statistical"):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        analyse()
    assert len(_named(spans, "statistical marketing").events) == 1
    assert len(_named(spans, "analyse marketing").events) == 0
    assert not _named(spans, "analyse marketing").status.is_ok


def test_stage_that_ends_in_another_task_leaves_the_context_of_that_task_alone(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        stage = analytics.stage("marketing", "trend")
        await asyncio.create_task(asyncio.to_thread(stage.__enter__))
        with analytics.analysis("sales") as other:
            stage.__exit__(None, None, None)
            assert trace.get_current_span() is other.span

    asyncio.run(main())
    assert len(spans.get_finished_spans()) == 2
    assert not caplog.records
