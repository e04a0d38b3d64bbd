"""FastAPI: every secret in one request, which then fails."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI, Request, Response

from apps.planting import Planted, fail, plant

app = FastAPI()
planted = Planted("fastapi")


@app.post("/plant")
async def everything(request: Request, response: Response) -> str:
    await request.body()
    plant(planted)
    address = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].replace("http://", "")
    async with httpx.AsyncClient() as client:
        await client.get(
            f"http://shop:{planted.word('client.userinfo')}@{address}/?token={planted.word('client.query')}",
            headers={"Authorization": f"Bearer {planted.word('client.header')}"},
        )
    response.headers["Set-Cookie"] = f"sid={planted.word('answer.cookie')}"
    return "planted"


@app.post("/fail")
async def failure() -> None:
    fail(planted)
