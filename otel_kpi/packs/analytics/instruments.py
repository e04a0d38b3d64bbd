"""What is measured of an analytics engine: analyses, their stages and algorithms, and what they find."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Event, Histogram, Pack, Span, UpDownCounter
from otel_kpi.packs.attributes import ERROR_TYPE, MODEL_NAME
from otel_kpi.packs.outcome import RESULTS

_SECONDS: Final = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)
"""5 ms to 1 h: a statistic over a thousand numbers, and a year's data."""

SEVERITY: Final = Attribute(
    name="severity",
    brief="How much what was found matters, in the words of the engine.",
    members=("low", "medium", "high", "critical", "info"),
    source="S0: the label that its alert HighAnomalyRate names",
)
METHOD: Final = Attribute(
    name="kpi.analytics.method",
    brief="The statistical method: of a detector, or of a correlation or a trend.",
    budget=12,
    members=("zscore", "iqr", "modified_zscore"),
    examples=("zscore", "iqr", "modified_zscore", "pearson", "linear_regression"),
    source="S0",
)
STAGE: Final = Attribute(
    name="kpi.analytics.stage",
    brief="A part of an analysis.",
    budget=12,
    examples=("statistical", "correlation", "trend", "insight", "llm"),
    source="S0",
)
RESULT: Final = Attribute(
    name="kpi.analytics.result",
    brief="How it ended.",
    members=RESULTS,
    source="https://opentelemetry.io/docs/specs/semconv/attributes-registry/cicd/ (cicd.pipeline.result)",
)
DIRECTION: Final = Attribute(
    name="kpi.analytics.trend.direction",
    brief="Where a KPI is going.",
    members=("up", "down", "stable"),
    source="S0",
)
METRIC: Final = Attribute(
    name="kpi.analytics.metric",
    brief="The KPI in which something was found; on events and spans alone, since there may be any number of them.",
    examples=("conversion_rate",),
    source="S0",
)
SCORE: Final = Attribute(
    name="kpi.analytics.score",
    brief="How far the value is from what was expected, in the measure of the method.",
    type="double",
    examples=("4.2",),
)
DATA_POINTS: Final = Attribute(
    name="kpi.analytics.data_points", brief="Values that were looked at.", type="int", examples=("1000",)
)
FOUND: Final = Attribute(
    name="kpi.analytics.anomalies", brief="Anomalies that were found.", type="int", examples=("3",)
)

