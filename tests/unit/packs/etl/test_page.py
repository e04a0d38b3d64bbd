"""What docs/etl.md shows does what it says, and what it prints is what comes out."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .conftest import context_id

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from .conftest import Telemetry

PAGE = (Path(__file__).parents[4] / "docs" / "etl.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'```(\w+)(?: title="([^"]*)")?\n(.*?)```', PAGE, re.DOTALL)
ELSEWHERE = {"management/commands/coaching_sync.py", "tasks.py", "Airflow, Dagster, Prefect"}
"""Run by the tests of the adapters, with the real libraries."""
WORDS = {
    "kpi.etl.batch.size": "size",
    "kpi.etl.records.read": "read",
    "kpi.etl.records.written": "written",
    "kpi.etl.records.valid": "valid",
    "kpi.etl.records.rejected": "rejected",
    "kpi.etl.bytes.written": "bytes_written",
    "kpi.etl.quality_score": "quality_score",
    "kpi.etl.batches.count": "batches",
}
SERIES = (
    "kpi_etl_records_processed_total",
    "kpi_etl_validation_errors_total",
    "kpi_etl_batches_processed_total",
    "kpi_etl_io_bytes_total",
    "kpi_etl_quality_score",
    "kpi_etl_pipeline_runs_total",
)


def shown(title: str) -> str:
    [text] = [text for _, given, text in BLOCKS if given == title]
    return text


def tree(spans: list[ReadableSpan], parent: int | None = None, indent: str = "") -> list[str]:
    """Spans as a page shows them."""
    children = [each for each in spans if (each.parent.span_id if each.parent else None) == parent]
    children.sort(key=lambda each: each.start_time or 0)
    lines: list[str] = []
    for each in children:
        last = each is children[-1]
        branch = "" if parent is None else indent + ("└─ " if last else "├─ ")
        attributes: dict[str, Any] = dict(each.attributes or {})
        said = [f"{word}={round(attributes[name], 1)}" for name, word in WORDS.items() if name in attributes]
        lines.append(f"{branch + each.name:<23} {attributes['kpi.etl.result']:<8} {' '.join(said)}".rstrip())
        below = "" if parent is None else indent + ("   " if last else "│  ")
        lines += tree(spans, context_id(each)[1], below)
    return lines


def series(telemetry: Telemetry) -> list[str]:
    lines: list[str] = []
    for name in SERIES:
        for labels, point in telemetry.series.points(name).items():
            if point.value:
                said = ",".join(f'{key}="{value}"' for key, value in labels)
                lines.append(f"{name}{{{said}}} {point.value}")
    return lines


def test_first_example_says_what_the_page_shows(telemetry: Telemetry) -> None:
    exec(compile(shown("nightly.py"), "nightly.py", "exec"), {})
    assert tree(list(telemetry.exporter.get_finished_spans())) == shown("trace").splitlines()
    assert series(telemetry) == shown("series").splitlines()
    assert telemetry.attributes("run marketing")["kpi.etl.output.datasets"] == (
        "postgres://db:5432/kpi.public.facts",
    )


def test_examples_run_and_those_of_frameworks_are_python(telemetry: Telemetry, tmp_path: Path) -> None:
    names: dict[str, Any] = {"folder": tmp_path}
    for language, title, text in BLOCKS:
        if language == "python" and title in ELSEWHERE:
            ast.parse(text)
        elif language == "python":
            exec(compile(text, title or "etl.md", "exec"), names)
    assert telemetry.result("run report") == "success"
    assert len(telemetry.span("run report").links) == 1, "message, row and file came from one run"
    assert telemetry.records("extract", "read", "crm") == 300 + 1000 + 2
    assert telemetry.records("load", "read", "crm") == 6000
    assert telemetry.value("kpi_etl_quality_score", model_name="crm") == 50
    assert len(telemetry.events("kpi.etl.check.result")) == 1


def test_page_names_every_verb_result_and_documented_series() -> None:
    from otel_kpi import etl
    from otel_kpi.packs.outcome import RESULTS

    verbs = {name for name in etl.__all__ if name[0].islower()}
    assert sorted(name for name in verbs if not re.search(rf"\b{name}\b", PAGE)) == []
    assert [result for result in RESULTS if f"`{result}`" not in PAGE] == []
    assert "kpi_etl_quality_score{model_name}" in PAGE
