"""A library without its instrumentor is named once, and one command brings what is missing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest
from support.children import BIN, RUN, environment, run

from otel_kpi.bootstrap import install_command
from otel_kpi.instrumentation.catalogue import catalogue
from otel_kpi.instrumentation.table import TABLE

BOOTSTRAP = [str(BIN / "otel-kpi"), "bootstrap"]
NOTHING = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
REPOSITORY = Path(__file__).parents[2]


def library(folder: Path, name: str, at: str) -> None:
    """A library as an installer leaves it."""
    (folder / f"{name}.py").write_text("")
    info = folder / f"{name}-{at}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {at}\n")


def beside(folder: Path, **extra: str) -> dict[str, str]:
    return environment(PYTHONPATH=str(folder), **NOTHING, **extra)


def test_library_without_its_instrumentor_is_one_line_when_it_is_imported(tmp_path: Path) -> None:
    library(tmp_path, "pymssql", "2.3.1")
    ended = run(
        [*RUN, sys.executable, "-c", "import sys\nprint('first', file=sys.stderr)\nimport pymssql"],
        beside(tmp_path),
    )
    assert ended.stderr == (
        "first\npymssql 2.3.1 is not instrumented: opentelemetry-instrumentation-pymssql is not installed; "
        "type: otel-kpi bootstrap --install\n"
    )


def test_workers_and_programs_that_a_process_starts_do_not_repeat_it(tmp_path: Path) -> None:
    library(tmp_path, "pymssql", "2.3.1")
    text = """
import os, subprocess, sys
for _ in range(3):
    if os.fork() == 0:
        import pymssql
        subprocess.run([sys.executable, "-c", "import pymssql"])
        os._exit(0)
    os.wait()
