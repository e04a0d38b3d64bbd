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
    assert list(receiver.last("work.done").values()) == [500]
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
