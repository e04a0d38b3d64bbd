"""A real stack for the session, and rounds of the example system against it.

Needs `otel-kpi` with its extra `stack`, the example's own requirements, and the folder `examples`: beside
`tests` in a checkout, or where `OTEL_KPI_EXAMPLES` says.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

EXAMPLES = Path(os.environ.get("OTEL_KPI_EXAMPLES") or Path(__file__).parents[2] / "examples").resolve()
sys.path.insert(0, str(EXAMPLES))

from storefront import services  # noqa: E402 - the example is not installed
from storefront.audit import round as rounds  # noqa: E402 - the same
from storefront.audit.stores import Addresses  # noqa: E402 - the same
from storefront.services import System  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storefront.audit.round import Round

BUILD_WITHIN = 1800  # seconds: the first test of the session may have to build the services
# Below 32768: above it the kernel hands ports out to whoever connects.
PORT_OFFSETS = range(14_100, 15_900, 211)
SHOP_PORTS = range(12_301, 13_301, 97)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the stack, and patience for its first start."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.stack)
            item.add_marker(pytest.mark.timeout(BUILD_WITHIN))


@dataclass(frozen=True, slots=True)
class Size:
    """How long a round lasts, how many processes serve the shop, and what stands in front of each command."""

    workers: int
    seconds: int
    launcher: str = "opentelemetry-instrument"
    rate: int = 50


def _command(*arguments: str) -> list[str]:
    return [services.launch("otel-kpi")[0], "stack", *arguments]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Addresses]:
    """Collector, Jaeger, Prometheus and Bugsink with a state of their own; binaries come from the user's cache."""
    patch = pytest.MonkeyPatch()
    patch.setenv("OTEL_KPI_STACK_HOME", str(tmp_path_factory.mktemp("stack")))
    said = ""
    try:
        for offset in PORT_OFFSETS:
            started = subprocess.run(
                _command("up", "--port-offset", str(offset)), capture_output=True, text=True, check=False
            )
            said = started.stdout + started.stderr
            if started.returncode == 0:
                break
            if "taken" not in said:
                pytest.fail(f"the stack does not start:\n{said}")
        else:
            pytest.fail(f"no free ports for the stack:\n{said}")
        yield Addresses.of_stack()
    finally:
        subprocess.run(_command("clean"), capture_output=True, check=False)
        patch.undo()


@pytest.fixture(scope="session")
def new_system(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], System]:
    """Return what makes a system with so many workers: free ports, its own folder and its own environment."""

    def make(workers: int = 1) -> System:
        return System(
            workers=workers,
            environment=f"e2e-{uuid.uuid4().hex[:8]}",
            first_port=_three_free_ports(),
            data=tmp_path_factory.mktemp("storefront"),
            extra=stack.variables(),
        )

    return make


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(Size(workers=1, seconds=6, launcher="otel-kpi"), id="1-worker"),
        pytest.param(Size(workers=4, seconds=6), id="4-workers"),
        pytest.param(Size(workers=1, seconds=60), id="1-worker-60s", marks=pytest.mark.proof),
        pytest.param(Size(workers=4, seconds=60), id="4-workers-60s", marks=pytest.mark.proof),
    ],
)
def played(request: pytest.FixtureRequest, stack: Addresses, new_system: Callable[[int], System]) -> Round:
    """One round of the traffic script at 50 requests a second."""
    size: Size = request.param
    system = replace(new_system(size.workers), launcher=size.launcher)
    return rounds.play(system, stack, size.rate, size.seconds)


def _three_free_ports() -> int:
    """Return a port that is free together with the next two."""
    for first in SHOP_PORTS:
        with ExitStack() as held:
            try:
                for port in range(first, first + 3):
                    listener = held.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    pytest.fail("no free ports for the example")
