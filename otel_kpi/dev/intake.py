"""From a request to its commit: a bounded queue before the one writer. Acknowledged means committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.telemetry import Request


class FullError(Exception):
    """The queue is full; the sender comes again after `retry_after` seconds."""

    retry_after = 1


@dataclass(slots=True)
class Committed:
    """What one commit brought, for whoever follows what is going on.

    Attributes:
        requests: What was decoded.
        traces: Rows of the traces that are new or have changed.
        spans: How many.
        logs: How many.
        points: How many.
    """

    requests: list[Request[Any]]
    traces: list[int]
    spans: int = 0
    logs: int = 0
    points: int = 0


class Intake:
    """Takes requests from any thread of asyncio's loop and has them written together.

    Args:
        store: Where they are written.
        most_bytes: Of requests that wait; more are refused.
    """

    def __init__(self, store: Store, *, most_bytes: int = 64 * 2**20) -> None:
        self._store = store
        self._most = most_bytes

    async def submit(self, request: Request[Any]) -> None:
        """Have a request committed.

        Raises:
            FullError: Too much waits.
        """
        raise NotImplementedError

    def follow(self) -> AsyncIterator[Committed]:
        """Each commit from now on; who does not keep up misses some."""
        raise NotImplementedError
