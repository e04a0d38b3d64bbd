"""What the tests of all packs want."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.measured import Measured, measured

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def series() -> Generator[Measured]:
    """What the packs record in this test."""
    with measured() as found:
        yield found
