"""What the tests of the export path share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_kpi.sdk.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()
