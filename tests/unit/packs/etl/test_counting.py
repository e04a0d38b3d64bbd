"""What is counted is exact, in threads too; what makes no sense is dropped and counted; no word grows without bound."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from support.written import written

from otel_kpi import etl
from otel_kpi.packs import faults

if TYPE_CHECKING:
    from .conftest import Telemetry


def dropped(telemetry: Telemetry) -> int:
    return sum(point.value for point in telemetry.series.points("otel_kpi_dropped_values_total").values())


def test_single_records_and_thousands_add_up(telemetry: Telemetry) -> None:
    with etl.stage("load", pipeline="marketing") as stage:
        for _ in range(2345):
            stage.written(1)
        assert telemetry.records("load", "written") == 2000, "what is pending goes out in thousands"
        stage.written(10_000)
    assert telemetry.records("load", "written") == 12_345
    stage.written(5)
    assert telemetry.records("load", "written") == 12_350, "what is counted late is not lost"


@pytest.mark.parametrize(
    ("records", "count"),
    [
        ([1, 2, 3], 3),
        ({"a": 1}, 1),
        (pd.DataFrame({"a": range(4)}), 4),
        (pl.DataFrame({"a": range(4)}), 4),
        (np.arange(6), 6),
        (np.int64(7), 7),
        (Decimal(8), 8),
        (9.0, 9),
        (True, 1),
        (0, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_records_are_counted_in_whatever_shape_they_come(
    telemetry: Telemetry, records: Any, count: int
) -> None:
    with etl.stage("load", pipeline="marketing") as stage:
        stage.written(records)
    assert telemetry.records("load", "written") == count
    assert dropped(telemetry) == 0


@pytest.mark.parametrize(
    "records",
    [
        float("nan"),
        float("inf"),
        -1,
        -1.5,
        2.5,
        2**60,
        "7",
        b"seven",
        None,
        object(),
        pl.LazyFrame({"a": [1]}),
        print,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_number_of_records_is_dropped_and_counted(telemetry: Telemetry, records: Any) -> None:
    with etl.stage("load", pipeline="marketing") as stage:
        stage.written(records)
        stage.written(5)
    assert telemetry.records("load", "written") == 5
    assert dropped(telemetry) == 1
    assert telemetry.attributes("load marketing")["kpi.etl.records.written"] == 5


@pytest.mark.parametrize("bytes_", [float("nan"), -1, "many", object(), 2**70], ids=written)
def test_senseless_volume_is_dropped_and_the_records_stay(telemetry: Telemetry, bytes_: Any) -> None:
    with etl.stage("load", pipeline="marketing") as stage:
        stage.written(5, bytes=bytes_)
        stage.written(5, bytes=100)
    assert telemetry.records("load", "written") == 10
    assert (
        telemetry.value("kpi_etl_io_bytes_total", model_name="marketing", kpi_etl_io_direction="write") == 100
    )
    assert dropped(telemetry) == 1


def test_no_data_is_not_zero_and_zero_is_data(telemetry: Telemetry) -> None:
    with etl.stage("load", pipeline="marketing") as stage:
        stage.written("seven")
        stage.written(bytes=100)
        stage.read(0)
    assert telemetry.records("load", "written") is None
    assert telemetry.records("load", "read") == 0
    found = telemetry.attributes("load marketing")
    assert "kpi.etl.records.written" not in found
    assert (found["kpi.etl.records.read"], found["kpi.etl.bytes.written"]) == (0, 100)
    assert dropped(telemetry) == 1


@pytest.mark.parametrize(
    "score", [-0.1, 100.1, float("nan"), float("inf"), "good", None, object()], ids=written
)
def test_quality_outside_of_its_range_is_dropped(telemetry: Telemetry, score: Any) -> None:
    with etl.run("marketing") as run:
        run.quality_score(50)
        run.quality_score(score)
    assert telemetry.value("kpi_etl_quality_score", model_name="marketing") == 50
    assert telemetry.attributes("run marketing")["kpi.etl.quality_score"] == 50
    assert dropped(telemetry) == 1


def test_quality_score_has_its_documented_name_and_label(telemetry: Telemetry) -> None:
    with etl.run("crm", model="sales"):
        etl.quality_score(97.2)
    etl.quality_score(60, model="marketing")
    assert telemetry.series.labels("kpi_etl_quality_score") == {
        (("model_name", "sales"),),
        (("model_name", "marketing"),),
    }


def test_errors_may_be_told_in_three_ways(telemetry: Telemetry) -> None:
    with etl.stage("validate", pipeline="marketing") as stage:
        stage.errors({"a": 2, "b": 1})
        stage.errors(["a", "a", "b"])
        stage.errors("c")
        stage.errors(None)  # type: ignore[arg-type] # what makes no sense is what is tested
        stage.errors({"a": float("nan"), "b": -3, "d": "x"})  # type: ignore[dict-item] # the same

    assert faults.counted.pop("errors of validation") == 1
    for name, count in (("a", 4), ("b", 2), ("c", 1)):
        assert (
            telemetry.value("kpi_etl_validation_errors_total", model_name="marketing", error_type=name)
            == count
        )
    assert telemetry.attributes("validate marketing")["kpi.etl.validation.errors"] == ("a=4", "b=2", "c=1")


@pytest.mark.parametrize(
    "ids", [2000, pytest.param(100_000, marks=pytest.mark.proof)]
)  # the second takes long
def test_ids_as_labels_are_bounded_everywhere(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture, ids: int
) -> None:
    caplog.set_level(logging.WARNING, "otel_kpi")
    for number in range(ids):
        with etl.stage(
            f"stage {number}", type=f"type {number}", pipeline="p", model=f"model {number}"
        ) as stage:
            stage.read(1)
            stage.rejected(1, f"row {number}")
            stage.freshness(1.7e9, f"table {number}")
    from otel_kpi.packs.etl.instruments import PACK

    for instrument in PACK.instruments:
        series = telemetry.series.labels(instrument.series_name)
        assert len(series) <= instrument.most_series + 1, instrument.name
    models = {
        dict(labels).get("model_name")
        for labels in telemetry.series.labels("kpi_etl_records_processed_total")
    }
    assert "other" in models
    assert len(models) == 41
    assert (
        sum(point.value for point in telemetry.series.points("kpi_etl_records_processed_total").values())
        == 2 * ids
    )
    warned = [
        record.getMessage() for record in caplog.records if "kpi.etl.records.processed" in record.getMessage()
    ]
    assert len(warned) == len(set(warned)) <= 3


def test_one_stage_names_fifty_types_of_errors(telemetry: Telemetry) -> None:
    with etl.stage("validate", pipeline="marketing") as stage:
        stage.errors([f"row {number}" for number in range(500)])
    errors = telemetry.attributes("validate marketing")["kpi.etl.validation.errors"]
    assert len(errors) == 51
    assert errors[0] == "other=450"


@pytest.mark.parametrize(
    ("name", "type_", "recorded"),
    [
        ("extract", None, "extract"),
        ("validation", None, "validate"),
        ("transformation", None, "transform"),
        ("storage", None, "store"),
        ("LOAD", None, "load"),
        ("deduplicate", None, "other"),
        ("deduplicate", "transform", "transform"),
        ("load", "upsert", "other"),
        (17, None, "other"),
        ("load", 17, "other"),
    ],
)
def test_types_of_stages_are_a_closed_set_and_names_are_free(
    telemetry: Telemetry, name: Any, type_: Any, recorded: str
) -> None:
    with etl.stage(name, type=type_, pipeline="marketing"):
        etl.read(1)
    assert telemetry.records(recorded, "read") == 1
    assert telemetry.attributes(f"{name} marketing")["kpi.etl.stage.name"] == str(name)


def test_threads_count_exactly(telemetry: Telemetry) -> None:
    with etl.stage("load", pipeline="marketing") as stage, ThreadPoolExecutor(8) as pool:

        def work(_: int) -> None:
            for _ in range(5000):
                stage.written(1)

        list(pool.map(work, range(8)))
    assert telemetry.records("load", "written") == 40_000
    assert telemetry.attributes("load marketing")["kpi.etl.records.written"] == 40_000


def test_verbs_outside_of_a_run_count_as_unknown(telemetry: Telemetry) -> None:
    assert etl.current() is None
    etl.read(5)
    etl.written(5)
    etl.valid()
    etl.invalid(1, "bad")
    etl.rejected()
    etl.skipped()
    etl.errors("bad")
    etl.retried(ConnectionError())
    etl.data_points(12)
    etl.failed_checks(None)
    assert telemetry.records("extract", "read", "unknown") == 5
    assert telemetry.value("kpi_etl_data_points_processed_total", model_name="unknown") == 12
    assert telemetry.value("kpi_etl_retries_total", model_name="unknown", error_type="ConnectionError") == 1


# --- freshness


@pytest.mark.parametrize(
    "newest",
    [
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(2026, 1, 2),  # noqa: DTZ001 - what a database without zones gives
        datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))),
        date(2026, 1, 2),
        "2026-01-02T00:00:00Z",
        "2026-01-02",
        1767312000,
        1767312000.0,
        1767312000_000,
        np.datetime64("2026-01-02"),
        np.datetime64("2026-01-02", "ns"),
        pd.Timestamp("2026-01-02"),
        pl.Series([datetime(2026, 1, 2)]).max(),  # noqa: DTZ001 - as above
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_newest_record_is_understood_in_many_shapes(telemetry: Telemetry, newest: Any) -> None:
    with etl.run("marketing", outputs="postgres://db/kpi.facts") as run:
        run.freshness(newest)
    labels = {"model_name": "marketing", "kpi_etl_dataset_name": "postgres://db/kpi.facts"}
    assert telemetry.value("kpi_etl_freshness_time_seconds", **labels) == 1767312000
    lag = telemetry.value("kpi_etl_freshness_lag_seconds", **labels)
    assert abs(lag - (datetime.now(UTC).timestamp() - 1767312000)) < 60


@pytest.mark.parametrize(
    "newest",
    [pd.NaT, None, float("nan"), float("inf"), "yesterday", object(), [], np.datetime64("NaT")],
    ids=written,
)
def test_what_is_no_moment_is_dropped(telemetry: Telemetry, newest: Any) -> None:
    etl.freshness(newest, "facts", model="marketing")
    assert telemetry.series.labels("kpi_etl_freshness_time_seconds") == set()
    assert dropped(telemetry) == 1


def test_clocks_that_differ_a_little_make_no_record_of_the_future(telemetry: Telemetry) -> None:
    etl.freshness(datetime.now(UTC) + timedelta(seconds=30), "facts", model="marketing")
    labels = {"model_name": "marketing", "kpi_etl_dataset_name": "facts"}
    assert telemetry.value("kpi_etl_freshness_lag_seconds", **labels) == 0
    etl.freshness(datetime.now(UTC) + timedelta(days=30), "later", model="marketing")
    assert len(telemetry.series.labels("kpi_etl_freshness_lag_seconds")) == 1
    assert dropped(telemetry) == 1


# --- checks


def test_check_is_an_event_and_its_failures_are_errors(telemetry: Telemetry) -> None:
    with etl.run("marketing", run_id="r1"), etl.stage("validate"):
        etl.check("email_not_null", False, column="email", failed=7, severity="critical")
        etl.check("id_unique", True)
    failed, passed = telemetry.events("kpi.etl.check.result")
    assert failed == {
        "kpi.etl.pipeline.name": "marketing",
        "kpi.etl.run.id": "r1",
        "test.case.name": "email_not_null",
        "test.case.result.status": "fail",
        "kpi.etl.check.severity": "critical",
        "kpi.etl.check.column": "email",
        "kpi.etl.check.failed": 7,
    }
    assert passed["test.case.result.status"] == "pass"
    assert (
        telemetry.value(
            "kpi_etl_validation_errors_total", model_name="marketing", error_type="email_not_null"
        )
        == 7
    )


def test_results_of_pandera_are_told_without_values(telemetry: Telemetry) -> None:
    import pandera.pandas as pa

    schema = pa.DataFrameSchema(
        {"email": pa.Column(str, pa.Check.str_contains("@")), "age": pa.Column(int, pa.Check.ge(0))}
    )
    frame = pd.DataFrame({"email": ["a@b.org", "secret", "private"], "age": [1, -2, 3]})

    @etl.pipeline("marketing")
    def main() -> None:
        with etl.stage("validate") as stage:
            try:
                schema.validate(frame, lazy=True)
            except pa.errors.SchemaErrors as error:
                stage.failed_checks(error)
                raise

    with pytest.raises(pa.errors.SchemaErrors):
        main()
    assert telemetry.result("run marketing") == "failure"
    events = telemetry.events("kpi.etl.check.result")
    found = {
        (event["test.case.name"], event["kpi.etl.check.column"], event["kpi.etl.check.failed"])
        for event in events
    }
    assert found == {("str_contains", "email", 2), ("greater_than_or_equal_to", "age", 1)}
    assert "secret" not in str(events)


def test_many_threads_may_begin_and_end_stages_of_one_run(telemetry: Telemetry) -> None:
    with etl.run("marketing") as run:
        begin = threading.Barrier(4)

        def work() -> None:
            begin.wait()
            for _ in range(50):
                with etl.stage("load"):
                    etl.written(1)

        threads = [threading.Thread(target=etl.bound(work)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert etl.current() is run
    assert telemetry.attributes("run marketing")["kpi.etl.records.written"] == 200
    assert telemetry.value("kpi_etl_processors_active", model_name="marketing") == 0


class Nothing:
    """Has no text, no truth, no length, and equals nothing."""

    __hash__ = None  # type: ignore[assignment] - that it has none

    def refuse(self, *_: object) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __eq__ = __getattr__ = refuse


@pytest.mark.parametrize("wrong", [Nothing(), pd.Series([True, False]), pd.NA, np.array([1, 2])], ids=type)
def test_nothing_that_is_said_raises_into_the_pipeline(telemetry: Telemetry, wrong: Any) -> None:
    with etl.run(
        wrong, model=wrong, run_id=wrong, nominal=wrong, links=wrong, attempt=wrong, outputs=[wrong]
    ):
        with etl.stage(wrong, type=wrong, pipeline=wrong, model=wrong, attributes=wrong) as stage:
            stage.failed(wrong)
        etl.invalid(3, wrong)
        etl.rejected(wrong, wrong)
        etl.errors({"a": wrong})
        etl.errors([wrong])
        etl.quality_score(wrong)
        etl.freshness(wrong, wrong)
        etl.retried(wrong)
        etl.check("complete", wrong, column=wrong, failed=wrong, severity=wrong)
        etl.check(wrong, False, column=wrong)
        with etl.batches([[1]], size=wrong, stage=wrong, slow=wrong) as batches:
            for _ in batches:
                batches.count(valid=wrong)
                batches.failed(wrong)
    with etl.run("marketing"):
        etl.read(3)
    assert telemetry.records("extract", "read") == 3
    faults.counted.clear()  # what was not recorded is counted there