ANOMALIES_DETECTED: Final = Counter(
    name="kpi.analytics.anomalies_detected",
    unit="{anomaly}",
    brief="Anomalies that a method found in a model's KPIs.",
    attributes=(SEVERITY, MODEL_NAME, METHOD),
    prometheus="kpi_analytics_anomalies_detected_total",
    source="B2; C1 HighAnomalyRate",
    systems=("S0",),
    series=500,
)
ANALYSES_STARTED: Final = Counter(
    name="kpi.analytics.analyses.started",
    unit="{analysis}",
    brief="Analyses that began.",
    attributes=(MODEL_NAME,),
    source="B2",
    systems=("S0",),
)
ANALYSES_COMPLETED: Final = Counter(
    name="kpi.analytics.analyses.completed",
    unit="{analysis}",
    brief="Analyses that ended, by how.",
    attributes=(MODEL_NAME, RESULT),
    source="B2",
    systems=("S0",),
)
ANALYSES_ACTIVE: Final = UpDownCounter(
    name="kpi.analytics.analyses.active",
    unit="{analysis}",
    brief="Analyses that are running.",
    attributes=(MODEL_NAME,),
    source="B2",
    systems=("S0",),
)
ANALYSIS_DURATION: Final = Histogram(
    name="kpi.analytics.analysis.duration",
    unit="s",
    brief="Time of an analysis from its start to its end.",
    attributes=(MODEL_NAME, RESULT),
    buckets=_SECONDS,
    source="B2",
    systems=("S0",),
)
STAGE_DURATION: Final = Histogram(
    name="kpi.analytics.stage.duration",
    unit="s",
    brief="Time of a part of an analysis.",
    attributes=(MODEL_NAME, STAGE, RESULT),
    buckets=_SECONDS,
    source="B2",
    systems=("S0",),
    series=500,
)
ALGORITHM_DURATION: Final = Histogram(
    name="kpi.analytics.algorithm.duration",
    unit="s",
    brief="Time of one run of a statistical method.",
    attributes=(MODEL_NAME, METHOD),
    buckets=(0.001, *_SECONDS),
    source="B2",
    systems=("S0",),
    series=500,
)
INSIGHTS_GENERATED: Final = Counter(
    name="kpi.analytics.insights.generated",
    unit="{insight}",
    brief="Insights that were written, by how much they matter.",
    attributes=(SEVERITY, MODEL_NAME),
    source="B2",
    systems=("S0",),
)
CORRELATIONS_CALCULATED: Final = Counter(
    name="kpi.analytics.correlations.calculated",
    unit="{correlation}",
    brief="Correlations between two KPIs that were calculated.",
    attributes=(MODEL_NAME,),
    source="B2",
    systems=("S0",),
)
TRENDS_DETECTED: Final = Counter(
    name="kpi.analytics.trends.detected",
    unit="{trend}",
    brief="Trends that were found, by direction.",
    attributes=(MODEL_NAME, DIRECTION),
    source="B2",
    systems=("S0",),
)
DATA_POINTS_PROCESSED: Final = Counter(
    name="kpi.analytics.data_points.processed",
    unit="{data_point}",
    brief="Values of KPIs that analyses looked at.",
    attributes=(MODEL_NAME,),
    source="B2",
    systems=("S0",),
)

ANALYSIS_SPAN: Final = Span(
    id="kpi.analytics.analysis",
    name="analyse {model_name}",
    kind="internal",
    brief="One analysis of one model, from its start to its end.",
    attributes=(MODEL_NAME, RESULT, ERROR_TYPE, DATA_POINTS, FOUND),
    source="B2",
    systems=("S0",),
)
STAGE_SPAN: Final = Span(
    id="kpi.analytics.stage",
    name="{kpi.analytics.stage} {model_name}",
    kind="internal",
    brief="One part of an analysis. What a language model is asked in it is a span of that client's below it.",
    attributes=(MODEL_NAME, STAGE, RESULT, ERROR_TYPE, DATA_POINTS, FOUND),
    source="B2",
    systems=("S0",),
)
ANOMALY_EVENT: Final = Event(
    name="kpi.analytics.anomaly",
    brief="Written for each anomaly: the one place that names the KPI.",
    attributes=(MODEL_NAME, METRIC, METHOD, SEVERITY, SCORE),
    source="research: the KPI's name on log events only",
    systems=("S0",),
)
INSIGHT_EVENT: Final = Event(
    name="kpi.analytics.insight",
    brief="Written for each insight: by how much it matters, and of which KPI it speaks; never its text.",
    attributes=(MODEL_NAME, METRIC, SEVERITY),
    source="B2",
    systems=("S0",),
)

PACK: Final = Pack(
    name="analytics",
    title="Analytics",
    brief="What an analytics engine did and found: analyses, stages and methods with their times, anomalies by method "
    "and severity, insights, correlations and trends.",
    instruments=(
        ANOMALIES_DETECTED,
        ANALYSES_STARTED,
        ANALYSES_COMPLETED,
        ANALYSES_ACTIVE,
        ANALYSIS_DURATION,
        STAGE_DURATION,
        ALGORITHM_DURATION,
        INSIGHTS_GENERATED,
        CORRELATIONS_CALCULATED,
        TRENDS_DETECTED,
        DATA_POINTS_PROCESSED,
    ),
    spans=(ANALYSIS_SPAN, STAGE_SPAN),
    events=(ANOMALY_EVENT, INSIGHT_EVENT),
)
