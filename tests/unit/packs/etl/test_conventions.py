"""Spans, events and series carry what the pack declares, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi import etl
from otel_kpi.model import label_name

if TYPE_CHECKING:
    from .conftest import Telemetry


@pytest.fixture
def played(telemetry: Telemetry) -> Telemetry:
    """Everything that can be said, said once."""
    links = [f"00-{n + 1:032x}-{n + 1:016x}-01" for n in range(200)]
    options: Any = {
        "trigger": "backfill",
        "attempt": 2,
        "nominal": ("2026-11-01", "2026-11-02"),
        "links": links,
    }

    @etl.pipeline("marketing", inputs="a", outputs="b", **options)
    def main() -> None:
        with etl.stage("extract") as stage:
            stage.read(10, bytes=100)
            stage.skipped(1)
            stage.retried(ConnectionError())
            stage.data_points(30)
        with etl.batches(range(10), size=5, stage="validate") as batches:
            for batch in batches:
                batches.count(valid=len(batch) - 1, invalid=1)
                batches.errors("missing_email")
        with etl.stage("load") as stage:
            stage.written(8, bytes=80)
            stage.rejected(1, "duplicate")
            stage.check("complete", False, column="email", failed=1)
            stage.freshness(datetime.now(UTC))
            stage.quality_score(80)
        telemetry.series.labels("kpi_etl_pipeline_run_elapsed_seconds")
        raise ValueError("at last")

    with pytest.raises(ValueError, match="at last"):
        main()
    with etl.run("marketing"):
        pass
    return telemetry


def test_spans_carry_declared_attributes(played: Telemetry) -> None:
    declared = {each.id: {attribute.name for attribute in each.attributes} for each in etl.PACK.spans}
    required = {
        each.id: {attribute.name for attribute in each.attributes if attribute.required}
        for each in etl.PACK.spans
    }
    seen: dict[str, set[str]] = {}
    for span in played.exporter.get_finished_spans():
        kind = {"run": "kpi.etl.run", "batch": "kpi.etl.batch"}.get(span.name.split()[0], "kpi.etl.stage")
        attributes = set(span.attributes or {})
        assert attributes <= declared[kind], span.name
        assert required[kind] - attributes <= {"kpi.etl.batch.size"}, span.name
        seen.setdefault(kind, set()).update(attributes)
    missing = {kind: names - seen[kind] for kind, names in declared.items()}
    assert missing["kpi.etl.run"] == set()


def test_events_carry_declared_attributes(played: Telemetry) -> None:
    declared = {each.name: {attribute.name for attribute in each.attributes} for each in etl.PACK.events}
    seen = {name: set[str]().union(*map(set, played.events(name))) for name in declared}
    assert {name: found - declared[name] for name, found in seen.items()} == {
        name: set[str]() for name in declared
    }
    for name in ("kpi.etl.run.start", "kpi.etl.check.result"):
        assert seen[name] == declared[name]


def test_every_instrument_is_recorded_under_its_name_and_labels(played: Telemetry) -> None:
    with etl.run("marketing"):
        for instrument in etl.PACK.instruments:
            series = played.series.labels(instrument.series_name)
            assert series, instrument.name
            allowed = {label_name(each.name) for each in instrument.attributes}
            assert {key for labels in series for key, _ in labels} == allowed, instrument.name
