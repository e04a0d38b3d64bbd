"""The wheel in an empty environment: what it brings, and that it works away from the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.children import environment, run
from support.receiver import Receiver

ROOT = Path(__file__).parents[2]

# What DESIGN names; an agent lives in somebody else's environment.
THIRD_PARTIES = {
    "asgiref",
    "certifi",
    "packaging",
    "psutil",
    "sentry-sdk",
    "typing-extensions",
    "urllib3",
    "wrapt",
}
NAMED_BY_THE_USER = {
    "opentelemetry-sdk",
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-django",
    "opentelemetry-instrumentation-sqlalchemy",
    "sentry-sdk",
}


def uv() -> str:
    found = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    assert Path(found).exists(), "uv is not on PATH; `make test` puts it there"
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` directory of a fresh environment with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")

    def quietly(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, text=True)

    quietly(uv(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    quietly(uv(), "venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    wheel = next(folder.glob("*.whl"))
    binaries = folder / "venv" / "bin"
    quietly(uv(), "pip", "install", "--quiet", "--python", str(binaries / "python"), str(wheel))
    return binaries


def test_core_brings_exactly_the_third_parties_that_the_design_names(installed: Path) -> None:
    listing = run(
        [uv(), "pip", "list", "--format", "json", "--python", str(installed / "python")], environment()
    )
    names = {entry["name"] for entry in json.loads(listing.stdout)}
    assert {name for name in names if not name.startswith("opentelemetry-")} - {"otel-kpi"} == THIRD_PARTIES
    assert names >= NAMED_BY_THE_USER
    assert not any("exporter" in name or "proto" in name for name in names)


def test_our_distro_is_chosen_with_no_variable_and_a_script_is_seen(installed: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from opentelemetry import trace\n"
        "with trace.get_tracer('program').start_as_current_span('hello'): pass\n"
    )
    with Receiver() as receiver:
        env = environment(receiver.url) | {"PATH": f"{installed}:/usr/bin:/bin"}
        ended = run([str(installed / "opentelemetry-instrument"), "python", str(program)], env, tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        (span,) = receiver.named("hello")
    assert span.resource["telemetry.distro.name"] == "otel-kpi"


@pytest.fixture(scope="module")
def beside_upstreams_distro(installed: Path) -> Path:
    """The same environment with `opentelemetry-distro` in it; for the tests at the end of this module."""
    subprocess.run(
        [
            uv(),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(installed / "python"),
            "opentelemetry-distro==0.66b1",
        ],
        check=True,
        capture_output=True,
    )
    return installed


def test_configurations_travel_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    names = ("collector/collector.yaml", "jaeger/jaeger.yaml", "deploy/prometheus/prometheus.yml")
    text = f"from importlib.resources import files\nprint(all((files('otel_kpi') / '_files' / n).is_file() for n in {names!r}))"
    assert run([str(installed / "python"), "-c", text], environment(), tmp_path).stdout == "True\n"


def test_command_without_its_extra_says_what_to_install(installed: Path, tmp_path: Path) -> None:
    ended = run([str(installed / "otel-kpi"), "stack", "up"], environment(HOME=str(tmp_path)), tmp_path)
    assert ended.returncode != 0
    assert "pip install 'otel-kpi[stack]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_grpc_without_its_extra_says_what_to_install_and_the_program_runs(
    installed: Path, tmp_path: Path
) -> None:
    env = environment("http://127.0.0.1:4317", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    command = [str(installed / "otel-kpi"), "run", str(installed / "python"), "-c", "print('runs')"]
    ended = run(command, env, tmp_path)
    assert ended.stdout == "runs\n"
    assert ended.stderr.count("pip install 'otel-kpi[otlp]'") == 1


@pytest.mark.parametrize(
    ("variables", "distro"),
    [({"OTEL_PYTHON_DISTRO": "otel_kpi"}, "otel-kpi"), ({}, None), ({"OTEL_PYTHON_DISTRO": "distro"}, None)],
)
def test_one_variable_chooses_ours_beside_upstreams_distro(
    beside_upstreams_distro: Path, tmp_path: Path, variables: dict[str, str], distro: str | None
) -> None:
    """Without it the loader takes what it finds first; whatever that is, no half of ours is left behind."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os\n"
        "from opentelemetry import trace\n"
        "with trace.get_tracer('program').start_as_current_span('hello'): pass\n"
        "print('OTEL_PYTHON_DISABLED_INSTRUMENTATIONS' in os.environ)\n"
    )
    with Receiver() as receiver:
        env = environment(receiver.url, **variables) | {"PATH": f"{beside_upstreams_distro}:/usr/bin:/bin"}
        ended = run(
            [str(beside_upstreams_distro / "opentelemetry-instrument"), "python", str(program)], env, tmp_path
        )
        assert ended.returncode == 0
        assert ended.stdout == "False\n"
        if distro is not None:
            assert ended.stderr == ""
            (span,) = receiver.named("hello")
            assert span.resource["telemetry.distro.name"] == distro
