"""What a session was, when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from otel_kpi.dev.state import Dev


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the store stood when the session began: its last rows."""

    trace: int = 0
    span: int = 0
    log: int = 0
    occurrence: int = 0


def mark(dev: Dev) -> Mark:
    """Where the store stands now."""
    raise NotImplementedError


def summary(dev: Dev, since: Mark, *, out: TextIO | None = None, as_json: bool = False) -> None:
    """Print what came since the mark: requests, the slowest, errors, spend by currency, pipelines.

    Args:
        dev: What is running; its store is still open.
        since: What `mark()` said when the session began.
        out: Where to; None is standard output.
        as_json: One line of JSON.
    """
    raise NotImplementedError
