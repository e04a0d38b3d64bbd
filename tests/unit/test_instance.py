"""Two processes that run at once never have the same `service.instance.id`; a freed slot is used again."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

from otel_kpi.instance import instance_id

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
