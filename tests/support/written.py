"""A value as the name of a test writes it: the same in every process that collects the tests."""

from __future__ import annotations

import re


def written(value: object) -> str:
    """Its representation without addresses in memory, cut where it says enough."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))[:80]
