from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from otel_kpi.stack import members, ports
from otel_kpi.stack.directories import Home
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.settings import SERVICES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

COMMAND = (sys.executable, "-c", "import sys; from otel_kpi.cli import main; sys.exit(main())", "stack")


@dataclass(frozen=True)
class Stack:
    """The command `otel-kpi stack` with a home and ports of its own."""

    home: Home
    offset: int

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **environment) as process:
            output, errors = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env={**os.environ, "OTEL_KPI_STACK_HOME": str(self.home.root), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self, *arguments: str, **environment: str) -> str:
        result = self.run("up", "--port-offset", str(self.offset), *arguments, **environment)
        assert result.returncode == 0, result.stderr
        return result.stdout

    @property
    def pids(self) -> set[int]:
        return {process.pid for process in members.members(self.home)}


def free_offset() -> int:
    for _ in range(50):
        # Below the range from which the kernel takes ports for outgoing connections.
        offset = random.randrange(100, 14000)
        try:
            ports.require_free(SERVICES, offset)
        except StackError:
            continue
        return offset
    pytest.fail("no free range of ports")


@pytest.fixture
def make_stack(tmp_path: Path) -> Generator[Callable[[str], Stack]]:
    made: list[Stack] = []

    def make(name: str) -> Stack:
        made.append(Stack(Home(tmp_path / name), free_offset()))
        return made[-1]

    yield make
    for stack in made:
        stack.run("down")


@pytest.fixture
def stack(make_stack: Callable[[str], Stack]) -> Stack:
    return make_stack("home")


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Ask again until something holds; fails with the last answer at the deadline."""

    def wait(condition: Callable[[], object], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
            time.sleep(0.05)

    return wait
