"""Health with a life of one test, and a real Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support import servers

from otel_kpi.health.registry import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_kpi.health.declaration import Known


@pytest.fixture
def health() -> Iterator[Health]:
    health = Health()
    yield health
    health.clear()


@pytest.fixture
def known(health: Health) -> Callable[[str], Known]:
    """What is known of a check once it has an outcome."""

    def known(name: str) -> Known:
        health.start()
        deadline = time.monotonic() + 10
        while True:
            found = next(each for each in health.known() if each.declaration.name == name)
            if found.outcome is not None:
                return found
            assert time.monotonic() < deadline, name
            time.sleep(0.005)  # the outcome comes from another thread, and nothing says when

    return known


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Server]:
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server
