"""A run is a trace of its own, says how it ended, and is linked to whatever asked for it."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.written import written

from otel_kpi import etl

from .conftest import context_id

if TYPE_CHECKING:
    from .conftest import Telemetry

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traceparent(number: int) -> str:
    return f"00-0af7651916cd43dd8448eb211c80319c-{number + 1:016x}-01"


def test_run_its_stages_and_batches_are_one_trace(telemetry: Telemetry) -> None:
    with etl.run("marketing"):
        with etl.stage("extract"):
            etl.read(20)
        with etl.batches(range(20), size=10, stage="validate") as batches:
            for batch in batches:
                batches.count(valid=len(batch) - 1, invalid=1)
    spans = telemetry.exporter.get_finished_spans()
    assert len({context_id(span)[0] for span in spans}) == 1
    run = telemetry.span("run marketing")
    assert run.parent is None
    assert run.kind is SpanKind.SERVER
    for name in ("extract marketing", "validate marketing"):
        parent = telemetry.span(name).parent
        assert parent is not None
        assert parent.span_id == context_id(run)[1]
    batches_ = [span for span in spans if span.name == "batch validate"]
    validate = context_id(telemetry.span("validate marketing"))[1]
    assert [span.parent.span_id for span in batches_ if span.parent] == [validate, validate]


def test_run_adds_up_what_its_stages_read_wrote_and_refused(telemetry: Telemetry) -> None:
    with etl.run("marketing"):
        with etl.stage("extract") as extract:
            extract.read(100, bytes=5000)
        with etl.stage("validate") as validate:
            validate.read(100)
            validate.valid(90)
            validate.invalid(10, "missing_email")
        with etl.stage("load") as load:
            load.read(90)
            load.written(88)
            load.rejected(2, "duplicate")
    assert telemetry.attributes("run marketing") | {"kpi.etl.run.id": ""} == {
        "kpi.etl.pipeline.name": "marketing",
        "model_name": "marketing",
        "kpi.etl.run.id": "",
        "kpi.etl.run.attempt": 1,
        "kpi.etl.result": "success",
        "kpi.etl.records.read": 100,
        "kpi.etl.records.valid": 90,
        "kpi.etl.records.written": 88,
        "kpi.etl.records.rejected": 12,
        "kpi.etl.bytes.read": 5000,
        "kpi.etl.validation.errors": ("missing_email=10", "duplicate=2"),
    }
    last = telemetry.series.points("kpi_etl_pipeline_last_run_records")
    assert {dict(labels)["kpi_etl_record_status"]: point.value for labels, point in last.items()} == {
        "read": 100, "valid": 90, "invalid": 10, "written": 88, "rejected": 2,
    }  # fmt: skip


def test_what_a_stage_has_said_is_not_counted_again_for_the_run(telemetry: Telemetry) -> None:
    with etl.run("marketing") as run:
        run.read(100_000)
        run.written(80)
        with etl.stage("extract") as stage:
            stage.read(100_000)
    assert telemetry.records("extract", "read") == 100_000
    assert telemetry.records("load", "written") == 80


def test_run_without_stages_counts_all_the_same(telemetry: Telemetry) -> None:
    with etl.run("crm", model="sales") as run:
        run.read([1, 2, 3])
        run.rejected(1, "no_price")
    assert telemetry.records("extract", "read", "sales") == 3
    assert telemetry.records("validate", "rejected", "sales") == 1
    assert telemetry.value("kpi_etl_validation_errors_total", model_name="sales", error_type="no_price") == 1


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ValueError("x"), "error"),
        (ConnectionError("x"), "error"),
        (etl.Failure("x"), "failure"),
        (AssertionError("x"), "failure"),
        (TimeoutError("x"), "timeout"),
        (KeyboardInterrupt(), "cancellation"),
        (asyncio.CancelledError(), "cancellation"),
        (SystemExit(3), "cancellation"),
        (SystemExit("no"), "cancellation"),
        (SystemExit(0), "success"),
        (SystemExit(), "success"),
        (ExceptionGroup("two", [TimeoutError(), TimeoutError()]), "timeout"),
        (ExceptionGroup("two", [TimeoutError(), ValueError()]), "error"),
    ],
    ids=written,
)
def test_run_and_stage_say_how_they_ended(telemetry: Telemetry, error: BaseException, result: str) -> None:
    with pytest.raises(type(error)), etl.run("marketing"), etl.stage("load"):
        raise error
    for name in ("run marketing", "load marketing"):
        assert telemetry.result(name) == result
        failed = result != "success"
        assert (telemetry.span(name).status.status_code is StatusCode.ERROR) is failed
        assert ("error.type" in telemetry.attributes(name)) is failed
    runs = telemetry.series.points("kpi_etl_pipeline_runs_total")
    assert {dict(labels)["kpi_etl_result"] for labels, point in runs.items() if point.value} == {result}
    stages = telemetry.series.labels("kpi_etl_stage_duration_seconds")
    assert {dict(labels)["kpi_etl_result"] for labels in stages} == {result}
    succeeded = telemetry.value("kpi_etl_pipeline_last_success_time_seconds", model_name="marketing")
    assert (succeeded is not None) is (result == "success")
    assert telemetry.value("kpi_etl_pipeline_last_run_time_seconds", model_name="marketing") > 1.7e9


def test_exception_is_recorded_once_on_the_innermost_span(telemetry: Telemetry) -> None:
    with pytest.raises(ValueError, match="x"), etl.run("marketing"), etl.stage("load"), etl.stage("write"):
        raise ValueError("x")
    recorded = {span.name: len(span.events) for span in telemetry.exporter.get_finished_spans()}
    assert recorded == {"write marketing": 1, "load marketing": 0, "run marketing": 0}


def test_exit_in_the_handler_of_a_signal_is_a_cancellation_whatever_its_status(telemetry: Telemetry) -> None:
    def leave(*_: object) -> None:
        sys.exit(0)

    @etl.pipeline("marketing")
    def main() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(1000):
            pass

    before = signal.signal(signal.SIGUSR1, leave)
    try:
        with pytest.raises(SystemExit):
            main()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert telemetry.result("run marketing") == "cancellation"
    assert telemetry.attributes("run marketing")["error.type"] == "SIGUSR1"


def test_nothing_to_do_ends_a_run_quietly(telemetry: Telemetry) -> None:
    with pytest.raises(etl.Skip), etl.run("marketing"), etl.stage("extract"):
        raise etl.Skip("no new file")
    assert telemetry.result("run marketing") == telemetry.result("extract marketing") == "skip"
    assert telemetry.span("run marketing").status.status_code is StatusCode.UNSET

    @etl.pipeline("sales")
    def main() -> int:
        raise etl.Skip

    assert main() is None
    assert telemetry.result("run sales") == "skip"


def test_failure_without_an_exception_can_be_told(telemetry: Telemetry) -> None:
    with etl.run("marketing"):
        with etl.stage("validate") as stage:
            stage.failed("too_many_rejected")
        with etl.stage("load") as stage:
            stage.skip()
    assert telemetry.result("validate marketing") == "failure"
    assert telemetry.attributes("validate marketing")["error.type"] == "too_many_rejected"
    assert telemetry.result("load marketing") == "skip"
    assert telemetry.result("run marketing") == "success"


# --- where it came from


def test_run_is_a_trace_of_its_own_linked_to_the_current_span(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("POST /imports") as request, etl.run("marketing"):
        pass
    run = telemetry.span("run marketing")
    assert context_id(run)[0] != request.get_span_context().trace_id
    assert [link.context.span_id for link in run.links] == [request.get_span_context().span_id]
    assert telemetry.attributes("run marketing")["kpi.etl.run.trigger"] == "event"


def test_run_inside_a_run_is_linked_to_the_stage_it_began_in(telemetry: Telemetry) -> None:
    with etl.run("all"), etl.stage("marketing"), etl.run("marketing"):
        pass
    assert context_id(telemetry.span("run marketing"))[0] != context_id(telemetry.span("run all"))[0]
    [link] = telemetry.span("run marketing").links
    assert link.context.span_id == context_id(telemetry.span("marketing all"))[1]


def test_run_may_stand_under_the_current_span_instead(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("task") as task, etl.run("marketing", parent=True):
        pass
    run = telemetry.span("run marketing")
    assert run.parent is not None
    assert run.parent.span_id == task.get_span_context().span_id
    assert run.links == ()


@pytest.mark.parametrize("how", ["linked", "parent"])
def test_run_comes_from_who_started_the_process(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT)
    with etl.run("marketing", parent=how == "parent"):
        pass
    run = telemetry.span("run marketing")
    came = [run.parent] if how == "parent" else [link.context for link in run.links]
    assert [trace.format_span_id(each.span_id) for each in came if each is not None] == ["b7ad6b7169203331"]


@pytest.mark.parametrize(
    "variable", ["", "00-xyz", "ff" * 5000, PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32)]
)
def test_malformed_origin_is_none(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("TRACEPARENT", variable)
    with etl.run("marketing", links=variable):
        pass
    assert telemetry.span("run marketing").links == ()


def test_second_attempt_is_linked_to_the_first(telemetry: Telemetry) -> None:
    with pytest.raises(ConnectionError), etl.run("first") as first:
        raise ConnectionError
    with etl.run("marketing", attempt=2, links=first.carrier()):
        pass
    [link] = telemetry.span("run marketing").links
    assert link.context.span_id == context_id(telemetry.span("run first"))[1]
    assert telemetry.attributes("run marketing")["kpi.etl.run.attempt"] == 2
    assert telemetry.attributes("run marketing")["kpi.etl.run.trigger"] == "retry"
    assert telemetry.value("kpi_etl_retries_total", model_name="marketing") == 1


def test_fan_in_links_127_and_counts_the_rest(telemetry: Telemetry) -> None:
    with etl.run("report", links=[{"traceparent": traceparent(n)} for n in range(300)], kind="consumer"):
        pass
    run = telemetry.span("run report")
    assert len(run.links) == 127
    assert trace.format_span_id(run.links[0].context.span_id) == f"{1:016x}"
    assert (run.attributes or {})["kpi.etl.links.omitted"] == 300 - 127
    assert run.kind is SpanKind.CONSUMER


def test_links_are_taken_in_whatever_shape_they_come(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("other") as other:
        pass
    sources: list[Any] = [
        {"traceparent": traceparent(0)},
        {"Traceparent": traceparent(1).encode()},
        {"_traceparent": traceparent(2), "sku": 7},
        [("traceparent", traceparent(3).encode())],
        traceparent(4),
        traceparent(5).encode(),
        other,
        other.get_span_context(),
        trace.Link(other.get_span_context()),
        None,
        17,
        "nothing",
        {"traceparent": float("nan")},
        object(),
    ]
    with etl.run("report", links=sources):
        pass
    found = [link.context.span_id for link in telemetry.span("run report").links]
    assert found == [1, 2, 3, 4, 5, 6, other.get_span_context().span_id]


def test_what_a_run_is_about_is_on_its_span(telemetry: Telemetry) -> None:
    from datetime import date

    with etl.run(
        "marketing",
        trigger="backfill",
        nominal=(date(2026, 11, 1), "2026-11-02"),
        inputs="s3://bucket/day.parquet?X-Amz-Signature=abc",
        outputs=["postgres://loader:s3/cr@et@db:5432/kpi.public.facts"],
        run_id=42,
        attributes={"tenant": "a"},
    ):
        pass
    found = telemetry.attributes("run marketing")
    assert found["kpi.etl.run.trigger"] == "backfill"
    assert (found["kpi.etl.run.nominal_start"], found["kpi.etl.run.nominal_end"]) == (
        "2026-11-01",
        "2026-11-02",
    )
    assert found["kpi.etl.input.datasets"] == ("s3://bucket/day.parquet",)
    assert found["kpi.etl.output.datasets"] == ("postgres://db:5432/kpi.public.facts",)
    assert found["kpi.etl.run.id"] == "42"
    assert found["tenant"] == "a"


def test_options_may_be_asked_at_the_beginning_of_each_run(telemetry: Telemetry) -> None:
    numbers = iter(["a", "b"])

    @etl.pipeline("marketing", run_id=lambda: next(numbers))
    def main() -> None:
        pass

    main()
    main()
    ids = [(span.attributes or {})["kpi.etl.run.id"] for span in telemetry.exporter.get_finished_spans()]
    assert ids == ["a", "b"]


def test_start_of_a_run_is_an_event_in_its_trace(telemetry: Telemetry) -> None:
    with etl.run("marketing", run_id="r1") as run:
        [started] = telemetry.events("kpi.etl.run.start")
        assert telemetry.value("kpi_etl_pipeline_run_active", model_name="marketing") == 1
        [record] = [data.log_record for data in telemetry.logs.get_finished_logs()]
        assert record.span_id == run.span.get_span_context().span_id
    assert started["kpi.etl.run.id"] == "r1"
    assert telemetry.value("kpi_etl_pipeline_run_active", model_name="marketing") == 0


# --- hostile values


@pytest.mark.parametrize(
    "options",
    [
        {"trigger": "whim"},
        {"trigger": 7},
        {"attempt": -3},
        {"attempt": "two"},
        {"attempt": float("nan")},
        {"nominal": object()},
        {"nominal": 5},
        {"links": object()},
        {"links": 5},
        {"inputs": 5},
        {"outputs": [object(), None, 5, "a" * 10_000]},
        {"run_id": "x" * 10_000},
        {"attributes": 5},
        {"attributes": {"a": object()}},
        {"kind": "king"},
        {"model": lambda: 1 / 0},
        {"run_id": lambda: 1 / 0},
    ],
    ids=written,
)
@pytest.mark.filterwarnings("ignore")
def test_senseless_options_cost_no_run(telemetry: Telemetry, options: dict[str, Any]) -> None:
    from otel_kpi.packs import faults

    with etl.run("marketing", **options):
        pass
    assert telemetry.result("run marketing") == "success"
    assert telemetry.value("kpi_etl_pipeline_run_active", model_name="marketing") == 0
    faults.counted.pop("an option of a run", None)
    faults.counted.pop("the links of a run", None)


# --- what a function stays


def test_decorated_function_keeps_its_kind_name_and_signature(telemetry: Telemetry) -> None:
    @etl.pipeline("marketing")
    def main(day: str, *, full: bool = False) -> str:
        """Load a day."""
        return f"{day} {full}"

    assert (main.__name__, main.__doc__) == ("main", "Load a day.")
    assert str(inspect.signature(main)) == "(day: 'str', *, full: 'bool' = False) -> 'str'"
    assert main("monday", full=True) == "monday True"

    @etl.pipeline
    async def refresh() -> int:
        with etl.stage("load"):
            await asyncio.sleep(0)
        return 7

    assert inspect.iscoroutinefunction(refresh)
    assert asyncio.run(refresh()) == 7
    assert telemetry.names() == ["run marketing", "load refresh", "run refresh"]


def test_methods_of_all_kinds_can_be_stages(telemetry: Telemetry) -> None:
    class Loader:
        @etl.stage("load", pipeline="marketing")
        def load(self, rows: int) -> int:
            etl.written(rows)
            return rows

        @etl.stage("load", pipeline="marketing")
        @classmethod
        def of_class(cls) -> str:
            return cls.__name__

        @staticmethod
        @etl.stage("load", pipeline="marketing")
        def of_none() -> int:
            return 3

    assert (Loader().load(2), Loader.of_class(), Loader.of_none()) == (2, "Loader", 3)
    assert telemetry.names() == ["load marketing"] * 3
    assert telemetry.records("load", "written") == 2


def test_one_object_serves_many_times_and_several_at_once(telemetry: Telemetry) -> None:
    load = etl.stage("load", pipeline="marketing")

    async def one(rows: int) -> None:
        async with load as stage:
            await asyncio.sleep(0)
            etl.written(rows)
            await asyncio.sleep(0)
            assert etl.current() is stage

    async def all_() -> None:
        await asyncio.gather(*(one(number) for number in range(1, 4)))

    asyncio.run(all_())
    with load, load:
        pass
    written = [
        (span.attributes or {}).get("kpi.etl.records.written")
        for span in telemetry.exporter.get_finished_spans()
    ]
    assert written == [1, 2, 3, None, None]
    inner, outer = telemetry.exporter.get_finished_spans()[3:]
    assert inner.parent is not None
    assert inner.parent.span_id == context_id(outer)[1]


def test_what_is_no_function_comes_back(telemetry: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    class Thing:
        pass

    assert etl.stage("load")(Thing) is Thing
    assert "is not watched" in caplog.text
    assert telemetry.names() == []


def test_a_misspelt_type_of_a_stage_is_said_once(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        with etl.stage("clean", type="tranform"):
            pass
        with etl.stage("clean"), etl.stage("rest", type="other"):
            pass
    assert [line for line in caplog.messages if "tranform" in line] == [
        "stage type 'tranform' is none of extract, load, store, transform, validate; its series is 'other'"
    ]
    assert len(caplog.messages) == 1
    assert telemetry.names().count("clean") == 6
