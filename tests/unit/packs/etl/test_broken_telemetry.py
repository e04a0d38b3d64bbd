"""Telemetry that raises at every turn costs its own data, never a row of the application's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs, trace

from otel_kpi import etl
from otel_kpi.packs import faults
from otel_kpi.packs.etl import scope

if TYPE_CHECKING:
    from collections.abc import Generator

    from .conftest import Telemetry


class Broken:
    """Raises whatever it is asked."""

    def __getattr__(self, name: str) -> Any:
        def raising(*_given: Any, **_named: Any) -> Any:
            raise RuntimeError(f"broken {name}")

        return raising


class BrokenSpan(trace.NonRecordingSpan):
    """A span that begins, and raises from then on."""

    def __init__(self) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)

    def is_recording(self) -> bool:
        return True

    def set_attributes(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    set_attribute = set_status = record_exception = end = set_attributes  # type: ignore[assignment] # all raise


class BrokenSpans:
    def start_span(self, *_: Any, **__: Any) -> trace.Span:
        return BrokenSpan()


@pytest.fixture(params=[Broken(), BrokenSpans()], ids=["tracer", "span"])
def broken(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Generator[Telemetry]:
    monkeypatch.setattr(scope, "_tracer", request.param)
    monkeypatch.setattr(_logs, "get_logger", Broken())
    yield telemetry
    assert faults.counted
    faults.counted.clear()


@pytest.mark.filterwarnings("error")
def test_pipeline_works_and_counts_all_the_same(broken: Telemetry, caplog: pytest.LogCaptureFixture) -> None:
    @etl.stage("extract")
    def rows() -> Generator[int]:
        for number in range(25):
            etl.read(1)
            yield number

    @etl.pipeline("marketing")
    def main() -> int:
        loaded = 0
        with etl.batches(rows(), size=10, stage="load") as batches:
            for batch in batches:
                batches.count(written=len(batch))
                loaded += len(batch)
        etl.check("complete", loaded == 24)
        etl.quality_score(50)
        return loaded

    for _ in range(3):
        assert main() == 25
    assert broken.records("extract", "read") == broken.records("load", "written") == 75
    assert broken.value("kpi_etl_quality_score", model_name="marketing") == 50
    assert broken.value("kpi_etl_pipeline_run_active", model_name="marketing") == 0
    assert broken.value("kpi_etl_processors_active", model_name="marketing") == 0
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(set(lines)) <= 8, "each once"


def test_exceptions_of_the_application_go_on(broken: Telemetry) -> None:
    async def work() -> None:
        async with etl.run("marketing"), etl.stage("load"):
            raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(work())
    assert broken.value("kpi_etl_processors_active", model_name="marketing") == 0


def test_attributes_that_are_none_cost_no_stage(telemetry: Telemetry) -> None:
    wrong: Any = 5
    with etl.stage("load", pipeline="marketing", attributes=wrong):
        etl.written(3)
    assert telemetry.attributes("load marketing")["kpi.etl.records.written"] == 3


@pytest.mark.parametrize("error_text", ["plain", "raises"])
def test_exception_whose_text_raises_ends_a_stage(telemetry: Telemetry, error_text: str) -> None:
    class Hostile(Exception):  # noqa: N818 - it is no error of ours
        def __str__(self) -> str:
            if error_text == "raises":
                raise RuntimeError("no text")
            return "text"

    with pytest.raises(Hostile), etl.run("marketing"), etl.stage("load"):
        raise Hostile
    assert telemetry.result("load marketing") == "error"
    assert telemetry.result("run marketing") == "error"
    faults.counted.clear()
