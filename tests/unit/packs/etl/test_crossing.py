"""Where a run is crosses threads, processes, queues, files and tables."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

from otel_kpi import etl
from otel_kpi.packs.etl.scope import innermost

from .conftest import context_id

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Telemetry


def where(rows: int) -> tuple[str, str | None, str | None, int]:
    """What a worker sees of the run it works for; of a module, so that it can be pickled."""
    etl.read(rows)
    found = innermost()
    trace_id = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
    return trace_id, found.model if found else None, found.stage_type if found else None, os.getpid()


def test_carrier_of_nowhere_is_empty(telemetry: Telemetry, tmp_path: Path) -> None:
    assert etl.carrier() == {}
    assert etl.traceparent() is None
    assert "TRACEPARENT" not in etl.environment()
    assert etl.environment({"TRACEPARENT": "stale", "A": "b"}) == {"A": "b"}
    assert etl.read_manifest(tmp_path / "none") == {}
    assert telemetry.names() == []


def test_carrier_and_environment_name_the_current_span(telemetry: Telemetry) -> None:
    with etl.run("marketing"), etl.stage("load") as stage:
        found = stage.span.get_span_context()
        text = f"00-{trace.format_trace_id(found.trace_id)}-{trace.format_span_id(found.span_id)}-{found.trace_flags:02x}"
        assert etl.carrier() == {"traceparent": text}
        assert etl.traceparent() == text
        assert etl.environment({"A": "b", "TRACESTATE": "stale"}) == {"A": "b", "TRACEPARENT": text}
        assert etl.environment()["PATH"] == os.environ["PATH"]
    assert telemetry.names() == ["load marketing", "run marketing"]


def test_file_says_where_it_came_from(telemetry: Telemetry, tmp_path: Path) -> None:
    file = tmp_path / "orders.parquet"
    with etl.run("orders") as orders:
        assert etl.write_manifest(file, rows=7) == tmp_path / "orders.parquet.trace.json"
        expected = {"rows": 7, **orders.carrier()}
    assert etl.read_manifest(file) == expected
    with etl.run("report", links=etl.read_manifest(file)):
        pass
    [link] = telemetry.span("run report").links
    assert link.context.span_id == context_id(telemetry.span("run orders"))[1]
    assert [each.name for each in tmp_path.iterdir()] == ["orders.parquet.trace.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "\x00" * 100, "9" * 200_000])
@pytest.mark.usefixtures("telemetry")
def test_manifest_that_is_none_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv.trace.json").write_text(text)
    assert etl.read_manifest(tmp_path / "a.csv") == {}


def test_manifest_that_cannot_be_written_costs_nothing(telemetry: Telemetry, tmp_path: Path) -> None:
    from otel_kpi.packs import faults

    assert etl.write_manifest(tmp_path / "no" / "folder" / "a.csv") is None
    assert etl.write_manifest(17) is None  # type: ignore[arg-type] # what makes no sense is what is tested
    assert faults.counted.pop("a manifest") == 2
    assert telemetry.names() == []


def test_column_of_traceparents_links_to_all_their_runs(telemetry: Telemetry) -> None:
    rows: list[dict[str, Any]] = []
    for name in ("a", "b", "a2"):
        with etl.run(name):
            rows += [{"sku": number, "_traceparent": etl.traceparent()} for number in range(3)]
    with etl.run("report", links=rows):
        pass
    assert len(telemetry.span("run report").links) == 3


def test_pool_of_threads_works_within_the_stage(telemetry: Telemetry) -> None:
    with etl.run("marketing") as run, etl.stage("extract"), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(etl.bound(where), range(1, 11)))
        bare = pool.submit(where, 1).result()
    assert {each[0] for each in found} == {trace.format_trace_id(run.span.get_span_context().trace_id)}
    assert {each[1:3] for each in found} == {("marketing", "extract")}
    assert bare[1] is None
    assert telemetry.records("extract", "read") == 55
    assert telemetry.attributes("extract marketing")["kpi.etl.records.read"] == 55


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns of what is tested here
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_pool_of_processes_works_in_the_trace_of_the_run(telemetry: Telemetry, method: str) -> None:
    with (
        etl.run("marketing", model="sales") as run,
        etl.stage("extract"),
        ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool,
    ):
        found = list(pool.map(etl.bound(where), [1, 2]))
    assert {each[0] for each in found} == {trace.format_trace_id(run.span.get_span_context().trace_id)}
    assert {each[1:3] for each in found} == {("sales", "extract")}
    assert os.getpid() not in {each[3] for each in found}
    assert telemetry.records("extract", "read", "sales") is None, "the worker counts where it works"


@pytest.mark.usefixtures("telemetry")
def test_bound_function_is_called_and_pickled_like_its_own() -> None:
    with etl.run("marketing"):
        bound = etl.bound(where)
    assert (bound.__name__, bound.__doc__) == (where.__name__, where.__doc__)
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(bound))))
    assert again(1)[1] == "marketing"
    assert etl.current() is None

    def broken(_: int) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        etl.bound(broken)(1)
