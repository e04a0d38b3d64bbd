"""An ETL processor in the words of the KPI system counts in the series of the ETL pack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from otel_kpi.packs.etl.processor import ETLInstrumentation

if TYPE_CHECKING:
    from support.measured import Measured

DURATION = "kpi_etl_stage_duration_seconds"
RECORDS = "kpi_etl_records_processed_total"

etl = ETLInstrumentation.instrument_etl_processor()


def _stage(of: str, result: str) -> dict[str, str]:
    return {"model_name": "marketing", "kpi_etl_stage_type": of, "kpi_etl_result": result}


@pytest.mark.parametrize(
    ("stage", "stage_type"),
    [("validation", "validate"), ("transformation", "transform"), ("storage", "store"), ("load", "load")],
)
def test_nouns_of_the_documents_are_the_packs_types_of_stages(
    series: Measured, stage: str, stage_type: str
) -> None:
    end_timer = etl.time_operation("marketing", stage)
    assert end_timer() >= 0
    assert series.value(DURATION, **_stage(stage_type, "success"))[0] == 1


def test_timer_ends_once(series: Measured) -> None:
    end_timer = etl.time_operation("marketing", "validation")
    assert series.value("kpi_etl_processors_active", model_name="marketing") == 1
    assert end_timer() == end_timer()
    assert series.value(DURATION, **_stage("validate", "success"))[0] == 1
    assert series.value("kpi_etl_processors_active", model_name="marketing") == 0


def test_operation_that_an_exception_leaves_is_no_success(series: Measured) -> None:
    def batch() -> None:
        end_timer = etl.time_operation("marketing", "validation")
        try:
            raise ValueError("bad record")
        finally:
            end_timer()

    with pytest.raises(ValueError, match="bad record"):
        batch()
    assert series.value(DURATION, **_stage("validate", "error"))[0] == 1
    assert series.value(DURATION, **_stage("validate", "success")) is None


def test_operation_while_another_exception_is_handled_is_a_success(series: Measured) -> None:
    try:
        int("of somebody else")
    except ValueError:
        with etl.time_operation("marketing", "storage"):
            pass
        etl.time_operation("marketing", "storage")()
    assert series.value(DURATION, **_stage("store", "success"))[0] == 2


def test_records_and_batches_belong_to_the_operation_under_way(series: Measured) -> None:
    outer = etl.time_operation("marketing", "transformation")
    inner = etl.time_operation("marketing", "validation")
    etl.record_processed("marketing", "valid", 93)
    etl.batch_processed("marketing", "success", 100)
    inner()
    etl.record_processed("marketing", "written", 93, stage="storage")
    etl.record_processed("marketing", "skipped")
    outer()
    etl.record_processed("marketing", "read", 5)
    found = {
        (dict(each)["kpi_etl_stage_type"], dict(each)["kpi_etl_record_status"]): point.value
        for each, point in series.points(RECORDS).items()
    }
    assert found == {
        ("validate", "valid"): 93,
        ("store", "written"): 93,
        ("transform", "skipped"): 1,
        ("unknown", "read"): 5,
    }
    assert series.value("kpi_etl_batches_processed_total", **_stage("validate", "success")) == 1
    size = series.value("kpi_etl_batch_size", model_name="marketing", kpi_etl_stage_type="validate")
    assert size == (1, 100)


def test_operations_of_two_tasks_are_each_its_own(series: Measured) -> None:
    async def one(stage: str, count: int, both: asyncio.Barrier) -> None:
        with etl.time_operation("marketing", stage):
            await both.wait()
            etl.record_processed("marketing", "valid", count)
            await both.wait()

    async def main() -> None:
        both = asyncio.Barrier(2)
        await asyncio.gather(one("validation", 3, both), one("storage", 4, both))

    asyncio.run(main())
    assert {
        dict(each)["kpi_etl_stage_type"]: point.value for each, point in series.points(RECORDS).items()
    } == {
        "validate": 3,
        "store": 4,
    }


def test_what_else_a_processor_says(series: Measured) -> None:
    etl.set_quality_score("marketing", 97.2)
    etl.set_quality_score("marketing", 101)
    etl.validation_error("marketing", "missing_email", 7)
    etl.data_points_processed("marketing", 1200)
    assert series.value("kpi_etl_quality_score", model_name="marketing") == 97.2
    errors = {"model_name": "marketing", "error_type": "missing_email"}
    assert series.value("kpi_etl_validation_errors_total", **errors) == 7
    assert series.value("kpi_etl_data_points_processed_total", model_name="marketing") == 1200
    dropped = {"instrument": "kpi.etl.quality_score", "reason": "out_of_range"}
    assert series.value("otel_kpi_dropped_values_total", **dropped) == 1


def test_wrong_values_never_reach_the_processor(series: Measured) -> None:
    end_timer = etl.time_operation(None, 7)  # type: ignore[arg-type] # what a caller may do
    etl.record_processed("marketing", "valid", float("nan"))  # type: ignore[arg-type] # as above
    etl.record_processed([], {}, "three")  # type: ignore[arg-type] # as above
    etl.batch_processed("marketing", "exploded", -3)
    etl.set_quality_score("marketing", "good")  # type: ignore[arg-type] # as above
    end_timer()
    assert series.labels(RECORDS) == set()
    assert {dict(each)["kpi_etl_result"] for each in series.labels("kpi_etl_batches_processed_total")} == {
        "other"
    }
