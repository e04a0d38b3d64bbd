"""However a process ends, what it finished arrives; whoever waits for it sees what it would see without us."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.children import INSTRUMENT, RUN, environment, free_port, run, running
from support.receiver import Receiver

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = """
import logging, os, signal, sys, time
from opentelemetry import metrics, trace
tracer = trace.get_tracer("script")
counter = metrics.get_meter("script").create_counter("work.done", "{item}")
for number in range(500):
    with tracer.start_as_current_span("work"):
        counter.add(1)
logging.getLogger("script").warning("halfway")
"""

WAIT = (
    SCRIPT
    + """
print("ready", flush=True)
while True:
    time.sleep(1)
"""
)


# The addition calls it while the counter's lock is held.
INTERRUPTED = """
class Interrupting(int):
    def __radd__(self, other):
        os.kill(os.getpid(), signal.SIGTERM)
        return other + int(self)
counter.add(Interrupting(7))
time.sleep(30)
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return str(path)


def assert_everything_arrived(receiver: Receiver) -> None:
    assert len(receiver.named("work")) == 500
    assert receiver.counted("work.done") == [500]
    assert [log.item.body.string_value for log in receiver.logs] == ["halfway"]


@pytest.mark.parametrize("launcher", [INSTRUMENT, RUN], ids=["opentelemetry-instrument", "otel-kpi run"])
def test_plain_script_loses_nothing_at_its_end(
    tmp_path: Path, receiver: Receiver, launcher: tuple[str, ...]
) -> None:
    ended = run([*launcher, sys.executable, script(tmp_path, SCRIPT)], environment(receiver.url))
    assert ended.returncode == 0
    assert ended.stdout == ""
    assert (
        ended.stderr == "halfway\n"
    )  # Python's own last resort for a program without logging; nothing of ours
    assert_everything_arrived(receiver)


@pytest.mark.parametrize(
    ("ending", "status"),
    [("sys.exit(3)", 3), ("raise RuntimeError('boom')", 1), ("raise KeyboardInterrupt", -2)],
)
def test_exit_status_is_the_programs_own(
    tmp_path: Path, receiver: Receiver, ending: str, status: int
) -> None:
    ended = run([*RUN, sys.executable, script(tmp_path, SCRIPT + ending)], environment(receiver.url))
    assert ended.returncode == status
    assert_everything_arrived(receiver)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_script_killed_by_a_signal_loses_nothing_and_dies_of_it(
    tmp_path: Path, receiver: Receiver, number: signal.Signals
) -> None:
    with running([*RUN, sys.executable, script(tmp_path, WAIT)], environment(receiver.url)) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            pass
        process.send_signal(number)
        assert process.wait(10) == -number
    assert_everything_arrived(receiver)


def test_signal_handler_of_the_application_stays(tmp_path: Path, receiver: Receiver) -> None:
    text = WAIT.replace("print(", "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nprint(")
    with running([*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url)) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "ready\n":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 7
    assert_everything_arrived(receiver)


