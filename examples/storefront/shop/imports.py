"""Starting the ETL job: a process of its own, so that a long import outlives no request.

The job's run is a trace of its own. It is tied to the request on both sides:
the request's context goes to the job in the environment, in the W3C format, and becomes a Link of
the run span; the run's id is an attribute of the request's span and of the run span, so a search
for it in Jaeger leads from the request to the run.
"""

import asyncio
import logging
import os
import sys
import uuid
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from opentelemetry import propagate, trace
from pydantic import BaseModel, Field

from storefront.settings import Settings

PATIENCE = 30.0  # seconds that a stopping service waits for its jobs

log = logging.getLogger("storefront.shop")
router = APIRouter()


class Jobs:
    """The job processes that this service started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: set[asyncio.Task[int]] = set()

    async def start(self, feed: str, run_id: str) -> None:
        """Start the import of a feed. Its telemetry belongs to another service, `storefront-etl`."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        environment = {
            **os.environ,
            "OTEL_SERVICE_NAME": "storefront-etl",
            **{name.upper(): value for name, value in carrier.items()},
        }
        command = [*self._settings.launcher, sys.executable, "-m", "storefront.etl", feed, "--run-id", run_id]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, cwd=Path(__file__).parent.parent.parent
        )
        waiting = asyncio.create_task(process.wait())
        self._waiting.add(waiting)
        waiting.add_done_callback(self._waiting.discard)

    async def wait(self) -> None:
        """Let running jobs end; an import that has begun is worth waiting for."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=PATIENCE)


class Import(BaseModel):
    """The name of a feed, never a path."""

    feed: str = Field(pattern="^[a-z]{1,20}$")


@router.post("/imports", status_code=202)
async def start_import(request: Request, wanted: Import) -> dict[str, str]:
    """No statement here, one log record; the job's own are counted apart."""
    if not (request.app.state.settings.data / "feeds" / f"{wanted.feed}.csv").is_file():
        raise HTTPException(404, "no such feed")
    run_id = str(uuid.uuid4())
    trace.get_current_span().set_attribute("kpi.etl.run.id", run_id)
    await request.app.state.jobs.start(wanted.feed, run_id)
    log.info("import %s of feed %s started", run_id, wanted.feed)
    return {"run_id": run_id}
