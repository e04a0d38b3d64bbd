"""Analytics: analyses, their stages and methods, and what they find.

Public: `analysis`, `stage`, `algorithm` around the work; `anomaly`, `insight`, `correlations`, `trend` and
`data_points` for what comes of it; `AnalyticsInstrumentation` for those who think in its words.
"""

from __future__ import annotations

from otel_kpi.packs.analytics.engine import AnalyticsInstrumentation
from otel_kpi.packs.analytics.findings import anomaly, correlations, data_points, insight, trend
from otel_kpi.packs.analytics.instruments import PACK
from otel_kpi.packs.analytics.work import Algorithm, Analysis, Stage, algorithm, analysis, stage

__all__ = [
    "PACK",
    "Algorithm",
    "Analysis",
    "AnalyticsInstrumentation",
    "Stage",
    "algorithm",
    "analysis",
    "anomaly",
    "correlations",
    "data_points",
    "insight",
    "stage",
    "trend",
]
