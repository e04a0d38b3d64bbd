"""Frames and checks where they are used: in the stages of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pandera.pandas as pa
import pandera.polars as pp
import polars as pl
import pytest

from otel_kpi import etl

if TYPE_CHECKING:
    from support.measured import Measured

ROWS: dict[str, Any] = {"email": ["secret", "b@x", "c@x"], "age": [-1, 42, 53]}
FRAMES = pytest.mark.parametrize("frame", [pd.DataFrame(ROWS), pl.DataFrame(ROWS)], ids=["pandas", "polars"])


def _records(series: Measured, stage_type: str, status: str) -> Any:
    labels = {"model_name": "crm", "kpi_etl_stage_type": stage_type, "kpi_etl_record_status": status}
    return series.value("kpi_etl_records_processed_total", **labels)


@FRAMES
def test_frame_that_is_read_and_written_counts_rows_and_bytes(series: Measured, frame: Any) -> None:
    with etl.run("crm"):
        with etl.stage("extract") as stage:
            stage.read(frame)
        with etl.stage("load") as stage:
            stage.written(frame)
    assert _records(series, "extract", "read") == 3
    assert _records(series, "load", "written") == 3
    for direction in ("read", "write"):
        labels = {"model_name": "crm", "kpi_etl_io_direction": direction}
        assert series.value("kpi_etl_io_bytes_total", **labels) == _bytes(frame)


def _bytes(frame: Any) -> int:
    if isinstance(frame, pd.DataFrame):
        return int(frame.memory_usage(deep=False).sum())
    return int(frame.estimated_size())


def test_lazy_frame_counts_nothing_and_is_not_collected(series: Measured) -> None:
    collected: list[int] = []

    def noted(frame: pl.DataFrame) -> pl.DataFrame:
        collected.append(frame.height)
        return frame

    with etl.run("crm"), etl.stage("extract") as stage:
        stage.read(pl.DataFrame(ROWS).lazy().map_batches(noted))
    assert not collected
    assert not _records(series, "extract", "read")


@FRAMES
def test_batches_of_a_frame_are_frames_and_add_up(series: Measured, frame: Any) -> None:
    with etl.run("crm"), etl.batches(frame, size=2, stage="validate") as batches:
        sizes = [len(batch) for batch in batches]
    assert sizes == [2, 1]
    assert _records(series, "validate", "read") == 3


@pytest.mark.parametrize(
    ("library", "frame"), [(pa, pd.DataFrame), (pp, pl.DataFrame)], ids=["pandas", "polars"]
)
def test_checks_of_pandera_are_errors_by_check_and_no_value_leaves(
    series: Measured, library: Any, frame: Any
) -> None:
    schema = library.DataFrameSchema(
        {
            "email": library.Column(str, library.Check.str_contains("@")),
            "age": library.Column(int, library.Check.ge(0)),
        }
    )

    def validate() -> None:
        with etl.run("crm") as run:
            try:
                schema.validate(frame(ROWS), lazy=True)
            except library.errors.SchemaErrors as error:
                run.failed_checks(error.failure_cases)
                raise

    with pytest.raises(library.errors.SchemaErrors):
        validate()
    errors = {dict(labels)["error_type"]: point.value for labels, point in _errors(series).items()}
    assert errors == {"str_contains": 1, "greater_than_or_equal_to": 1}
    ended = {"model_name": "crm", "kpi_etl_result": "failure"}
    found = [
        labels
        for labels in series.labels("kpi_etl_pipeline_run_duration_seconds")
        if ended.items() <= dict(labels).items()
    ]
    assert len(found) == 1
    assert "secret" not in str(series.reader.get_metrics_data())


def _errors(series: Measured) -> dict[Any, Any]:
    return series.points("kpi_etl_validation_errors_total")


@FRAMES
def test_frame_says_how_many_single_values_it_has(series: Measured, frame: Any) -> None:
    with etl.run("crm") as run:
        run.data_points(etl.frame(frame).cells or 0)
    assert series.value("kpi_etl_data_points_processed_total", model_name="crm") == 6
    assert etl.frame(pl.DataFrame(ROWS).lazy()) == etl.Volume()
