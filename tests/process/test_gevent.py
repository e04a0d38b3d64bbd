"""A program whose threads become greenlets after telemetry has begun ends in time, and loses nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("gevent")

from support.children import INSTRUMENT, RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys, time
from opentelemetry import metrics, trace
tracer = trace.get_tracer("program")
with tracer.start_as_current_span("before"):
    if sys.argv[1] == "late":
        time.sleep(1.5)  # the export thread has sent, and has a connection
from gevent import monkey
monkey.patch_all()
import gevent
def work():
    with tracer.start_as_current_span("work"):
        gevent.sleep(0.01)
        metrics.get_meter("program").create_counter("work.done").add(1)
gevent.joinall([gevent.spawn(work) for _ in range(20)])
"""


@pytest.mark.parametrize(
    ("launcher", "when"), [(RUN, "early"), pytest.param(INSTRUMENT, "early", marks=pytest.mark.proof)]
)
def test_spans_and_metrics_of_greenlets_arrive(tmp_path: Path, launcher: tuple[str, ...], when: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Receiver() as receiver:
        ended = run([*launcher, sys.executable, str(program), when], environment(receiver.url))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        assert len(receiver.named("work")) == 20
        assert receiver.counted("work.done") == [20]


@pytest.mark.proof
def test_connection_that_was_open_before_is_no_hindrance(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Receiver() as receiver:
        # gevent itself warns of ssl, which the first request has imported.
        ended = run([*RUN, sys.executable, "-W", "ignore", str(program), "late"], environment(receiver.url))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        assert len(receiver.named("work")) == 20
        assert receiver.counted("work.done") == [20]


COMMANDS = """
from gevent import monkey
monkey.patch_all()
import os, subprocess
import gevent
from opentelemetry import trace
main = os.getpid()
def work():
    gevent.sleep(0)
    if os.getpid() != main:
        os.write(1, b"a greenlet of the parent goes on in the child\\n")
        os._exit(1)
    subprocess.run(["true"], check=True)
gevent.joinall([gevent.spawn(work) for _ in range(5)], raise_error=True)
child = os.fork()
with trace.get_tracer("program").start_as_current_span("in the child" if child == 0 else "in the parent"):
    gevent.sleep(0.01)
if child:
    os.waitpid(child, 0)
"""


def test_commands_of_greenlets_start_nothing_of_the_parents_again(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(COMMANDS)
    with Receiver() as receiver:
        ended = run([*RUN, sys.executable, "-W", "ignore", str(program)], environment(receiver.url))
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        assert len(receiver.named("in the parent")) == 1
        assert len(receiver.named("in the child")) == 1
