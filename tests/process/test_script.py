"""A batch script's calls and statements stand under one root, from the start of the process to its exit."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, run
from support.receiver import Received, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTERNAL, CLIENT, PRODUCER = 1, 3, 4


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


_LOAD = """
import sqlite3, sys, threading

def statements(count=1):
    connection = sqlite3.connect(":memory:")
    for _ in range(count):
        connection.execute("SELECT 1").fetchall()
    connection.close()

statements(3)
thread = threading.Thread(target=statements)
thread.start()
thread.join()
"""


def roots(receiver: Receiver) -> list[Received]:
    return [span for span in receiver.spans if not span.item.parent_span_id]


def script_root(receiver: Receiver) -> Received:
    [root] = [span for span in receiver.spans if span.scope == "otel_kpi.script"]
    return root


_ENDS = {
    # How it ends: (code, exit status of the process, what is said of it, status of the span).
    "last line": ("", 0, None, 0),
    "sys.exit()": ("sys.exit()", 0, 0, 0),
    "sys.exit(3)": ("sys.exit(3)", 3, 3, 2),
    "sys.exit of a text": ("sys.exit('no feed')", 1, 1, 2),
    "sys.exit through a finally": (
        "try:\n    sys.exit(6)\nfinally:\n    statements(0)",
        6,
        6,
        2,
    ),
    "sys.exit in a loop of asyncio": (
        "import asyncio\nasync def main():\n    sys.exit(4)\nasyncio.run(main())",
        4,
        None,  # the loop keeps the exception: nobody can tell that it ended the process
        0,
    ),
    "sys.exit that is caught": ("try:\n    sys.exit(5)\nexcept SystemExit:\n    pass", 0, None, 0),
    "raise SystemExit": ("raise SystemExit(7)", 7, None, 0),
    "error": ("raise LookupError('no such feed')", 1, 1, 2),
    "SIGTERM": ("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()", -15, 143, 2),
    "Ctrl-C": ("raise KeyboardInterrupt", -2, 130, 2),
}


@pytest.mark.parametrize("end", _ENDS)
def test_run_is_one_trace_whose_root_says_how_it_ended(tmp_path: Path, receiver: Receiver, end: str) -> None:
    code, status, said, span_status = _ENDS[end]
    (tmp_path / "load.py").write_text(_LOAD + code)
    ended = run([*RUN, sys.executable, "load.py", "--token", "hunter2"], environment(receiver.url), tmp_path)
    assert ended.returncode == status
    assert "otel_kpi" not in ended.stderr
    root = script_root(receiver)
    assert root.item.name == "load.py"
    assert root.item.kind == INTERNAL
    assert root.attributes.get("process.exit.code") == said
    assert root.item.status.code == span_status
    children = [span for span in receiver.spans if span.item.kind == CLIENT]
    assert len(children) == 4
    assert {span.item.parent_span_id for span in children} == {root.item.span_id}
    assert roots(receiver) == [root]
    assert root.item.start_time_unix_nano <= min(span.item.start_time_unix_nano for span in children)
    assert root.item.end_time_unix_nano >= max(span.item.end_time_unix_nano for span in children)
    if end == "error":
        assert [event.name for event in root.item.events] == ["exception"]


def test_script_without_calls_sends_no_root(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "idle.py").write_text("print('nothing to do')")
    assert run([*RUN, sys.executable, "idle.py"], environment(receiver.url), tmp_path).returncode == 0
    assert receiver.spans == []


def test_setting_leaves_each_call_a_trace_of_its_own(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "load.py").write_text(_LOAD)
    run([*RUN, sys.executable, "load.py"], environment(receiver.url, OTEL_KPI_SCRIPT_SPAN="false"), tmp_path)
    assert len(roots(receiver)) == len(receiver.spans) == 4


_NAMES = {
    "module": (["-m", "jobs.load"], "jobs.load"),
    "package": (["-m", "jobs"], "jobs"),
    "text": (["-c", _LOAD], "python"),
    "typer command": (["commands.py", "import", "--feed", "x"], "commands.py import"),
    "django command": (["manage.py", "load", "now"], "manage.py load"),
    "django module": (["-m", "django", "load"], "django load"),
}

_COMMANDS = """
import typer
from jobs.load import statements

app = typer.Typer()

@app.command("import")
def load(feed: str = "") -> None:
    statements()

@app.command("check")
def check() -> None:
    pass

