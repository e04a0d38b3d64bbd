"""The server: refresh a model, analyse it, listen to what happens. `uvicorn kpi_system.server:app`."""

import asyncio
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, WebSocket
from pydantic import BaseModel

import otel_kpi
from kpi_system import engine, feeds
from kpi_system.archive import Archive
from kpi_system.gate import Gate, without_tags
from kpi_system.hub import Hub
from kpi_system.processor import Processor
from otel_kpi import health
from otel_kpi.endpoints.starlette import add_endpoints

DATA = Path(os.environ.get("KPI_DATA", "kpi-data"))
DATA.mkdir(parents=True, exist_ok=True)

app = FastAPI(title="KPI system")
add_endpoints(app)  # /metrics, /api/metrics/summary, /monitoring, /api/health and its kin
gate = Gate(os.environ["KPI_API_KEY"])
hub = Hub()
archive = Archive()
processor = Processor(DATA / "facts.db")
health.check("facts", processor.is_there, critical=True)
health.start()  # not only when somebody asks


class Note(BaseModel):
    """What somebody has to say about a model."""

    text: str


@app.post("/api/models/{model}/refresh")
async def refresh(model: str, request: Request) -> dict[str, Any]:
    with gate.secured("refresh", request):
        _known(model)
        try:
            score = await asyncio.to_thread(processor.refresh, model)
        except ValueError as error:
            raise HTTPException(502, str(error)) from error
        hub.publish("kpi_update", model, quality=score)
        await hub.flush()
        return {"quality": score}


@app.post("/api/models/{model}/analysis")
async def analysis(model: str, request: Request) -> dict[str, Any]:
    with gate.secured("analysis", request):
        _known(model)
        try:
            found = await asyncio.to_thread(engine.analyse, model)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        for finding in found:
            hub.publish("anomaly_detected", model, metric=finding.metric, severity=finding.outlier.severity)
        hub.publish("analysis_completed", model, anomalies=len(found))
        await hub.flush()
        return {"anomalies": len(found)}


@app.post("/api/archive")
async def begin_archive(request: Request) -> dict[str, str]:
    with gate.secured("archive", request):
        return {"archive": archive.begin()}


@app.delete("/api/archive")
async def end_archive(request: Request) -> dict[str, str]:
    with gate.secured("archive", request):
        return {"archive": await archive.end()}


@app.get("/api/models")
async def models(request: Request) -> list[str]:
    with gate.secured("models", request):
        return list(feeds.MODELS)


@app.post("/api/notes")
async def notes(note: Note, request: Request) -> dict[str, str]:
    with gate.secured("notes", request):
        return {"text": without_tags(note.text)}


@app.get("/api/reports/{reader}")
async def report(reader: str, request: Request) -> dict[str, Any]:
    with gate.secured("report", request):
        gate.allow_report(reader)
        return {"telemetry": otel_kpi.get_instrumentation_health()["status"]}


@app.websocket("/ws")
async def listen(socket: WebSocket) -> None:
    if not gate.knows(socket.query_params.get("key"), socket.client.host if socket.client else "unknown"):
        await socket.close(1008)
        return
    await hub.serve(socket)


def _known(model: str) -> None:
    if model not in feeds.MODELS:
        raise HTTPException(404, "no such model")
