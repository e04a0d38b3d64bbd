"""From a metric to a trace: histograms of servers, clients, statements and the user carry exemplars, by default."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, free_port, get, run, running, stop
from support.receiver import Receiver, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER_KIND, CLIENT_KIND = 2, 3


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def exemplars(receiver: Receiver, metric: str) -> list[Any]:
    return [found for point in receiver.points if point.metric == metric for found in point.item.exemplars]


def spans(receiver: Receiver, kind: int, attribute: str) -> set[tuple[bytes, bytes]]:
    """Trace and span ids of the spans of a kind that have an attribute."""
    return {
        (span.item.trace_id, span.item.span_id)
        for span in receiver.spans
        if span.item.kind == kind and attribute in span.attributes
    }


APP = """
import os
import httpx, requests
from fastapi import FastAPI
from opentelemetry import metrics
from sqlalchemy import create_engine, text
app = FastAPI()
engine = create_engine("sqlite://")
batch = metrics.get_meter("program").create_histogram("batch.duration", "s")
@app.get("/jobs/{number}")
def work(number: int, answer: str):
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    httpx.get(answer)
    requests.get(answer)
    batch.record(0.2, {"kind": "nightly", "api_key": "sk-123"})
@app.get("/plain")
def plain():
    return "plain"
"""


def test_histograms_lead_to_the_spans_that_they_measured(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "program.py").write_text(APP)
    port = free_port()
    with running(
        [*RUN, "uvicorn", "--port", str(port), "program:app"], environment(receiver.url), tmp_path
    ) as process:
        answer = f"http://127.0.0.1:{port}/plain"
        assert get(answer) == 200
        assert get(f"http://127.0.0.1:{port}/jobs/1?answer={answer}") == 200
        stop(process)
    servers = spans(receiver, SERVER_KIND, "http.route")
    for metric, measured in (
        ("http.server.request.duration", servers),
        ("http.client.request.duration", spans(receiver, CLIENT_KIND, "http.request.method")),
        ("db.client.operation.duration", spans(receiver, CLIENT_KIND, "db.system.name")),
        ("batch.duration", servers),
    ):
        found = exemplars(receiver, metric)
        assert found, metric
        assert {(each.trace_id, each.span_id) for each in found} <= measured, metric
        assert all(each.as_double > 0 and each.time_unix_nano for each in found)
    assert len(exemplars(receiver, "http.client.request.duration")) >= 2  # of httpx and of requests
    [point] = [point for point in receiver.points if point.metric == "batch.duration"]
    assert point.attributes["kind"] == "nightly"
    assert "sk-123" not in f"{point.item}"


VIEW = """
from opentelemetry import metrics, trace
counter = metrics.get_meter("program").create_counter("orders")
histogram = metrics.get_meter("program").create_histogram("order.value")
with trace.get_tracer("program").start_as_current_span("order") as span:
    for number in range(300):
        counter.add(1, {"customer": f"c{number}"})
        histogram.record(number, {"customer": f"c{number}"})
"""


def test_what_became_other_has_exemplars_too(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "program.py"
    path.write_text(VIEW)
    env = environment(receiver.url, OTEL_KPI_METRIC_ATTRIBUTE_VALUES="20")
    ended = run([*RUN, sys.executable, str(path)], env)
    assert ended.returncode == 0
    lines = [line for line in ended.stderr.splitlines() if "has more than 20 values" in line]
    assert [("orders" in line, "order.value" in line, "'customer'" in line) for line in lines] == [
        (True, False, True),
        (False, True, True),
    ]
    [span] = receiver.named("order")
    for metric in ("orders", "order.value"):
        points = {
            plain(point.item.attributes)["customer"]: point.item
            for point in receiver.points
            if point.metric == metric
        }
        assert len(points) == 21
        assert {each.trace_id for each in points["other"].exemplars} == {span.item.trace_id}
    histogram = [point.item for point in receiver.points if point.metric == "order.value"]
    assert sum(item.sum for item in histogram) == sum(range(300))
    assert sum(item.count for item in histogram) == 300
    assert sum(point.item.as_int for point in receiver.points if point.metric == "orders") == 300
