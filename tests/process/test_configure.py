"""One call in code does what the launcher does; a second call changes who is speaking, and nothing else."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPAN = """
from opentelemetry import metrics, trace
def work(name):
    with trace.get_tracer("program").start_as_current_span(name):
        metrics.get_meter("program").create_counter("work.done", "{item}").add(1)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def python(receiver: Receiver, text: str, *launcher: str, **env: str) -> str:
    ended = run([*launcher, sys.executable, "-c", text], environment(receiver.url, **env))
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_call_in_code_names_application_version_and_environment(receiver: Receiver) -> None:
    text = f"import otel_kpi\notel_kpi.configure(app_name='shop', version='1.4', environment='prod')\n{SPAN}\nwork('a')"
    assert python(receiver, text) == ""
    (span,) = receiver.named("a")
    expected = {"service.name": "shop", "service.version": "1.4", "deployment.environment.name": "prod"}
    assert expected.items() <= span.resource.items()
    assert {
        "service.instance.id",
        "host.name",
        "process.pid",
        "telemetry.distro.name",
    } <= span.resource.keys()


def test_cell_of_a_notebook_that_is_run_again_configures_once(receiver: Receiver) -> None:
    cell = "otel_kpi.configure(app_name='notebook')\nwork('cell')\n"
    assert python(receiver, f"import otel_kpi\n{SPAN}\n{cell}{cell}{cell}") == ""
    assert len(receiver.named("cell")) == 3
    assert receiver.counted("work.done") == [3]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with an instrumentor of somebody else, installed as a package is."""
    (tmp_path / "garden.py").write_text(
        "class Instrumentor:\n    def instrument(self, **options): print('garden', sorted(options))\n"
        "class Broken:\n    def instrument(self, **options): raise RuntimeError('no water')\n"
    )
    metadata = tmp_path / "garden-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: garden\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\ngarden = garden:Instrumentor\npond = garden:Broken\n"
    )
    return tmp_path


@pytest.mark.parametrize("launcher", [(), RUN], ids=["configure", "otel-kpi run"])
def test_instrumentor_of_somebody_else_is_loaded_once(
    receiver: Receiver, installed: Path, launcher: tuple[str, ...]
) -> None:
    text = "import otel_kpi\notel_kpi.configure()\notel_kpi.configure()"
    env = environment(receiver.url, PYTHONPATH=str(installed))
    ended = run([*launcher, sys.executable, "-c", text], env)
    assert ended.stdout == "garden ['skip_dep_check']\n"
    assert ended.stderr == "the instrumentor 'pond' failed and is left out: RuntimeError('no water')\n"


def test_instrumentor_of_somebody_else_stays_off_when_it_is_disabled(
    receiver: Receiver, installed: Path
) -> None:
    text = "import otel_kpi\notel_kpi.configure()"
    env = environment(
        receiver.url, PYTHONPATH=str(installed), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="pond,garden"
    )
    ended = run([sys.executable, "-c", text], env)
    assert (ended.stdout, ended.stderr) == ("", "")


def test_code_names_a_process_that_the_launcher_started(receiver: Receiver) -> None:
    text = f"{SPAN}\nwork('before')\nimport otel_kpi\notel_kpi.configure(app_name='shop')\nwork('after')"
    assert python(receiver, text, *RUN, OTEL_SERVICE_NAME="unnamed") == ""
    assert receiver.named("before")[0].resource["service.name"] == "unnamed"
    assert receiver.named("after")[0].resource["service.name"] == "shop"


def test_call_in_a_thread_works(receiver: Receiver) -> None:
    text = f"import otel_kpi, threading\nt = threading.Thread(target=otel_kpi.configure)\nt.start(); t.join()\n{SPAN}\nwork('a')"
    assert python(receiver, text) == ""
    assert len(receiver.named("a")) == 1


def test_flush_sends_now_and_says_so(receiver: Receiver) -> None:
    text = f"import otel_kpi, os\notel_kpi.configure()\n{SPAN}\nwork('a')\nassert otel_kpi.flush(5.0)\nos._exit(0)"
    python(receiver, text)
    assert len(receiver.named("a")) == 1
    assert receiver.counted("work.done") == [1]


def test_force_flush_of_the_provider_works_as_upstreams_does(receiver: Receiver) -> None:
    text = f"{SPAN}\nimport os\nwork('a')\nassert trace.get_tracer_provider().force_flush(5000)\nos._exit(0)"
    python(receiver, text, *RUN)
    assert len(receiver.named("a")) == 1


def test_sampler_of_the_environment_is_the_authority(receiver: Receiver) -> None:
    python(receiver, f"{SPAN}\nwork('a')", *RUN, OTEL_TRACES_SAMPLER="always_off")
    assert receiver.spans == []
    assert receiver.counted("work.done") == [1]


def test_exporter_of_another_make_is_driven_beside_ours(receiver: Receiver) -> None:
    ended = run(
        [*RUN, sys.executable, "-c", f"{SPAN}\nwork('a')"],
        environment(receiver.url, OTEL_TRACES_EXPORTER="console,otlp"),
    )
    assert '"name": "a"' in ended.stdout
    assert len(receiver.named("a")) == 1


def test_propagators_that_are_installed_stay_set_for_child_processes(receiver: Receiver) -> None:
    text = (
        "import otel_kpi, os\notel_kpi.configure()\nassert os.environ['OTEL_PROPAGATORS'] == 'tracecontext'"
    )
    errors = python(receiver, text, OTEL_PROPAGATORS="smoke,tracecontext")
    assert errors.count("smoke") == 1


def test_users_sitecustomize_runs_too(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins\nbuiltins.chained = True\n")
    text = f"{SPAN}\nassert chained\nwork('a')"
    assert python(receiver, text, *RUN, PYTHONPATH=str(tmp_path)) == ""
    assert len(receiver.named("a")) == 1


def test_users_broken_sitecustomize_costs_nothing_but_its_own_error(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('mine')\n")
    errors = python(receiver, f"{SPAN}\nwork('a')", *RUN, PYTHONPATH=str(tmp_path))
    assert "RuntimeError: mine" in errors
    assert len(receiver.named("a")) == 1


def test_launcher_passes_every_option_through(receiver: Receiver) -> None:
    """`opentelemetry-instrument` takes `--config` for one of its own and does not start the application."""
    text = "import sys; print(sys.argv[1:])"
    words = ["--config", "x.toml", "--version", "-h", "--traces_exporter", "none", "--"]
    ended = run([*RUN, sys.executable, "-c", text, *words], environment(receiver.url))
    assert ended.stdout == f"{words}\n"


def test_launcher_says_when_there_is_no_such_command() -> None:
    ended = run([*RUN, "no-such-command"], environment())
    assert (ended.returncode, ended.stderr) == (127, "otel-kpi run: no-such-command: command not found\n")


def test_option_of_python_that_keeps_telemetry_out_is_said(receiver: Receiver) -> None:
    ended = run([*RUN, sys.executable, "-I", "-c", "print('runs')"], environment(receiver.url))
    assert ended.stdout == "runs\n"
    assert ended.stderr == (
        "otel-kpi run: -I keeps Python from loading telemetry; call otel_kpi.configure() instead\n"
    )


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_program_without_standard_streams_is_seen(receiver: Receiver, closed: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", *RUN, sys.executable, "-c", f"{SPAN}\nwork('a')"]
    assert run(command, environment(receiver.url)).returncode == 0
    assert len(receiver.named("a")) == 1


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_second_tracer_provider_costs_one_line_and_no_metric(receiver: Receiver, first: str) -> None:
    ours = "import otel_kpi\notel_kpi.configure()\n"
    theirs = (
        "from opentelemetry.sdk.trace import TracerProvider\ntrace.set_tracer_provider(TracerProvider())\n"
    )
    setup = theirs + ours if first == "theirs" else ours + theirs
    errors = python(receiver, f"{SPAN}\n{setup}work('a')")
    assert len(errors.splitlines()) == 1
    assert "TracerProvider" in errors
    assert list(receiver.last("work.done").values()) == [1]
    assert len(receiver.named("a")) == (1 if first == "ours" else 0)


def test_calls_with_values_that_are_none_cost_the_program_nothing(receiver: Receiver) -> None:
    text = f"""
