"""Errors in a real Bugsink: one issue for what is alike, a link that opens the trace, a way through the tunnel."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from storefront.audit.events import Events
from storefront.audit.stores import get
from support.children import BIN, RUN, environment, run, running

if TYPE_CHECKING:
    from pathlib import Path

    from storefront.audit.stores import Addresses

PROGRAM = """
import logging, sys, uuid
from opentelemetry import trace
import otel_kpi

tracer = trace.get_tracer("orders")
log = logging.getLogger("orders")

def look_up(text):
    raise LookupError(text)

def refund(text):
    raise LookupError(text)

def attempt(action, text):
    with tracer.start_as_current_span("attempt"):
        try:
            action(text)
        except LookupError as error:
            otel_kpi.capture_exception(error)

for number in range(12):
    attempt(look_up, f"order {number * 97} of {uuid.uuid4()} is not at 10.0.{number}.7:5432 for c{number}@example.com")
attempt(look_up, "order is not there")
attempt(refund, "order is not there")
for number in range(3):
    log.error("stock of %s is low", f"sku-{number}")
    log.error(f"stock of sku-{number} is gone")
    otel_kpi.capture_message(f"{number} orders wait", level="warning")
with tracer.start_as_current_span("run"):
    try:
        {}["k"]
    except KeyError as error:
        log.exception("no key")
        raise RuntimeError("the run has failed") from error
"""


@dataclass(frozen=True)
class Bugsink:
    """The issues of one environment."""

    addresses: Addresses
    environment: str

    def wait_for(self, count: int, seconds: float = 40.0) -> list[dict[str, Any]]:
        """The events, once there are as many."""
        deadline = time.monotonic() + seconds
        while len(found := self.events()) < count:
            assert time.monotonic() < deadline, [event["title"] for event in found]
            time.sleep(0.3)
        return found

    def events(self) -> list[dict[str, Any]]:
        api = self.addresses.bugsink_api
        reader = Events(api, self.addresses.token(), self.environment)
        found: list[dict[str, Any]] = []
        for issue in reader._pages("/issues/", {"project": 1}):
            for event in reader._pages("/events/", {"issue": issue["id"]}):
                data = get(f"{api}/events/{event['id']}/", token=self.addresses.token())["data"]
                if data.get("environment") != self.environment:
                    break  # another test's issue: its events are of one environment
                title = f"{issue['calculated_type']}: {issue['calculated_value']}"
                found.append({"issue": issue["id"], "title": title, "data": data})
        return found


@pytest.fixture
def bugsink(stack: Addresses) -> Bugsink:
    return Bugsink(stack, f"sentry-{uuid.uuid4().hex[:8]}")


def variables(stack: Addresses, name: str, **more: str) -> dict[str, str]:
    return environment(
        stack.otlp_http,
        OTEL_SERVICE_NAME="orders",
        OTEL_KPI_VERSION="1.0.0",
        OTEL_KPI_ENVIRONMENT=name,
        # The server takes ten events a second on a busy machine, and the program leaves two dozen at its end.
        OTEL_KPI_EXIT_BUDGET="30000",
        OTEL_KPI_TRACE_URL=f"{stack.jaeger}/api/traces/{{trace_id}}",
        **{"SENTRY_DSN": stack.sentry_dsn, **more},
    )


def test_what_is_alike_is_one_issue_and_each_event_opens_its_trace(
    stack: Addresses, bugsink: Bugsink, tmp_path: Path
) -> None:
    program = tmp_path / "orders.py"
    program.write_text(PROGRAM)
    ended = run([*RUN, "python", str(program)], variables(stack, bugsink.environment), timeout=60)
    assert ended.returncode == 1, ended.stderr
    found = bugsink.wait_for(12 + 2 + 9 + 1)
    count: dict[str, int] = {}
    for event in found:
        count[event["issue"]] = count.get(event["issue"], 0) + 1
    # Ids, addresses; two texts from two functions; template, text and message; the run.
    assert sorted(count.values()) == [1, 1, 1, 3, 3, 3, 12], found
    errors = [event["data"] for event in found if event["data"].get("exception")]
    for data in errors:
        url = data["contexts"]["opentelemetry"]["trace_url"]
        trace_id = data["contexts"]["trace"]["trace_id"]
        assert url == f"{stack.jaeger}/api/traces/{trace_id}"
    (failed,) = [data for data in errors if data["exception"]["values"][-1]["type"] == "RuntimeError"]
    assert [value["type"] for value in failed["exception"]["values"]] == ["KeyError", "RuntimeError"]
    # The link opens that trace, in which the span says which event it became.
    for data in (failed, errors[0]):
        (trace,) = _eventually(data["contexts"]["opentelemetry"]["trace_url"])
        (span,) = [each for each in trace["spans"] if each["spanID"] == data["contexts"]["trace"]["span_id"]]
        told = {tag["key"]: tag["value"] for tag in span["tags"]}
        assert told["sentry.event_id"].replace("-", "") == data["event_id"].replace("-", "")
    assert "example.com" not in str([data["fingerprint"] for data in errors])


def test_errors_reach_bugsink_through_the_tunnel_only(stack: Addresses, bugsink: Bugsink) -> None:
    command = [str(BIN / "otel-kpi"), "sentry-tunnel", "--listen", "127.0.0.1:0", "--dsn", stack.sentry_dsn]
    program = "import otel_kpi\notel_kpi.capture_message('through the tunnel')\n"
    # No name can be resolved behind a dead proxy: what arrives came through the tunnel.
    with running(command, environment()) as tunnel:
        assert tunnel.stdout is not None
        address = tunnel.stdout.readline().strip().partition("=")[2]
        blocked = {"http_proxy": "http://127.0.0.1:9", "OTEL_KPI_SENTRY_TUNNEL": address}
        ended = run([*RUN, "python", "-c", program], variables(stack, bugsink.environment, **blocked))
        assert ended.returncode == 0, ended.stderr
        (event,) = bugsink.wait_for(1)
    assert event["data"]["message"] == "through the tunnel"


def _eventually(url: str, seconds: float = 30.0) -> list[Any]:
    """What Jaeger has under an address, once the spans have come by the Collector."""
    deadline = time.monotonic() + seconds
    while True:
        answer = httpx.get(url, trust_env=False, timeout=30)
        if answer.status_code == 200 and answer.json()["data"]:
            return list(answer.json()["data"])
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.2)
