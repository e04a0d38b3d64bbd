from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_kpi.dev.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator

NOW = 1_795_248_000.0


@pytest.fixture
def store() -> Generator[Store]:
    opened = Store(None, now=lambda: NOW + 1)
    yield opened
    opened.close()
