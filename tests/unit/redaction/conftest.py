"""Each test leaves the policy of the process as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otel_kpi import redaction

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def own_policy() -> Iterator[None]:
    before = redaction.active().policy
    redaction.use(redaction.Policy())
    yield
    redaction.use(before)
