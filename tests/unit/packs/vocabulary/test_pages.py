"""The examples of the pages on analytics and on the KPI system run as they stand, and record what the pages say."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support.children import RUN, environment, run
from support.receiver import Receiver

DOCS = Path(__file__).parents[4] / "docs"
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "metrics"),
    [
        (
            "analytics.md",
            {
                "kpi.analytics.anomalies_detected",
                "kpi.analytics.analyses.completed",
                "kpi.analytics.stage.duration",
                "kpi.analytics.algorithm.duration",
                "kpi.analytics.insights.generated",
                "kpi.analytics.data_points.processed",
            },
        ),
        (
            "kpi-system.md",
            {
                "kpi.etl.quality_score",
                "kpi.etl.stage.duration",
                "kpi.analytics.anomalies_detected",
                "kpi.analytics.stage.duration",
                "kpi.websocket.events.published",
                "kpi.websocket.delivery.duration",
            },
        ),
    ],
)
def test_examples_of_a_page_run(page: str, metrics: set[str], tmp_path: Path) -> None:
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    assert blocks
    program = tmp_path / "page.py"
    program.write_text("\n\n".join(blocks))
    with Receiver() as receiver:
        env = environment(receiver.url, OTEL_SERVICE_NAME=f"page-{page.partition('.')[0]}")
        ended = run([*RUN, sys.executable, str(program)], env)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert metrics <= {point.metric for point in receiver.points}


@pytest.mark.parametrize("page", ["analytics.md", "kpi-system.md"])
def test_series_of_a_page_are_declared(page: str) -> None:
    from otel_kpi.packs import own_packs

    declared = {each.series_name for pack in own_packs() for each in pack.instruments}
    declared |= {"otel_kpi_dropped_values_total", "otel_kpi_overflowed_values_total"}
    text = (DOCS / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:kpi|otel_kpi)_[a-z_]+)(?=[`{ ,])", text))
    labels = {
        "kpi_analytics_method",
        "kpi_analytics_result",
        "kpi_analytics_stage",
        "kpi_analytics_trend_direction",
    }
    assert named - labels - {"kpi_system"} <= declared
