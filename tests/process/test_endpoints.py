"""Endpoints under real servers: what they leave out of telemetry, what they add, and what forked workers know."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Receiver

from otel_kpi.endpoints import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
SERVER_KIND = 2
PATHS = [each.path for each in ENDPOINTS]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def ask(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return (
                response.status,
                {name.lower(): text for name, text in response.headers.items()},
                response.read(),
            )
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {name.lower(): text for name, text in error.headers.items()}, error.read()


def until_known(url: str) -> None:
    deadline = time.monotonic() + 20
    while ask(url)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a poll with a deadline: nothing outside of the process tells when


def until_measured(url: str) -> None:
    """Until one request is there: it is measured when the client has its answer already."""
    deadline = time.monotonic() + 10
    counted = re.compile(rb"^http_server_request_duration_seconds_count\{.*\} 1(\.0)?$", re.MULTILINE)
    while len(counted.findall(ask(url)[2])) != 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # a poll with a deadline: nothing outside of the process tells when


def durations(receiver: Receiver) -> dict[Any, int]:
    """Requests that were measured, by route: the last of what was sent."""
    found: dict[Any, int] = {}
    for point in receiver.points:
        if point.metric == "http.server.request.duration":
            found[point.attributes.get("http.route")] = point.item.count
    return found


@pytest.mark.parametrize("framework", ["fastapi", "django"])
def test_endpoints_leave_no_trace_and_other_requests_say_theirs(receiver: Receiver, framework: str) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    server = (
        ["uvicorn", "--port", str(port), "endpoints_shop:app"]
        if framework == "fastapi"
        else ["gunicorn", "-b", f"127.0.0.1:{port}", "endpoints_shop:application"]
    )
    env = environment(
        receiver.url,
        SHOP_FRAMEWORK=framework,
        OTEL_SERVICE_NAME=f"endpoints-{framework}-{port}",
        OTEL_KPI_VERSION="1.2.3",
        OTEL_KPI_ENVIRONMENT="test",
        OTEL_KPI_SLOW_REQUEST="100",
        OTEL_METRIC_EXPORT_INTERVAL="500",
    )
    mounted = "/shop/internal" if framework == "fastapi" else "/shop"
    with running([*RUN, *server], env, HERE) as process:
        get(f"{base}/api/health/live")
        until_known(f"{base}/api/health/ready")
        for path in PATHS:
            assert ask(f"{base}{path}")[0] == 200, path
            assert ask(f"{base}{mounted}{path}")[0] == 200, path
        status, headers, _ = ask(f"{base}/items/4711")
        assert status == 200
        whole = json.loads(ask(f"{base}/api/health")[2])
        exporters = json.loads(ask(f"{base}/health")[2])["metrics"]["exporters"]
        until_measured(f"{base}/metrics")
        receiver.wait_for(lambda arrived: arrived.spans)
        receiver.wait_for(lambda arrived: any(durations(arrived).values()))
        receiver.wait_for(lambda arrived: any(log.attributes.get("duration") for log in arrived.logs))
        output = stop(process)
    [span] = receiver.spans
    assert span.item.kind == SERVER_KIND
    assert sum(durations(receiver).values()) == 1, "none of the endpoints is measured as a request"
    assert float(headers["x-response-time"].removesuffix("ms")) >= 150
    trace_id, span_id = span.item.trace_id.hex(), span.item.span_id.hex()
    assert f'traceparent;desc="00-{trace_id}-{span_id}-' in headers["server-timing"]
    [line] = [log for log in receiver.logs if log.attributes.get("duration")]
    assert line.item.trace_id.hex() == trace_id
    assert line.item.severity_text.startswith("WARN")
    route = "/items/{number}" if framework == "fastapi" else "/items/<int:number>"
    assert {name: line.attributes[name] for name in ("method", "route", "statusCode")} == {
        "method": "GET",
        "route": route,
        "statusCode": "200",
    }
    assert re.fullmatch(r"\d+\.\d\ds", line.attributes["duration"])
    assert (whole["version"], whole["environment"], whole["status"]) == ("1.2.3", "test", "healthy")
    assert whole["services"]["database"]["connected"] is True
    assert "is not affected" not in output, output
    assert exporters
    assert not any("destination" in each for each in exporters)


@pytest.mark.proof
def test_a_page_of_the_application_below_an_endpoint_is_traced(receiver: Receiver) -> None:
    port = free_port()
    env = environment(receiver.url, SHOP_FRAMEWORK="fastapi", OTEL_SERVICE_NAME=f"endpoints-pages-{port}")
    with running([*RUN, "uvicorn", "--port", str(port), "endpoints_shop:app"], env, HERE) as process:
        assert get(f"http://127.0.0.1:{port}/monitoring/metrics") == 200
        receiver.wait_for(lambda arrived: arrived.spans)
        stop(process)
    assert [span.item.name for span in receiver.spans] == ["GET /monitoring/{page}"]


def test_each_forked_worker_asks_for_itself() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api/health"
    command = ["gunicorn", "--preload", "-w", "2", "-b", f"127.0.0.1:{port}", "endpoints_shop:application"]
    env = environment(SHOP_FRAMEWORK="django", OTEL_SERVICE_NAME=f"endpoints-fork-{port}")
    with running(command, env, HERE) as process:
        get(f"{url}/live")
        seen: set[int] = set()
        deadline = time.monotonic() + 20
        while len(seen) < 2:
            assert time.monotonic() < deadline, seen
            worker = json.loads(ask(url)[2])["services"]["worker"]
            assert worker.get("pid") != process.pid, "what the master knew, it knew of itself"
            seen |= {worker["pid"]} if "pid" in worker else set()
        stop(process)
    assert process.pid not in seen
