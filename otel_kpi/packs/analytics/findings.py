"""What an analysis finds: anomalies, insights, correlations and trends. Counted, and the first two written as events.

The name of a KPI is on events alone: there may be thousands, and a series for each of them would be no metric.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import SeverityNumber

from otel_kpi.packs.analytics import handles
from otel_kpi.packs.analytics.instruments import ANOMALY_EVENT, INSIGHT_EVENT, METHOD, METRIC, SCORE, SEVERITY
from otel_kpi.packs.analytics.work import note_anomalies
from otel_kpi.packs.attributes import MODEL_NAME
from otel_kpi.packs.events import emit
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from otel_kpi.model import Event

_SEVERITIES: Final = {
    "info": SeverityNumber.INFO,
    "low": SeverityNumber.INFO,
    "medium": SeverityNumber.WARN,
    "high": SeverityNumber.ERROR,
    "critical": SeverityNumber.ERROR4,
}


def anomaly(  # noqa: PLR0913 - what an anomaly is: four words, and two numbers by name
    model: str, metric: str, method: str, severity: str, *, score: float | None = None, count: int = 1
) -> None:
    """Record an anomaly: one in `kpi.analytics.anomalies_detected`, and an event that names the KPI.

    Args:
        model: The KPI model, for example `"marketing"`; at most 40 distinct values.
        metric: The KPI; on the event only, so it may be any.
        method: `"zscore"`, `"iqr"`, `"modified_zscore"`, or another; at most 12 distinct values.
        severity: `"low"`, `"medium"`, `"high"`, `"critical"` or `"info"`.
        score: How far the value is from what was expected, in the measure of the method.
        count: Anomalies of the same kind in the same KPI; one event stands for all.
    """
    handles.anomalies_detected.add(count, severity, model, method)
    try:
        note_anomalies(model, count)
        attributes: dict[str, Any] = {
            MODEL_NAME.name: model,
            METRIC.name: metric,
            METHOD.name: method,
            SEVERITY.name: severity,
        }
        if score is not None and math.isfinite(score):
            attributes[SCORE.name] = float(score)
        _write(ANOMALY_EVENT, severity, attributes)
    except Exception as error:
        failed("the event of an anomaly", error)


def insight(model: str, severity: str, *, metric: str | None = None) -> None:
    """Record an insight: one in `kpi.analytics.insights.generated`, and an event; its text is not taken.

    Args:
        model: The KPI model.
        severity: As of an anomaly.
        metric: The KPI that it speaks of; on the event only.
    """
    handles.insights_generated.add(1, severity, model)
    try:
        attributes = {MODEL_NAME.name: model, SEVERITY.name: severity, METRIC.name: metric}
        _write(INSIGHT_EVENT, severity, attributes)
    except Exception as error:
        failed("the event of an insight", error)


def correlations(model: str, count: int = 1) -> None:
    """Count correlations between two KPIs that were calculated, in `kpi.analytics.correlations.calculated`."""
    handles.correlations_calculated.add(count, model)


def trend(model: str, direction: str) -> None:
    """Count a trend in `kpi.analytics.trends.detected`; `direction` is `"up"`, `"down"` or `"stable"`."""
    handles.trends_detected.add(1, model, direction)


def data_points(model: str, count: int) -> None:
    """Count values that were looked at outside of an `analysis()` or a `stage()`, which have a method for it."""
    handles.data_points_processed.add(count, model)


def _write(event: Event, severity: str, attributes: dict[str, Any]) -> None:
    number = _SEVERITIES.get(severity, SeverityNumber.INFO)
    emit(handles.SCOPE, event.name, attributes, severity=number, severity_text=severity)
