"""A forked, spawned or served child is an instance of its own, and its numbers are its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, free_port, get, run, running, stop
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def write(tmp_path: Path, text: str, name: str = "program.py") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


FORK = """
import os, sys
from opentelemetry import metrics, trace
tracer = trace.get_tracer("program")
counter = metrics.get_meter("program").create_counter("work.done", "{item}")
def work(times):
    for number in range(times):
        with tracer.start_as_current_span("work"):
            counter.add(1)
work(5)
children = []
for times in (1, 1):
    pid = os.fork()
    if pid == 0:
        work(times)
        sys.exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_sums_of_parent_and_forked_children_add_up_to_the_truth(tmp_path: Path, receiver: Receiver) -> None:
    """Stock OpenTelemetry reports 17 here, where the truth is 7."""
    ended = run([*RUN, sys.executable, write(tmp_path, FORK)], environment(receiver.url))
    assert (ended.returncode, ended.stderr) == (0, "")
    values = receiver.last("work.done")
    assert sorted(values.values()) == [1, 1, 5]
    assert len(receiver.named("work")) == 7
    pids = {span.resource["process.pid"] for span in receiver.named("work")}
    assert len(pids) == 3


def test_instance_of_a_child_is_the_users_base_and_a_slot(tmp_path: Path, receiver: Receiver) -> None:
    env = environment(receiver.url, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=till-7")
    run([*RUN, sys.executable, write(tmp_path, FORK)], env)
    assert sorted(receiver.last("work.done")) == ["till-7", "till-7-1", "till-7-2"]


def test_slot_of_an_ended_process_is_taken_by_the_next(tmp_path: Path, receiver: Receiver) -> None:
    env = environment(receiver.url, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=till-8")
    program = write(tmp_path, FORK)
    for _ in range(3):
        run([*RUN, sys.executable, program], env)
    assert sorted(receiver.last("work.done")) == ["till-8", "till-8-1", "till-8-2"]


MULTIPROCESSING = """
import multiprocessing, sys
from opentelemetry import metrics, trace
def work(times):
    tracer = trace.get_tracer("program")
    counter = metrics.get_meter("program").create_counter("work.done", "{item}")
    for number in range(times):
        with tracer.start_as_current_span("work"):
            counter.add(1)
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    children = [multiprocessing.Process(target=work, args=(times,)) for times in (3, 4)]
    for child in children: child.start()
    for child in children: child.join()
    print([child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_lose_nothing(tmp_path: Path, receiver: Receiver, method: str) -> None:
    program = write(tmp_path, MULTIPROCESSING)
    ended = run([*RUN, sys.executable, program, method], environment(receiver.url))
    assert (ended.stdout, ended.stderr) == ("[0, 0]\n", "")
    assert len(receiver.named("work")) == 7
    assert sorted(receiver.last("work.done").values()) == [3, 4]


WSGI = """
from opentelemetry import metrics, trace
tracer = trace.get_tracer("program")
counter = metrics.get_meter("program").create_counter("work.done", "{item}")
with tracer.start_as_current_span("imported"):
    pass
def application(environ, start_response):
    with tracer.start_as_current_span("work"):
        counter.add(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    with tracer.start_as_current_span("work"):
        counter.add(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def serve_and_stop(receiver: Receiver, tmp_path: Path, command: list[str], port: int) -> None:
    write(tmp_path, WSGI, "served.py")
    with running([*RUN, *command], environment(receiver.url), tmp_path) as process:
        for _ in range(20):
            assert get(f"http://127.0.0.1:{port}/") == 200
        stop(process)
    assert len(receiver.named("work")) == 20
    assert sum(receiver.last("work.done").values()) == 20


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn_workers_lose_nothing_at_sigterm(
    tmp_path: Path, receiver: Receiver, preload: list[str]
) -> None:
    port = free_port()
    command = ["gunicorn", "served:application", "--workers", "2", "--bind", f"127.0.0.1:{port}", *preload]
    serve_and_stop(receiver, tmp_path, command, port)


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]], ids=["", "workers", "reload"])
def test_uvicorn_loses_nothing_at_sigterm(tmp_path: Path, receiver: Receiver, options: list[str]) -> None:
    port = free_port()
    serve_and_stop(receiver, tmp_path, ["uvicorn", "served:asgi", "--port", str(port), *options], port)