app()
"""


@pytest.mark.parametrize("started", _NAMES)
def test_root_is_named_after_program_and_command_never_after_arguments(
    tmp_path: Path, receiver: Receiver, started: str
) -> None:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name in ("__init__", "__main__"):
        (jobs / f"{name}.py").write_text("import jobs.load" if name == "__main__" else "")
    # In the typer command only what the command itself does counts.
    guard = "if 'commands' not in sys.argv[0]:\n    statements()\n"
    (jobs / "load.py").write_text(_LOAD.partition("statements(3)")[0] + guard)
    (tmp_path / "commands.py").write_text(_COMMANDS)
    (tmp_path / "manage.py").write_text("from jobs.load import statements")
    (tmp_path / "django.py").write_text("from jobs.load import statements")
    arguments, name = _NAMES[started]
    ended = run([*RUN, sys.executable, *arguments], environment(receiver.url), tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert script_root(receiver).item.name == name


_SPANS = """
from opentelemetry import context, trace
tracer = trace.get_tracer("jobs")
with tracer.start_as_current_span("run"):
    statements()
with tracer.start_as_current_span("message", kind=trace.SpanKind.CLIENT, context=context.Context()):
    statements()
"""


def test_spans_that_the_user_starts_stay_roots_with_their_calls_below(
    tmp_path: Path, receiver: Receiver
) -> None:
    (tmp_path / "load.py").write_text(_LOAD + _SPANS)
    run([*RUN, sys.executable, "load.py"], environment(receiver.url), tmp_path)
    assert {span.item.name for span in roots(receiver)} == {"load.py", "run", "message"}
    by_parent = {span.item.span_id: span.item.name for span in roots(receiver)}
    children = [by_parent[span.item.parent_span_id] for span in receiver.spans if span.item.parent_span_id]
    assert sorted(children) == ["load.py"] * 4 + ["message", "run"]


def test_publications_to_celery_stand_under_the_root(tmp_path: Path, receiver: Receiver) -> None:
    pytest.importorskip("celery")
    (tmp_path / "order.py").write_text(
        "from celery import Celery\n"
        "app = Celery('shop', broker='memory://')\n"
        "@app.task\ndef pack(item): ...\n"
        "pack.delay(1)\npack.delay(2)\n"
    )
    run([*RUN, sys.executable, "order.py"], environment(receiver.url), tmp_path)
    root = script_root(receiver)
    published = [span.item.parent_span_id for span in receiver.spans if span.item.kind == PRODUCER]
    assert published == [root.item.span_id] * 2


_POOL = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(statements, [1, 1, 1])
"""


def test_forked_children_of_a_run_are_in_its_trace(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "load.py").write_text(_LOAD + _POOL + "        pool.close()\n        pool.join()\n")
    run([*RUN, sys.executable, "load.py"], environment(receiver.url), tmp_path)
    root = script_root(receiver)
    assert roots(receiver) == [root]
    assert len(receiver.spans) == 8


_SERVES = """
import threading, urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Quiet(WSGIRequestHandler):
    def log_message(self, *_): pass

def app(environ, start_response):
    statements()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
thread = threading.Thread(target=server.serve_forever)
thread.start()
urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/").read()
server.shutdown()
thread.join()
server.server_close()
statements()
"""


def test_process_that_turns_out_to_serve_has_no_root_from_then_on(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "serve.py").write_text(_LOAD + _SERVES)
    ended = run([*RUN, sys.executable, "serve.py"], environment(receiver.url), tmp_path)
    assert ended.returncode == 0, ended.stderr
    start = script_root(receiver)
    [request] = [span for span in receiver.spans if span.item.kind == 2]
    below = [span for span in receiver.spans if span.item.parent_span_id == start.item.span_id]
    assert len(below) == 4
    assert not request.item.parent_span_id
    assert request.item.trace_id != start.item.trace_id
    assert start.item.end_time_unix_nano < request.item.start_time_unix_nano
    assert len(roots(receiver)) == 3, "the root, the request, and the statement after it"


def test_run_that_becomes_another_program_has_its_root(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "load.py").write_text(
        _LOAD + "import os\nos.execv(sys.executable, [sys.executable, 'next.py'])\n"
    )
    (tmp_path / "next.py").write_text(_LOAD)
    run([*RUN, sys.executable, "load.py"], environment(receiver.url), tmp_path)
    assert sorted(span.item.name for span in roots(receiver)) == ["load.py", "next.py"]


_PROMPT = "import sys\nsys.ps1 = '>>> '\n"
_KERNEL = "import sys, types\nsys.modules['ipykernel'] = types.ModuleType('ipykernel')\n"


@pytest.mark.parametrize("before", [_PROMPT, _KERNEL], ids=["prompt", "kernel"])
def test_prompt_and_kernel_are_no_scripts(tmp_path: Path, receiver: Receiver, before: str) -> None:
    (tmp_path / "session.py").write_text(before + _LOAD)
    run([*RUN, sys.executable, "session.py"], environment(receiver.url), tmp_path)
    assert len(roots(receiver)) == len(receiver.spans) == 4
