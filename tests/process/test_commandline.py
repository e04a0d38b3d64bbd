"""A server that a command line starts, under a span that lasts as long as the process: requests know nothing of it."""

from __future__ import annotations

import http.client
import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What an instrumentation of click does: the command runs under a span, and this command never ends.
_COMMAND = """
import sqlite3

import typer
from opentelemetry import trace

def query():
    connection = sqlite3.connect(":memory:")
    connection.execute("SELECT 1").fetchall()
    connection.close()

cli = typer.Typer()

@cli.command()
def check(): pass

@cli.command()
def serve(port: int = 0):
    with trace.get_tracer("opentelemetry.instrumentation.click").start_as_current_span("serve"):
        query()
        start(port)

APPLICATION

if __name__ == "__main__":
    cli()
"""

_APPLICATIONS = {
    "starlette": """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def item(request):
    query()
    return PlainTextResponse("ok")

app = Starlette(routes=[Route("/items/{number:int}", item)])
""",
    "fastapi": """
from fastapi import FastAPI

app = FastAPI()

@app.get("/items/{number}")
def item(number: int):
    query()
""",
    "flask": """
import flask

app = flask.Flask(__name__)

@app.get("/items/<int:number>")
def item(number):
    query()
    return "ok"
""",
    "django": """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x", USE_TZ=True)

def item(request, number):
    query()
    return HttpResponse("ok")

urlpatterns = [path("items/<int:number>", item)]
from django.core.handlers.asgi import ASGIHandler
django.setup(set_prefix=False)
app = ASGIHandler()
""",
    "plain": """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    query()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
""",
}

_STARTS = {
    "uvicorn": """
def start(port):
    import uvicorn
    uvicorn.run(app, port=port, lifespan="off")
""",
    "hypercorn": """
def start(port):
    import asyncio
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    asyncio.run(serve(app, config))
""",
    "waitress": """
def start(port):
    import waitress
    waitress.serve(app, listen=f"127.0.0.1:{port}")
""",
    "werkzeug": """
def start(port):
    app.run(port=port)
""",
}

_ROUTES = {
    "starlette": "/items/{number:int}",
    "fastapi": "/items/{number}",
    "flask": "/items/<int:number>",
    "django": "items/<int:number>",
    "plain": None,
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.mark.parametrize(
    ("server", "application"),
    [
        ("uvicorn", "starlette"),
        ("uvicorn", "fastapi"),
        pytest.param("uvicorn", "django", marks=pytest.mark.proof),
        pytest.param("uvicorn", "plain", marks=pytest.mark.proof),
        pytest.param("hypercorn", "starlette", marks=pytest.mark.proof),
        pytest.param("waitress", "flask", marks=pytest.mark.proof),
        pytest.param("werkzeug", "flask", marks=pytest.mark.proof),
    ],
)
def test_requests_are_server_spans_in_the_trace_that_came_in_and_none_is_below_the_command(
    tmp_path: Path, receiver: Receiver, server: str, application: str
) -> None:
    parts = _APPLICATIONS[application] + _STARTS[server]
    (tmp_path / "shop.py").write_text(_COMMAND.replace("APPLICATION", parts))
    port = free_port()
    command = [*RUN, sys.executable, "shop.py", "serve", "--port", str(port)]
    env = environment(receiver.url, OTEL_BSP_SCHEDULE_DELAY="100")
    incoming = [f"{number:032x}" for number in range(1, 6)]
    with running(command, env, tmp_path) as process:
        assert get(f"http://127.0.0.1:{port}/items/0") == 200
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for trace_id in incoming:
            connection.request("GET", "/items/7", headers={"traceparent": f"00-{trace_id}-{1:016x}-01"})
            response = connection.getresponse()
            assert response.status == 200
            response.read()
        connection.close()
        receiver.wait_for(lambda arrived: sum(span.item.kind == 2 for span in arrived.spans) == 6)
        stop(process)
    first, *servers = sorted(
        (span for span in receiver.spans if span.item.kind == 2),
        key=lambda span: span.item.start_time_unix_nano,
    )
    route = _ROUTES[application]
    assert not first.item.parent_span_id
    assert [span.item.trace_id.hex() for span in servers] == incoming
    assert {span.item.name for span in servers} == {f"GET {route}" if route else "GET"}
    assert {span.attributes.get("http.route") for span in servers} == {route}
    start = [span for span in receiver.spans if span.scope == "otel_kpi.script"]
    assert [span.item.name for span in start] == ["shop.py serve"]
    below = {span.item.span_id for span in (first, *servers)}
    statements = [span for span in receiver.spans if span.item.kind == 3]
    assert len(statements) == 7
    assert sum(span.item.parent_span_id in below for span in statements) == 6
