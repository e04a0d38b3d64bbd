"""A forked, spawned or served child is an instance of its own, and its numbers are its own."""

from __future__ import annotations

import signal
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, free_port, get, run, running, stop
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


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
read, write = os.pipe()  # closed when both children run, so that they run at once
for times in (1, 1):
    pid = os.fork()
    if pid == 0:
        work(times)
        os.close(write)
        os.read(read, 1)
        sys.exit(0)
    children.append(pid)
os.close(write)
for pid in children:
    os.waitpid(pid, 0)
"""


def test_sums_of_parent_and_forked_children_add_up_to_the_truth(tmp_path: Path, receiver: Receiver) -> None:
    """Stock OpenTelemetry reports 17 here, where the truth is 7."""
    ended = run([*RUN, sys.executable, write(tmp_path, FORK)], environment(receiver.url))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert receiver.counted("work.done") == [1, 1, 5]
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
    assert receiver.counted("work.done") == [3, 4]


HARD_EXIT = """
import os, sys
from opentelemetry import trace
tracer = trace.get_tracer("program")
for job in (1, 2):
    pid = os.fork()
    if pid == 0:
        if sys.argv[1] == "work":
            with tracer.start_as_current_span("work"): pass
        os._exit(job)
    print(os.waitpid(pid, 0)[1] >> 8)
"""


def test_forked_child_that_leaves_by_os_exit_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """RQ's workers fork for each job."""
    program = write(tmp_path, HARD_EXIT)
    ended = run([*RUN, sys.executable, program, "work"], environment(receiver.url))
    assert (ended.stdout, ended.stderr) == ("1\n2\n", "")
    assert len(receiver.named("work")) == 2


def test_forked_child_without_telemetry_is_not_held_up(tmp_path: Path) -> None:
    program = write(tmp_path, HARD_EXIT)
    ended = run([*RUN, sys.executable, program, "nothing"], environment(f"http://127.0.0.1:{free_port()}"))
    assert ended.stdout == "1\n2\n"
    assert ended.stderr.count("does not take telemetry") <= 1  # the parent's own


UNDER_LOAD = """
import os, sys, threading, time
from opentelemetry import metrics, trace
tracer = trace.get_tracer("program")
counter = metrics.get_meter("program").create_counter("work.done", "{item}")
made = 0
running = True
def load():
    global made
    while running:
        with tracer.start_as_current_span("load", attributes={"number": made}):
            counter.add(1)
        made += 1
        time.sleep(0.001)
def child(depth):
    with tracer.start_as_current_span("child"):
        counter.add(1)
    if depth:
        pid = os.fork()
        if pid == 0:
            child(depth - 1)
            sys.exit(0)
        os.waitpid(pid, 0)
threads = [threading.Thread(target=load, daemon=True) for _ in range(4)]
for thread in threads: thread.start()
children = []
for number in range(24):
    pid = os.fork()
    if pid == 0:
        child(number % 3)
        sys.exit(0)
    children.append(pid)
    if len(children) == 4:
        os.waitpid(children.pop(0), 0)
for pid in children: os.waitpid(pid, 0)
running = False
for thread in threads: thread.join()
"""


