"""A check: what is asked, before it has a name and a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["database", "cache", "ai", "http", "function", "memory", "cpu", "disk"]

SYSTEM: Final = frozenset({"memory", "cpu", "disk"})
"""Kinds that stand under `system` in the answer, and not under `services`."""


@dataclass(frozen=True, slots=True)
class Check:
    """What is asked.

    Attributes:
        kind: What it is asked of.
        run: Asks, within the seconds that it is given, and returns what `result.judged` takes, or an awaitable of it.
            It is called in a thread of its own, and may raise.
        critical: Whether the process must not receive traffic while it fails, unless the declaration says.
    """

    kind: Kind
    run: Callable[[float], Any]
    critical: bool = False
