from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.dev.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def server() -> Generator[Served]:
    with served() as running:
        yield running
