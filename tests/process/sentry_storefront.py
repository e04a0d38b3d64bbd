"""A FastAPI application under uvicorn, with OpenTelemetry's own SDK and instrumentor and our Sentry module.

Arguments: DSN, file for the finished spans. Prints its port.
"""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from otel_kpi import sentry

if TYPE_CHECKING:
    from collections.abc import Sequence

DSN, SPANS = sys.argv[1], Path(sys.argv[2])
# Far from where it is used: an event shows the source lines around each frame.
BOB = {"id": "bob-17", "email": "bob@example.com", "username": "bob", "ip_address": "203.0.113.7"}


class FileExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with SPANS.open("a") as file:
            for span in spans:
                context = span.get_span_context()
                assert context is not None
                line = {
                    "name": span.name,
                    "trace_id": trace.format_trace_id(context.trace_id),
                    "span_id": trace.format_span_id(context.span_id),
                    "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
                    "event": (span.attributes or {}).get("sentry.event_id"),
                }
                file.write(json.dumps(line) + "\n")
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(FileExporter()))
trace.set_tracer_provider(provider)
sentry.start(
    dsn=DSN,
    release="shop@1.2.3",
    environment="test",
    choices=sentry.Choices(trace_url="http://jaeger.example:16686/trace/{trace_id}"),
)

import httpx  # noqa: E402 - the application comes after the distribution
import uvicorn  # noqa: E402 - the same
from fastapi import BackgroundTasks, FastAPI, HTTPException, Request  # noqa: E402 - the same
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor  # noqa: E402 - the same
from opentelemetry.instrumentation.threading import ThreadingInstrumentor  # noqa: E402 - the same
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor  # noqa: E402 - the same

for instrumentor in (HTTPXClientInstrumentor(), ThreadingInstrumentor(), URLLib3Instrumentor()):
    instrumentor.instrument()

app = FastAPI()
log = logging.getLogger("shop")
tracer = trace.get_tracer("shop")


def trace_id() -> str:
    return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


@app.get("/ready")
async def ready() -> str:
    return "ready"


@app.get("/unhandled")
async def unhandled() -> None:
    raise ValueError("card declined")


@app.get("/unhandled-in-thread-pool")
def unhandled_in_thread_pool() -> None:
    try:
        {}["k"]
    except KeyError:
        log.exception("said and raised")
        raise


@app.get("/inner")
async def inner() -> None:
    with tracer.start_as_current_span("charge"):
        raise RuntimeError("inner")


@app.get("/chained")
async def chained() -> None:
    try:
        {}["cause"]
    except KeyError as error:
        raise RuntimeError("effect") from error


@app.get("/logged-cause")
async def logged_cause() -> None:
    with tracer.start_as_current_span("inner"):
        try:
            {}["cause"]
        except KeyError as error:
            log.exception("no cause")
            raise RuntimeError("effect") from error


@app.get("/logged-member")
def logged_member() -> None:
    errors: list[Exception] = []
    for number in range(3):
        try:
            {}[number]
        except KeyError as error:
            log.exception("no member")
            errors.append(error)
    raise ExceptionGroup("several", errors)


@app.get("/noted")
async def noted() -> str:
    try:
        {}["k"]
    except KeyError:
        log.exception("handled")
    return trace_id()


@app.get("/calls")
async def calls(request: Request) -> None:
    log.info("about to call")
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{request.url.port}/headers?token=S21-called&page=3")
    with tracer.start_as_current_span("SELECT shop", kind=trace.SpanKind.CLIENT) as span:
        span.set_attribute("db.system.name", "postgresql")
        span.set_attribute("db.query.text", "SELECT name FROM users WHERE password='S22-literal'")
    raise ValueError("after calls")


@app.get("/user")
async def user() -> None:
    import sentry_sdk

    sentry_sdk.set_user(BOB)
    raise ValueError("of somebody")


@app.get("/status/{status}")
async def status(status: int) -> None:
    raise HTTPException(status, "asked for")


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    def fail() -> None:
        raise LookupError("in the background")

    tasks.add_task(fail)
    return trace_id()