def test_children_of_children_forked_under_load_lose_nothing_and_repeat_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    """The parent's export thread encodes, sends, collects and imports while the forks happen."""
    env = environment(receiver.url, OTEL_BSP_SCHEDULE_DELAY="5", OTEL_METRIC_EXPORT_INTERVAL="20")
    ended = run([*RUN, sys.executable, write(tmp_path, UNDER_LOAD)], env, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(receiver.named("child")) == 8 * (1 + 2 + 3)
    ids = [span.item.span_id for span in receiver.spans]
    assert len(ids) == len(set(ids))


POOL = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from opentelemetry import metrics, trace
def work(number):
    with trace.get_tracer("program").start_as_current_span("work"):
        metrics.get_meter("program").create_counter("work.done", "{item}").add(1)
    return number
if __name__ == "__main__":
    if sys.argv[1] == "executor":
        with ProcessPoolExecutor(2) as executor:
            print(sum(executor.map(work, range(12))))
    else:
        recycled = 3 if sys.argv[1] == "recycled" else None
        with multiprocessing.Pool(2, maxtasksperchild=recycled) as pool:
            print(sum(pool.map(work, range(12), chunksize=1)))
            if sys.argv[1] != "terminated":
                pool.close()
                pool.join()
"""


@pytest.mark.parametrize("kind", ["closed", "recycled", "terminated", "executor"])
def test_pool_of_processes_loses_nothing(tmp_path: Path, receiver: Receiver, kind: str) -> None:
    """A pool that is terminated sends SIGTERM to its workers."""
    ended = run([*RUN, sys.executable, write(tmp_path, POOL), kind], environment(receiver.url))
    assert (ended.stdout, ended.stderr) == ("66\n", "")
    assert len(receiver.named("work")) == 12


def test_program_that_a_program_starts_is_an_instance_of_its_own(tmp_path: Path, receiver: Receiver) -> None:
    inner = write(tmp_path, FORK.partition("children = []")[0], "inner.py")
    text = (
        f"import subprocess, sys\nfor _ in range(2): subprocess.run([sys.executable, {inner!r}], check=True)"
    )
    # Slots are taken among processes of the same name, whoever runs them on this machine.
    env = environment(receiver.url, OTEL_SERVICE_NAME=f"program-{uuid.uuid4().hex}")
    ended = run([*RUN, sys.executable, write(tmp_path, text)], env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(receiver.named("work")) == 10
    (instance,) = receiver.last("work.done")
    assert instance.endswith("-1")  # the parent holds the first slot, and one child after the other the next


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
    assert sum(receiver.counted("work.done")) == 20


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_gunicorn_workers_lose_nothing_at_sigterm(
    tmp_path: Path, receiver: Receiver, preload: list[str]
) -> None:
    port = free_port()
    command = ["gunicorn", "served:application", "--workers", "2", "--bind", f"127.0.0.1:{port}", *preload]
    serve_and_stop(receiver, tmp_path, command, port)


@pytest.mark.parametrize(
    ("worker", "application"), [("gthread", "application"), ("uvicorn.workers.UvicornWorker", "asgi")]
)
def test_worker_classes_of_gunicorn_lose_nothing_at_sigterm(
    tmp_path: Path, receiver: Receiver, worker: str, application: str
) -> None:
    port = free_port()
    command = ["gunicorn", f"served:{application}", "--worker-class", worker, "--bind", f"127.0.0.1:{port}"]
    serve_and_stop(receiver, tmp_path, command, port)


@pytest.mark.parametrize("how", ["max-requests", "hup"])
def test_gunicorn_workers_that_are_replaced_lose_nothing(
    tmp_path: Path, receiver: Receiver, how: str
) -> None:
    port = free_port()
    write(tmp_path, WSGI, "served.py")
    command = ["gunicorn", "served:application", "--workers", "2", "--bind", f"127.0.0.1:{port}"]
    if how == "max-requests":
        command += ["--max-requests", "3"]
    with running([*RUN, *command], environment(receiver.url), tmp_path) as process:
        for number in range(20):
            assert get(f"http://127.0.0.1:{port}/") == 200
            if how == "hup" and number == 10:
                process.send_signal(signal.SIGHUP)
        stop(process)
    assert len(receiver.named("work")) == 20


@pytest.mark.parametrize(
    "command",
    [["uvicorn", "served:asgi", "--port"], ["gunicorn", "served:application", "--bind"]],
    ids=["uvicorn", "gunicorn"],
)
def test_server_that_reloads_a_changed_file_loses_nothing(
    tmp_path: Path, receiver: Receiver, command: list[str]
) -> None:
    served = Path(write(tmp_path, WSGI, "served.py"))
    port = free_port()
    address = f"127.0.0.1:{port}" if command[0] == "gunicorn" else str(port)
    with running([*RUN, *command, address, "--reload"], environment(receiver.url), tmp_path) as process:
        for _ in range(10):
            assert get(f"http://127.0.0.1:{port}/") == 200
        deadline = time.monotonic() + 30.0
        while len(receiver.named("imported")) < 2 and time.monotonic() < deadline:
            # Again and again: a change before the server's first look at the file is none.
            served.write_text(f"{WSGI}\n# changed at {time.monotonic()}\n")
            time.sleep(2.0)
        for _ in range(10):
            assert get(f"http://127.0.0.1:{port}/") == 200
        stop(process)
    assert len(receiver.named("work")) == 20


@pytest.mark.parametrize("options", [[], ["--workers", "2"], ["--reload"]], ids=["", "workers", "reload"])
def test_uvicorn_loses_nothing_at_sigterm(tmp_path: Path, receiver: Receiver, options: list[str]) -> None:
    port = free_port()
    serve_and_stop(receiver, tmp_path, ["uvicorn", "served:asgi", "--port", str(port), *options], port)