"""
    ended = run([*RUN, sys.executable, "-c", text], beside(tmp_path))
    assert ended.stderr.count("pymssql") == 2  # the library and its instrumentor, in one line


def test_library_outside_of_upstreams_range_is_named_without_advice(tmp_path: Path) -> None:
    library(tmp_path, "pymssql", "9.0")
    ended = run([*RUN, sys.executable, "-c", "import pymssql"], beside(tmp_path))
    assert ended.stderr.startswith(
        "pymssql 9.0 is not instrumented: opentelemetry-instrumentation-pymssql is for "
    )
    assert "bootstrap" not in ended.stderr


def test_library_whose_instrumentor_is_switched_off_is_not_named(tmp_path: Path) -> None:
    library(tmp_path, "pymssql", "2.3.1")
    env = beside(tmp_path, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="pymssql")
    assert run([*RUN, sys.executable, "-c", "import pymssql"], env).stderr == ""


def test_library_that_was_imported_before_telemetry_is_named_too(tmp_path: Path) -> None:
    library(tmp_path, "pymssql", "2.3.1")
    text = "import pymssql, otel_kpi\notel_kpi.configure()"
    assert run([sys.executable, "-c", text], beside(tmp_path)).stderr.count("\n") == 1


def test_bootstrap_prints_the_lockstep_version_and_nothing_for_a_version_out_of_range(tmp_path: Path) -> None:
    library(tmp_path, "pymssql", "2.3.1")
    library(tmp_path, "falcon", "9.9")
    lockstep = version("opentelemetry-instrumentation")
    ended = run(BOOTSTRAP, beside(tmp_path))
    assert f"opentelemetry-instrumentation-pymssql=={lockstep}" in ended.stdout.splitlines()
    assert "falcon" not in ended.stdout
    assert "falcon 9.9: upstream's instrumentor is for" in ended.stderr
    found = json.loads(run([*BOOTSTRAP, "--json"], beside(tmp_path)).stdout)
    assert {"library": "falcon", "version": "9.9"}.items() <= next(
        each for each in found["missing"] if each["library"] == "falcon"
    ).items()
    assert found["command"].count(f"opentelemetry-instrumentation-pymssql=={lockstep}") == 1


def test_what_is_left_out_on_purpose_is_proposed_to_who_asks_for_all(tmp_path: Path) -> None:
    library(tmp_path, "jinja2", "3.1.6")
    env = beside(tmp_path)
    assert "jinja2" not in run(BOOTSTRAP, env).stdout
    assert "opentelemetry-instrumentation-jinja2==" in run([*BOOTSTRAP, "--all"], env).stdout
    assert run([*RUN, sys.executable, "-c", "import jinja2"], env).stderr == ""
    doctor = [str(BIN / "otel-kpi"), "doctor", "--json", "--no-send"]
    report = json.loads(run(doctor, env).stdout)
    [found] = [each for each in report["libraries"] if each["name"] == "jinja2"]
    assert found["state"] == "skipped"
    assert found["reason"].endswith("otel-kpi bootstrap --all offers it")
    assert not [each for each in report["findings"] if "jinja2" in each["what"]]


def test_nothing_is_proposed_for_what_the_table_covers_nor_another_distribution() -> None:
    rows = {row.distribution for row in TABLE}
    proposed = catalogue()
    assert not {entry.library for entry in proposed} & rows
    assert not [entry for entry in proposed if "distro" in entry.instrumentor]
    assert {"pydantic", "click", "asgiref"}.isdisjoint(entry.library for entry in proposed)


def test_one_resolver_pass_installs_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uv = tmp_path / "uv"
    uv.write_text("")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    command = install_command(["a==1", "b==2"], python="/env/bin/python")
    assert command[:5] == [str(uv), "pip", "install", "--python", "/env/bin/python"]
    assert command[-2:] == ["a==1", "b==2"]


def without_extras(where: Path, env: dict[str, str]) -> None:
    """What needs an extra is named by the doctor, and the application runs without it."""
    file = where / "otel.yaml"
    file.write_text('file_format: "1.0"\n')
    doctor = [str(where / "bin" / "otel-kpi"), "doctor", "--json"]
    report = json.loads(run(doctor, env | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, timeout=60).stdout)
    assert any("pip install 'otel-kpi[otlp]'" in each["advice"] for each in report["findings"])
    report = json.loads(run(doctor, env | {"OTEL_CONFIG_FILE": str(file)}, timeout=60).stdout)
    assert any("it needs: pip install 'otel-kpi[config]'" in each["what"] for each in report["findings"])
    program = [str(where / "bin" / "otel-kpi"), "run", str(where / "bin" / "python"), "-c", "print('done')"]
    ended = run(program, env | {"OTEL_CONFIG_FILE": str(file)}, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.proof
@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_bootstrap_installs_what_is_missing_in_a_new_environment(tmp_path: Path, installer: str) -> None:
    """An environment that uv makes has no pip in it; one of `venv` has no uv."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not on PATH")
    where = tmp_path / "env"
    if installer == "uv":
        subprocess.run([uv, "venv", "--quiet", str(where)], check=True)
    else:
        venv.create(where, with_pip=True)
    python = where / "bin" / "python"
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(python), str(REPOSITORY), "pymemcache", "falcon"],
        check=True,
    )
    path = (
        f"{where / 'bin'}:{Path(uv).parent}:/usr/bin:/bin"
        if installer == "uv"
        else f"{where / 'bin'}:/usr/bin:/bin"
    )
    env = {key: value for key, value in environment().items() if key != "VIRTUAL_ENV"} | {"PATH": path}
    printed = run([str(where / "bin" / "otel-kpi"), "bootstrap"], env, timeout=60)
    assert sorted(line.partition("==")[0] for line in printed.stdout.splitlines()) == [
        "opentelemetry-instrumentation-falcon",
        "opentelemetry-instrumentation-pymemcache",
    ]
    without_extras(where, env)
    ended = run([str(where / "bin" / "otel-kpi"), "bootstrap", "--install"], env, timeout=300)
    assert ended.returncode == 0, ended.stderr
    again = run([str(where / "bin" / "otel-kpi"), "bootstrap"], env, timeout=60)
    assert (again.stdout, again.stderr) == ("", "")
    check = subprocess.run(
        [uv, "pip", "check", "--python", str(python)], check=False, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr
