"""A Celery application with a worker in threads, in this process; argument: DSN. Prints the headers of its messages."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otel_kpi import sentry

trace.set_tracer_provider(TracerProvider())
sentry.start(dsn=sys.argv[1], release="tasks@1", environment="test")
assert "celery" not in sys.modules

from celery import Celery  # noqa: E402 - the application comes after the distribution
from celery.contrib.testing.worker import start_worker  # noqa: E402 - the same
from celery.exceptions import Ignore  # noqa: E402 - the same
from opentelemetry.instrumentation.celery import CeleryInstrumentor  # noqa: E402 - the same

CeleryInstrumentor().instrument()
app: Any = Celery("tasks", broker="memory://", backend="cache+memory://")
app.conf.worker_hijack_root_logger = False
app.conf.broker_transport_options = {"polling_interval": 0.05}
log = logging.getLogger("tasks")
headers: list[dict[str, Any]] = []
seen: dict[str, str] = {}


class ExpectedError(Exception):
    pass


def note(task: Any) -> None:
    headers.append(dict(task.request.headers or {}))
    seen[task.name] = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)


@app.task(bind=True, name="broken")
def broken(self: Any, number: int, password: str) -> None:
    note(self)
    assert password
    sentry.add_breadcrumb("crumb of broken")
    raise ValueError(f"order {number} is gone")


@app.task(bind=True, name="flaky", max_retries=2)
def flaky(self: Any) -> int:
    note(self)
    if self.request.retries < 2:
        raise self.retry(exc=ConnectionError("later"), countdown=0)
    return self.request.retries


@app.task(bind=True, name="said")
def said(self: Any) -> None:
    note(self)
    try:
        {}["k"]
    except KeyError:
        log.exception("said and raised")
        raise


@app.task(name="expected", throws=(ExpectedError,))
def expected() -> None:
    raise ExpectedError


@app.task(name="ignored")
def ignored() -> None:
    raise Ignore


@app.task(name="fine")
def fine() -> str:
    return "fine"


answers: list[Any] = []
worker: Any = start_worker(app, perform_ping_check=False, loglevel="CRITICAL", pool="threads", concurrency=1)
with worker:
    results = [broken.delay(17, "S1-argument"), broken.delay(number=18, password="S2-keyword"), flaky.delay(),
               said.delay(), expected.delay(), fine.delay()]  # fmt: skip
    ignored.delay()
    answers = [type(result.get(timeout=20, propagate=False)).__name__ for result in results]
sentry.flush(5.0)
print(json.dumps({"answers": answers, "headers": headers, "traces": seen}))