def test_without_a_collector_the_process_ends_within_the_budget_and_says_so_once(tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    started = time.monotonic()
    ended = run([*RUN, sys.executable, script(tmp_path, SCRIPT)], environment(endpoint))
    assert time.monotonic() - started < 6.0  # the figure is 2 s
    assert ended.returncode == 0
    lines = [line for line in ended.stderr.splitlines() if endpoint in line]
    assert len(lines) <= 2, ended.stderr
    assert "500 spans" in lines[-1]
    assert "1 log records" in lines[-1]


def test_receiver_that_never_answers_holds_the_exit_no_longer_than_the_budget(tmp_path: Path) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ended = run([*RUN, sys.executable, script(tmp_path, SCRIPT)], environment(endpoint))
        assert time.monotonic() - started < 6.0  # the figure is 2 s
    assert ended.returncode == 0
    assert "500 spans" in ended.stderr


def started(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while process.stdout.readline() != "ready\n":
        pass


def test_signals_during_the_flush_at_exit_lose_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """Supervisors signal the process and its group, and may do so when it is ending anyway."""
    receiver.delay = 0.3
    text = SCRIPT + "import atexit\natexit.register(print, 'ready', flush=True)\n"
    with running([*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url)) as process:
        started(process)
        for _ in range(3):
            time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    assert_everything_arrived(receiver)


def test_second_sigterm_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    receiver.delay = 0.3
    with running([*RUN, sys.executable, script(tmp_path, WAIT)], environment(receiver.url)) as process:
        started(process)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    assert_everything_arrived(receiver)


def test_sigterm_in_the_middle_of_a_measurement_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """The interrupted code holds a lock for which the last collection waits."""
    text = SCRIPT + INTERRUPTED
    before = time.monotonic()
    ended = run([*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url))
    assert time.monotonic() - before < 6.0  # a part of a second; 2 s when the collection waits in vain
    assert (ended.returncode, ended.stderr) == (-signal.SIGTERM, "halfway\n")
    assert receiver.counted("work.done") == [507]


def test_sigterm_during_back_off_sends_to_a_receiver_that_is_back(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = 503
    with running([*RUN, sys.executable, script(tmp_path, WAIT)], environment(receiver.url)) as process:
        started(process)
        line = process.stdout.readline() if process.stdout is not None else ""
        assert "does not take telemetry (503" in line or "halfway" in line
        time.sleep(1.5)
        receiver.status = 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    assert_everything_arrived(receiver)


def test_ctrl_c_in_asyncio_loses_nothing_and_keeps_the_status(tmp_path: Path, receiver: Receiver) -> None:
    text = (
        SCRIPT
        + """
import asyncio
async def main():
    print("ready", flush=True)
    await asyncio.sleep(30)
asyncio.run(main())
"""
    )
    with running([*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url)) as process:
        started(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT
    assert_everything_arrived(receiver)


def test_program_that_becomes_another_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """Servers restart themselves this way when their code changes."""
    text = SCRIPT + "os.execv(sys.executable, [sys.executable, '-S', '-c', 'print(\"second life\")'])"
    ended = run([*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url))
    assert (ended.returncode, ended.stdout) == (0, "second life\n")
    assert_everything_arrived(receiver)


def test_what_a_later_exit_handler_records_arrives(tmp_path: Path, receiver: Receiver) -> None:
    """Handlers run in reverse order: one that was registered before telemetry was configured runs after ours."""
    early = "import atexit\natexit.register(lambda: late())\nimport otel_kpi\notel_kpi.configure()\n"
    late = """
def late():
    for number in range(3):
        with tracer.start_as_current_span("late"):
            counter.add(1)
"""
    ended = run([sys.executable, script(tmp_path, early + SCRIPT + late)], environment(receiver.url))
    assert (ended.returncode, ended.stderr) == (0, "halfway\n")
    assert len(receiver.named("work")) == 500
    assert len(receiver.named("late")) == 3
    assert len(receiver.logs) == 1


def test_collection_that_never_ends_costs_no_span_and_no_log_record(
    tmp_path: Path, receiver: Receiver
) -> None:
    text = SCRIPT + (
        "metrics.get_meter('script').create_observable_gauge('stuck', [lambda _: time.sleep(60) or []])\n"
    )
    before = time.monotonic()
    ended = run([*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url))
    assert time.monotonic() - before < 6.0  # the figure is 2 s
    assert ended.returncode == 0
    assert len(receiver.named("work")) == 500
    assert len(receiver.logs) == 1


def test_disabled_sdk_patches_and_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    text = (
        SCRIPT
        + "import httpx, sys\nprint(type(trace.get_tracer_provider()).__name__, 'wrapt' in str(httpx.Client.send))"
    )
    ended = run(
        [*RUN, sys.executable, script(tmp_path, text)], environment(receiver.url, OTEL_SDK_DISABLED="true")
    )
    assert ended.stdout == "ProxyTracerProvider False\n"
    assert receiver.requests == []


def test_process_that_records_nothing_asks_for_no_collector_and_says_nothing() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    ended = run([*INSTRUMENT, sys.executable, "-c", "pass"], environment(endpoint))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_launcher_inside_an_instrumented_process_says_nothing_of_its_own(tmp_path: Path) -> None:
    """The launcher is a Python program too, and inherits the environment; the program it becomes speaks once."""
    endpoint = f"http://127.0.0.1:{free_port()}"
    text = f"import subprocess\nsubprocess.run({[*RUN, sys.executable, script(tmp_path, SCRIPT)]!r})"
    ended = run([*RUN, sys.executable, "-c", text], environment(endpoint))
    assert ended.stderr.count("500 spans") == 1
    assert ended.stderr.count(endpoint) <= 2, ended.stderr


CONFIG_FILE = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch: {exporter: {otlp_http: {endpoint: "%(url)s/v1/traces"}}}
meter_provider:
  readers:
    - periodic: {exporter: {otlp_http: {endpoint: "%(url)s/v1/metrics"}}}
logger_provider:
  processors:
    - batch: {exporter: {otlp_http: {endpoint: "%(url)s/v1/logs"}}}
"""


def with_config_file(tmp_path: Path, url: str) -> dict[str, str]:
    pytest.importorskip("opentelemetry.configuration")
    path = tmp_path / "otel.yaml"
    path.write_text(CONFIG_FILE % {"url": url})
    return environment(OTEL_CONFIG_FILE=str(path))


def test_sigterm_loses_nothing_of_what_a_configuration_file_built(tmp_path: Path, receiver: Receiver) -> None:
    env = with_config_file(tmp_path, receiver.url)
    with running([*RUN, sys.executable, script(tmp_path, WAIT)], env) as process:
        started(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == -signal.SIGTERM
    assert len(receiver.named("work")) == 500
    assert [point.item.as_int for point in receiver.points if point.metric == "work.done"] == [500]


def test_exporters_of_a_configuration_file_hold_the_exit_no_longer_than_the_budget(tmp_path: Path) -> None:
    """Left alone they hold it for 15 s."""
    env = with_config_file(tmp_path, f"http://127.0.0.1:{free_port()}")
    before = time.monotonic()
    ended = run([*RUN, sys.executable, script(tmp_path, SCRIPT)], env)
    assert time.monotonic() - before < 6.0  # the figure is 2 s
    assert ended.returncode == 0
    assert "did not take 500 spans" in ended.stderr


def test_line_for_a_handler_whose_stream_is_closed_is_no_traceback(tmp_path: Path) -> None:
    """The pipe to dramatiq's main process is closed before its workers end; so are the streams of a test run."""
    program = (
        "import io, logging\nfrom opentelemetry import trace\n"
        "stream = io.StringIO()\nlogging.basicConfig(stream=stream)\n"
        "with trace.get_tracer('program').start_as_current_span('work'): pass\n"
        "stream.close()\n"
    )
    ended = run(
        [*RUN, sys.executable, script(tmp_path, program)], environment(f"http://127.0.0.1:{free_port()}")
    )
    assert (ended.returncode, ended.stderr) == (0, "")
