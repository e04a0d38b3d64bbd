"""`get_instrumentation_health()` says how telemetry itself is doing, whatever state it is in."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import environment, free_port, run
from support.receiver import Receiver

from otel_kpi import ETLInstrumentation, get_instrumentation_health
from otel_kpi.diagnosis import recording

if TYPE_CHECKING:
    from pathlib import Path

etl = ETLInstrumentation.instrument_etl_processor()


def _health() -> dict[str, Any]:
    return json.loads(json.dumps(get_instrumentation_health(), allow_nan=False))


@pytest.mark.usefixtures("series")
def test_pack_has_recorded_when_it_has() -> None:
    before = _health()["packs"]["etl"]
    assert (before["recorded"], before["instruments_recorded"]) == (False, 0)
    etl.set_quality_score("marketing", 97)
    etl.record_processed("marketing", "valid", 3)
    after = _health()["packs"]["etl"]
    assert (after["recorded"], after["instruments_recorded"]) == (True, 2)
    assert after["series"] == before["series"] + 2


@pytest.mark.usefixtures("series")
def test_dropped_and_overflowed_values_are_told_by_instrument() -> None:
    etl.set_quality_score("marketing", 101)
    etl.set_quality_score("marketing", 50)
    for number in range(45):
        etl.data_points_processed(f"model-{number}", 1)
    found = _health()
    assert found["dropped_values"] == {"kpi.etl.quality_score": {"out_of_range": 1}}
    assert found["overflowed_values"] == {"kpi.etl.data_points.processed": {"model_name": 5}}


def test_whoever_configured_nothing_hears_so() -> None:
    program = "import json, otel_kpi; print(json.dumps(otel_kpi.get_instrumentation_health()))"
    ended = run([sys.executable, "-c", program], environment())
    found = json.loads(ended.stdout)
    assert (found["status"], found["exporters"], found["packs"]) == ("unconfigured", [], {})


PROGRAM = """
import json, otel_kpi
otel_kpi.configure_metrics(app_name="instrumentation-health")
etl = otel_kpi.ETLInstrumentation.instrument_etl_processor()
etl.set_quality_score("marketing", 97)
otel_kpi.flush(5)
print(json.dumps(otel_kpi.get_instrumentation_health()))
"""


def test_exporters_say_what_they_sent(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with Receiver() as receiver:
        ended = run([sys.executable, str(path)], environment(receiver.url))
    found = json.loads(ended.stdout)
    assert found["status"] == "healthy"
    metrics = next(each for each in found["exporters"] if each["signal"] == "metrics")
    assert metrics["sent"] > 0
    assert metrics["lost"] == {}
    assert not metrics["failing"]


def test_destination_that_takes_nothing_degrades(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    ended = run([sys.executable, str(path)], environment(f"http://127.0.0.1:{free_port()}"))
    found = json.loads(ended.stdout)
    assert found["status"] == "degraded"
    assert next(each for each in found["exporters"] if each["signal"] == "metrics")["failing"]


def test_what_was_lost_degrades(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace('"marketing", 97', '"marketing", 197'))
    with Receiver() as receiver:
        ended = run([sys.executable, str(path)], environment(receiver.url))
    assert json.loads(ended.stdout)["status"] == "degraded"


def test_it_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(recording, "tallies_now", broken)
    assert _health() == {"status": "degraded", "error": "RuntimeError"}