import otel_kpi
{SPAN}
for odd in (["a"], b"x", 4711, object()):
    otel_kpi.configure(app_name="shop", resource_attributes=odd)
    assert otel_kpi.flush(odd) in (True, False)
work("a")
"""
    said = python(receiver, text)
    assert "resource_attributes is not used" in said
    assert receiver.named("a")[0].resource["service.name"] == "shop"


def test_resource_detector_that_hangs_is_left_out(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text(
        "import time\nclass Detector:\n    raise_on_error = False\n    def detect(self): time.sleep(600)\n"
    )
    metadata = tmp_path / "hanging-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[opentelemetry_resource_detector]\nhanging=hanging:Detector\n"
    )
    text = f"import otel_kpi\notel_kpi.configure(app_name='shop')\n{SPAN}\nwork('a')"
    variables = {"PYTHONPATH": str(tmp_path), "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "hanging"}
    said = python(receiver, text, **variables)
    assert said == "the resource detector 'hanging' took longer than 5 s and is left out\n"
    assert receiver.named("a")


def test_settings_in_code_reach_what_reads_them_later_from_the_environment(receiver: Receiver) -> None:
    text = """
import os, otel_kpi
otel_kpi.configure(
    app_name="settings", genai_stream_usage=("on", "llm.corp:8080"), genai_abandoned_as_errors=True, genai_nested="upstream",
    genai_names="both", cost_aliases=("operation.cost",), llm_budgets="day=50 EUR", currency="EUR",
    currency_rates=("USD:EUR=0.92",), genai_providers=(("llm.corp:8080", "vllm"),),
)
print({name.removeprefix("OTEL_KPI_"): value for name, value in os.environ.items() if name.startswith("OTEL_KPI_")})
"""
    ended = run([sys.executable, "-c", text], environment(receiver.url))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {
        "GENAI_STREAM_USAGE": "on,llm.corp:8080",
        "GENAI_ABANDONED_AS_ERRORS": "true",
        "GENAI_NESTED": "upstream",
        "GENAI_NAMES": "both",
        "COST_ALIASES": "operation.cost",
        "LLM_BUDGETS": "day=50 EUR",
        "CURRENCY": "EUR",
        "CURRENCY_RATES": "USD:EUR=0.92",
        "GENAI_PROVIDERS": "llm.corp:8080=vllm",
    }.items() <= ast.literal_eval(ended.stdout).items()
