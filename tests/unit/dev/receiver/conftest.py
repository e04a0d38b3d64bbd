from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.dev.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def running() -> Generator[Served]:
    with served() as server:
        yield server


@pytest.fixture
def server(running: Served) -> Served:
    """One for all tests of a module: what the one before has sent is not seen."""
    running.begin()
    return running
