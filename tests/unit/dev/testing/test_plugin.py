"""The plugin as it is used: pytest in a process of its own, on a suite of which two tests fail on purpose."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.stores import ReadStore
from otel_kpi.dev.views import TraceQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE = Path(__file__).parent / "suite.py"
ON_PURPOSE = ("test_fails_and_shows_what_was_recorded", "test_fails_without_the_fixture")


def run(folder: Path, *options: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))}
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "otel_kpi.testing.plugin",
            "--rootdir",
            str(folder),
            *options,
        ],
        cwd=folder,
        env={
            **kept,
            "OTEL_SERVICE_NAME": f"suite-{folder.name}",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_suite.py").write_text(SUITE.read_text())
    return folder


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    return run(folder, "--otel-kpi")


@pytest.fixture(scope="module")
def traces(folder: Path, output: str) -> Iterator[StoredTraces]:
    assert output
    store = ReadStore(folder / ".otel-kpi" / "dev.db")
    yield StoredTraces(store)
    store.close()


def test_suite_passes_but_for_what_fails_on_purpose(output: str) -> None:
    failed = re.findall(r"^FAILED \S+::(\S+)", output, re.MULTILINE)
    assert sorted(failed) == sorted(ON_PURPOSE), output
    assert re.search(r"2 failed, \d+ passed, 1 skipped, 1 xfailed", output), output


def test_failure_shows_the_tree_and_the_log_records_of_the_test(output: str) -> None:
    [shown] = re.findall(r"otel-kpi: what this test recorded -+\n(.*?)\n_", output, re.DOTALL)
    assert "GET /products" in shown
    assert shown.count("SELECT product") == 7
    assert "log records" in shown
    assert "hunter2" not in shown


def test_traces_of_failed_tests_are_kept_and_of_no_others(output: str, traces: StoredTraces) -> None:
    found = traces.search(TraceQuery(service="pytest")).traces
    assert sorted(trace.root_name.rpartition("::")[2] for trace in found) == sorted(ON_PURPOSE)
    assert "otel-kpi view .otel-kpi/dev.db" in output
    assert all(f"/traces/{trace.trace_id}" in output for trace in found)
    own = [trace for trace in traces.search(TraceQuery()).traces if trace.root_service != "pytest"]
    assert sorted(trace.spans for trace in own) == [2, 8]


def test_trace_of_the_test_leads_to_what_it_did_and_why_it_failed(traces: StoredTraces) -> None:
    [found] = traces.search(TraceQuery(service="pytest", text="closed")).traces
    view = traces.trace(found.trace_id)
    assert view is not None
    [span] = view.spans
    assert span.events[0].attributes["exception.message"] == "the shop is closed"
    [link] = span.links
    led = traces.trace(link.trace_id)
    assert led is not None
    assert {each.name for each in led.spans} == {"GET /products", "SELECT product"}
    assert led.spans[0].resource["test.case.name"] == "test_suite.py::test_fails_without_the_fixture"


def test_nothing_that_is_redacted_is_kept(folder: Path, traces: StoredTraces) -> None:
    assert traces.services()
    assert all(
        b"hunter2" not in file.read_bytes()
        for file in (folder / ".otel-kpi").iterdir()
        if "lock" not in file.name
    )


def test_kept_traces_stay_out_of_version_control(folder: Path, output: str) -> None:
    assert output
    assert (folder / ".otel-kpi" / ".gitignore").read_text() == "*\n"


def test_pytest_finds_the_plugin_by_itself() -> None:
    [found] = [each for each in entry_points(group="pytest11") if each.name == "otel_kpi"]
    assert found.value == "otel_kpi.testing.plugin"


def test_a_suite_that_does_not_use_it_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_alone.py").write_text(
        "import sys\n"
        "def test_alone():\n"
        "    loaded = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "    ours = sorted(name for name in sys.modules if name.startswith('otel_kpi.'))\n"
        "    assert not loaded, loaded\n"
        "    assert 'otel_kpi.testing.plugin' in ours, ours\n"
        "    assert not [name for name in ours if name.startswith(('otel_kpi.dev', 'otel_kpi.sdk', 'otel_kpi.testing.capturing'))], ours\n"
    )
    assert "1 passed" in run(tmp_path)


@pytest.mark.proof
def test_switched_off_telemetry_is_said_and_not_taken_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_off.py").write_text("def test_off(capture):\n    assert not capture.spans()\n")
    assert "OTEL_SDK_DISABLED is set" in run(tmp_path, OTEL_SDK_DISABLED="true")


@pytest.mark.proof
def test_pytest_xdist_keeps_the_traces_of_all_its_processes(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE.read_text())
    output = run(tmp_path, "--otel-kpi", "-p", "xdist", "-n", "2")
    failed = re.findall(r"^FAILED \S+::(\S+)", output, re.MULTILINE)
    assert sorted(failed) == sorted(ON_PURPOSE), output
    store = ReadStore(tmp_path / ".otel-kpi" / "dev.db")
    found = StoredTraces(store).search(TraceQuery(service="pytest")).traces
    store.close()
    assert len(found) == 2
