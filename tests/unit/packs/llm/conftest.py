from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_kpi.packs.llm.prices.book import CURRENT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _prices_of_the_environment() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """No test leaves its price file to the next."""
    CURRENT.prices = None
    yield
    CURRENT.prices = None
