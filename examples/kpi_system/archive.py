"""A run that lasts: it copies events for as long as nobody ends it, and is seen while it is under way.

Its span will be there when it is over; until then there are `kpi_etl_pipeline_run_active`, how long it has been
running, and log events at its start and now and then.
"""

import asyncio

from otel_kpi import etl

MODEL = "archive"


class Archive:
    """One run at a time."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> str:
        """Begin, unless it has."""
        if self._task is None:
            self._over.clear()
            self._task = asyncio.create_task(self._copy())
        return "running"

    async def end(self) -> str:
        """End it, and wait until it has ended."""
        if self._task is not None:
            self._over.set()
            await self._task
            self._task = None
        return "ended"

    async def _copy(self) -> None:
        async with etl.run(MODEL, trigger="manual"):
            await self._over.wait()
