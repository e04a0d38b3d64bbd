"""An analytics engine in the words of the KPI system: started, completed, detected.

For code that is written against those words. They count what `analysis`, `stage` and `anomaly` count, in the same
series; who writes anew uses these, which have spans besides.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from otel_kpi.packs.analytics import findings, handles
from otel_kpi.packs.analytics.work import stage as stage_of
from otel_kpi.packs.decoration import within

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

R = TypeVar("R")


class AnalyticsEngine:
    """What an engine says of itself; made by `AnalyticsInstrumentation.instrument_analytics_engine()`."""

    __slots__ = ()

    def analysis_started(self, model_name: str) -> None:
        """An analysis begins: `kpi.analytics.analyses.started` and `.active`."""
        handles.analyses_started.add(1, model_name)
        handles.analyses_active.add(1, model_name)

    def analysis_completed(self, model_name: str, status: str) -> None:
        """An analysis that was started is over: `kpi.analytics.analyses.completed`.

        Args:
            model_name: The KPI model.
            status: `"success"`, `"error"`, `"failure"`, `"timeout"`, `"cancellation"` or `"skip"`.
        """
        handles.analyses_active.add(-1, model_name)
        handles.analyses_completed.add(1, model_name, status)

    def anomaly_detected(self, model_name: str, metric_name: str, method: str, severity: str) -> None:
        """A method found an anomaly: `kpi.analytics.anomalies_detected`, and an event that names the metric."""
        findings.anomaly(model_name, metric_name, method, severity)

    def insight_generated(self, model_name: str, severity: str) -> None:
        """An insight was written: `kpi.analytics.insights.generated`."""
        findings.insight(model_name, severity)

    def correlation_calculated(self, model_name: str, count: int = 1) -> None:
        """Correlations were calculated: `kpi.analytics.correlations.calculated`."""
        findings.correlations(model_name, count)

    def trend_detected(self, model_name: str, direction: str) -> None:
        """A trend was found, `"up"`, `"down"` or `"stable"`: `kpi.analytics.trends.detected`."""
        findings.trend(model_name, direction)

    def data_points_processed(self, model_name: str, count: int) -> None:
        """Values were looked at: `kpi.analytics.data_points.processed`."""
        findings.data_points(model_name, count)

    def time_algorithm(self, model_name: str, method: str) -> Callable[[], float]:
        """Measure a run of a method.

        Returns:
            What ends it: records `kpi.analytics.algorithm.duration` once, and gives the seconds.
        """
        began = time.perf_counter()
        seconds: list[float] = []

        def end_timer() -> float:
            if not seconds:
                seconds.append(time.perf_counter() - began)
                handles.algorithm_duration.record(seconds[0], model_name, method)
            return seconds[0]

        return end_timer


class AnalyticsInstrumentation:
    """Where the words come from."""

    @staticmethod
    def instrument_analytics_engine() -> AnalyticsEngine:
        """Get what an engine says of itself."""
        return AnalyticsEngine()

    @overload
    @staticmethod
    def instrument_analysis_stage(
        model_name: str, stage: str, function: Callable[[], Coroutine[Any, Any, R]]
    ) -> Coroutine[Any, Any, R]: ...

    @overload
    @staticmethod
    def instrument_analysis_stage(model_name: str, stage: str, function: Callable[[], R]) -> R: ...

    @staticmethod
    def instrument_analysis_stage(model_name: str, stage: str, function: Callable[[], Any]) -> Any:
        """Call a function as a stage: a span, and its time in `kpi.analytics.stage.duration`.

        Args:
            model_name: The KPI model.
            stage: For example `"statistical"`; at most 12 distinct values.
            function: What to do, without arguments.

        Returns:
            What the function returns. If that is awaitable, so is this, and the stage lasts until it is done.
        """
        return within(stage_of(model_name, stage).begin(), function)
