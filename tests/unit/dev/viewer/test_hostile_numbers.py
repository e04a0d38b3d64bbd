"""A number that is none, or that nothing can hold, takes no page and no answer away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import pytest
from starlette.testclient import TestClient
from support.dev import hostile
from support.dev.asked import ADDRESS

from otel_kpi.dev.app import make_app
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def client() -> Generator[TestClient]:
    store = Store(None, most_seconds=1e12)
    for request in hostile.numbers(time.time_ns() - 60_000_000_000):
        store.write([request])
    dev = Dev(traces=StoredTraces(store), store=store, address=ADDRESS)
    with TestClient(make_app(dev), base_url=ADDRESS) as client:
        yield client
    store.close()


@pytest.mark.parametrize(
    "path",
    ["/", "/live/now", "/live/rows", "/traces", "/map", "/llm", "/pipelines", "/errors", "/instruments", "/logs", "/telemetry", "/metrics",
     "/api/kpi/llm", "/api/kpi/pipelines", "/api/kpi/traces", "/api/kpi/logs", "/api/kpi/instruments", "/api/v3/services"],
)  # fmt: skip
def test_every_page_and_answer_is_there(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


def test_every_trace_every_span_and_every_run_can_be_opened(client: TestClient) -> None:
    traces = orjson.loads(client.get("/api/kpi/traces?limit=100").content)["traces"]
    assert len(traces) == len(hostile.NUMBERS)
    for trace in traces:
        path = f"/traces/{trace['trace_id']}"
        found = orjson.loads(client.get(f"/api/kpi{path}").content)
        assert [
            client.get(each + trace["trace_id"]).status_code
            for each in ("/traces/", "/api/traces/", "/api/v3/traces/")
        ] == [200] * 3
        for span in found["spans"]:
            assert client.get(f"{path}/spans/{span['span_id']}").status_code == 200
    for number in range(len(hostile.NUMBERS)):
        assert client.get(f"/pipelines/run {number}").status_code == 200


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9223372036854775807", "-1", "NaN"]
)
@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/traces?", ("from", "to")),
        ("/api/kpi/traces?", ("start", "end")),
        ("/api/kpi/llm?", ("start", "end")),
        ("/api/kpi/logs?", ("start", "end")),
        ("/api/kpi/series/1/points?", ("start", "end")),
        ("/api/kpi/pipelines?", ("start",)),
        ("/api/traces?service=numbers&", ("start", "end")),
        ("/api/dependencies?", ("endTs", "lookback")),
        ("/api/v3/traces?query.service_name=numbers&", ("query.start_time_min", "query.start_time_max")),
        (
            "/api/v3/trace-summaries?query.service_name=numbers&",
            ("query.start_time_min", "query.start_time_max"),
        ),
    ],
)
def test_a_moment_beyond_all_clocks_is_a_question_like_another(
    client: TestClient, path: str, names: tuple[str, ...], moment: str
) -> None:
    answer = client.get(path + "&".join(f"{name}={moment}" for name in names))
    assert answer.status_code in {200, 400, 404}  # Jaeger has the last one for nothing found
    assert answer.content
