"""Health that no test leaves to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_kpi import health

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _health() -> Iterator[None]:
    health.clear()
    yield
    health.clear()