@app.get("/thread")
async def thread() -> str:
    def fail() -> None:
        raise ArithmeticError("in a thread")

    worker = threading.Thread(target=fail)
    worker.start()
    worker.join()
    return trace_id()


@app.get("/logged")
async def logged() -> str:
    log.error("stock is %s", "low")
    logging.getLogger("opentelemetry.exporter.otlp").error("the Collector is away")
    logging.getLogger("otel_kpi.sdk").error("so it is")
    return trace_id()


async def refuse() -> None:
    raise ConnectionError("handled by hand")


@app.get("/handled")
async def handled() -> str:
    try:
        await refuse()
    except ConnectionError as error:
        sentry.capture_exception(error)
    sentry.capture_message("a message", level="warning")
    return trace_id()


@app.get("/crumb/{number}")
async def crumb(number: int) -> None:
    sentry.add_breadcrumb(f"crumb {number}", category="test")
    raise ValueError(f"crumbs {number}")


@app.get("/outgoing")
async def outgoing(request: Request) -> dict[str, str]:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{request.url.port}/headers")
        return response.json()


@app.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return dict(request.headers)


class Config:
    def __repr__(self) -> str:
        return "Config(password='S09-repr', retries=3)"


@app.post("/secrets")
async def secrets(request: Request) -> None:
    body: Any = await request.json()
    # Local variables travel with the event, so each is named after what it would give away.
    password = body["a"]
    nested = {"db": {"password": body["b"], "host": "db.internal"}}
    url = f"postgresql://shop:{body['c']}@db.internal/shop"
    config = Config()
    card_number = body["card"]
    import sentry_sdk

    sentry_sdk.set_tag("api_key", body["d"])
    sentry_sdk.set_context("vault", {"secret": body["e"]})
    sentry_sdk.set_extra("deep", {"list": [{"access_token": body["f"]}]})
    sentry.add_breadcrumb("login", data={"auth": {"token": body["g"]}})
    sentry.add_breadcrumb(f"GET https://api.example.com/?token={body['h']}&page=2")
    log.error("login with password=%s failed", body["i"])
    assert all((password, nested, config, card_number))
    del body
    raise ValueError(f"cannot connect to {url} with Authorization: Bearer S13-bearer-text")


class Login(NamedTuple):
    user: str
    secret: str


class Hostile:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __repr__(self) -> str:
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer


@app.post("/hostile")
async def hostile(request: Request) -> None:
    body: Any = await request.json()
    raising = Hostile(RuntimeError(f"password={body['a']}"))
    lying = Hostile(7)
    enormous = Hostile(f"Config(password='{body['b']}', rest='{'x' * 10_000_000}')")
    cyclic: Any = {"token": body["c"]}
    cyclic["again"] = [cyclic]
    deep: Any = {"api_key": body["d"]}
    while len(repr(deep)) < 3000:
        deep = {"in": [deep]}
    binary = f"Authorization: Bearer {body['e']}".encode()
    broken = f"\ud800 password={body['f']}"
    keyed = {f"https://bob:{body['g']}@db.internal/": 1, "carol@example.com": 2}
    passwords = [body[name] for name in "hijk"]
    assert all((raising, lying, enormous, cyclic, deep, binary, broken, keyed))
    del body, request
    further(*passwords)


def further(*given: str) -> None:
    # An event shows ten local variables of a frame.
    escaped = json.dumps({"inner": json.dumps({"password": given[0]})})
    session = Hostile(f"<Session cookie: sid={given[1]}>")
    pair = Login("bob", given[2])
    long = "x" * 8180 + f" password={given[3]}"
    assert all((escaped, session, pair, long))
    del given
    raise ValueError("hostile")


server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
listener = socket.create_server(("127.0.0.1", 0))
sys.stdout.write(f"{listener.getsockname()[1]}\n")
sys.stdout.flush()
server.run(sockets=[listener])
sentry.flush(2.0)
