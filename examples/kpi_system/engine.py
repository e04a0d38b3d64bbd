"""The analytics engine: looks for anomalies, correlations and trends in a model's figures.

Observed with `otel_kpi.analytics`: an analysis is a span with a stage for each part, what is found is counted, and
the name of the KPI is on log events alone.
"""

from dataclasses import dataclass
from itertools import combinations

from kpi_system import detectors, feeds
from kpi_system.detectors import Outlier
from otel_kpi import analytics, timed


@dataclass(frozen=True, slots=True)
class Finding:
    """An anomaly.

    Attributes:
        metric: The KPI.
        method: Which method found it.
        outlier: Where and how far.
    """

    metric: str
    method: str
    outlier: Outlier


@timed("analyse")
def analyse(model: str) -> list[Finding]:
    """Analyse a model; return the anomalies.

    Raises:
        ValueError: There are no figures.
    """
    with analytics.analysis(model):
        figures = feeds.figures(model)
        found = _anomalies(model, figures)
        with analytics.stage(model, "correlation"):
            pairs = list(combinations(figures.values(), 2))
            for one, other in pairs:
                detectors.correlation(one, other)
            analytics.correlations(model, len(pairs))
        with analytics.stage(model, "trend"):
            for values in figures.values():
                analytics.trend(model, detectors.direction(values))
        with analytics.stage(model, "insight"):
            for finding in found:
                analytics.insight(model, finding.outlier.severity, metric=finding.metric)
    return found


def _anomalies(model: str, figures: dict[str, list[float]]) -> list[Finding]:
    found: list[Finding] = []
    with analytics.stage(model, "statistical") as stage:
        if not figures:
            raise ValueError(f"there are no figures of {model}")
        stage.data_points(sum(map(len, figures.values())))
        for metric, values in figures.items():
            for name, method in detectors.METHODS.items():
                with analytics.algorithm(model, name):
                    outliers = method(values)
                for outlier in outliers:
                    analytics.anomaly(model, metric, name, outlier.severity, score=outlier.score)
                    found.append(Finding(metric, name, outlier))
    return found
