"""Two processes that run at once never have the same `service.instance.id`; a freed slot is used again."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

from otel_kpi.instance import instance_id

if TYPE_CHECKING:
    from pathlib import Path

HOLD = "import sys; from otel_kpi.instance import instance_id; print(instance_id(*sys.argv[1:]), flush=True); input()"


def hold(service: str, base: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, service, base], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=10)


def test_processes_that_run_at_once_differ_and_a_freed_slot_is_taken_again() -> None:
    base = uuid.uuid4().hex
    first, first_id = hold("shop", base)
    second, second_id = hold("shop", base)
    assert (first_id, second_id) == (base, f"{base}-1")
    end(first)
    third, third_id = hold("shop", base)
    assert third_id == base
    end(second)
    end(third)


def test_another_service_on_the_same_host_has_slots_of_its_own() -> None:
    base = uuid.uuid4().hex
    process, _ = hold("shop", base)
    assert instance_id("office", base) == base
    end(process)


def test_forked_child_takes_a_slot_of_its_own() -> None:
    base = uuid.uuid4().hex
    assert instance_id("shop", base) == base
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, instance_id("shop", base).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(read, 100).decode() == f"{base}-1"
    os.close(read)
    os.close(write)
    assert instance_id("shop", base) == base


def test_file_that_got_the_number_of_a_closed_slot_file_is_not_locked(tmp_path: Path) -> None:
    """A program that becomes a daemon closes every descriptor."""
    text = f"""
import os, fcntl
from otel_kpi import instance
base = {uuid.uuid4().hex!r}
print(instance.instance_id("shop", base) == base)
os.closerange(3, 64)
theirs = [os.open({str(tmp_path / "theirs")!r}, os.O_RDWR | os.O_CREAT) for _ in range(10)]
print(instance.instance_id("shop", base) == base)
if os.fork() == 0:
    fcntl.lockf(theirs[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free", instance.instance_id("shop", base) == base + "-1", flush=True)
    os._exit(0)
os.wait()
"""
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (sorted(ended.stdout.split()), ended.stderr) == (["True", "True", "True", "free"], "")
