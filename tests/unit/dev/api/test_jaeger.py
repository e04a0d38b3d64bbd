"""Jaeger's API on the store; that it answers as a real Jaeger does is tested in tests/stack."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient
from support.dev import samples
from support.dev.asked import span, spans
from support.dev.hostile import in_every_field, orphans
from support.dev.made import attributes, resource, together
from support.dev.served import Served, served

from otel_kpi.dev.app import make_app
from otel_kpi.dev.jaeger_client import JaegerError, JaegerTraces
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.telemetry import Span
from otel_kpi.dev.views import TraceQuery

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

HOUR = 3_600 * 10**9
START_NS = time.time_ns() - HOUR


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Generator[Store]:
    made = Store(tmp_path_factory.mktemp("store") / "dev.db")
    for request in samples.requests(150, start_ns=START_NS):
        made.write([request])
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(store: Store) -> TestClient:
    # Not entered: nothing is received, so there is nothing to begin and end.
    return TestClient(make_app(Dev(StoredTraces(store), store)), base_url="http://127.0.0.1:4318")


def times(start_ns: int = START_NS, end_ns: int = START_NS + HOUR) -> dict[str, str]:
    return {
        f"query.start_time_{name}": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at / 10**9 + ahead))
        for name, at, ahead in (("min", start_ns, 0), ("max", end_ns, 1))
    }


def summaries(client: TestClient, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v3/trace-summaries", params={**times(), **parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["summaries"]


def test_summaries_say_of_each_trace_what_its_spans_say(client: TestClient) -> None:
    found = summaries(client, **{"query.num_traces": 500})
    assert len(found) > 10
    for each in found[:8]:
        trace = client.get(f"/api/v3/traces/{each['traceId']}").json()["result"]["resourceSpans"]
        spans = [
            (
                next(
                    a["value"]["stringValue"]
                    for a in group["resource"]["attributes"]
                    if a["key"] == "service.name"
                ),
                span,
            )
            for group in trace
            for scoped in group["scopeSpans"]
            for span in scoped["spans"]
        ]
        assert each["spanCount"] == len(spans)
        assert each["errorSpanCount"] == sum(span["status"].get("code") == 2 for _, span in spans)
        assert each["minStartTimeUnixNano"] == min(span["startTimeUnixNano"] for _, span in spans)
        assert each["maxEndTimeUnixNano"] == max(span["endTimeUnixNano"] for _, span in spans)
        root = next((service, span) for service, span in spans if "parentSpanId" not in span)
        assert (each["rootServiceName"], each["rootOperationName"]) == (root[0], root[1]["name"])
        assert {of["name"]: of["spanCount"] for of in each["services"]} == {
            name: sum(service == name for service, _ in spans) for name, _ in spans
        }
        assert each["orphanSpanCount"] == 0


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ({"query.service_name": "orders"}, {"query.serviceName": "orders"}),
        ({"query.operation_name": "POST /checkout"}, {"query.operationName": "POST /checkout"}),
        ({"query.operation_name": "POST /checkout"}, {"query.span_name": "POST /checkout"}),
        ({"query.num_traces": "3"}, {"query.search_depth": "3"}),
        ({"query.num_traces": "3"}, {"query.searchDepth": "3"}),
        ({"query.duration_min": "100ms"}, {"query.durationMin": "100ms"}),
        ({"query.duration_max": "1ms"}, {"query.durationMax": "1ms"}),
    ],
    ids=str,
)
def test_both_names_of_a_parameter_ask_for_the_same(
    client: TestClient, older: dict[str, str], newer: dict[str, str]
) -> None:
    found = summaries(client, **older)
    assert found == summaries(client, **newer)
    assert found != summaries(client)


def test_jaegers_page_searches_by_attributes(client: TestClient) -> None:
    found = summaries(client, **{"query.attributes": '{"http.route": "/checkout", "span.kind": "server"}'})
    assert found
    assert {each["rootOperationName"] for each in found} == {"POST /checkout"}
    refused = client.get("/api/v3/trace-summaries", params={**times(), "query.attributes": "[1]"})
    assert refused.status_code == 400
    assert "malformed parameter query.attributes" in refused.json()["error"]["message"]


def test_orphans_are_counted_and_traces_without_a_root_have_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db", most_seconds=10**10)
    store.write([orphans()])
    with_orphans = TestClient(make_app(Dev(StoredTraces(store), store)), base_url="http://127.0.0.1:4318")
    found = summaries(with_orphans, **times(0, 2**61))
    assert sum(each["orphanSpanCount"] for each in found) >= 1
    assert all(
        each["rootOperationName"] == "" for each in found if each["orphanSpanCount"] == each["spanCount"]
    )
    store.close()


def test_a_service_may_have_any_name(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db", most_seconds=10**10)
    name = "team/shop a&b=c?#"
    span = Span(b"\1" * 16, b"\1" * 8, b"", "/x", 1, START_NS, START_NS + 1, attributes({}))
    store.write([together("traces", [(resource(name), "s", span)])])
    client = TestClient(make_app(Dev(StoredTraces(store), store)), base_url="http://127.0.0.1:4318")
    from urllib.parse import quote

    assert client.get(f"/api/services/{quote(name, safe='')}/operations").json()["data"] == ["/x"]
    assert len(client.get("/api/traces", params={"service": name}).json()["data"]) == 1
    store.close()


def test_hostile_text_is_data_in_every_answer(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db", most_seconds=10**10)
    text = "</script><img src=x onerror=alert(1)>'\"; DROP TABLE span; --\x00\x1b[31m"
    store.write(in_every_field(text))
    client = TestClient(make_app(Dev(StoredTraces(store), store)), base_url="http://127.0.0.1:4318")
    ids = [each.trace_id for each in StoredTraces(store).search(TraceQuery()).traces]
    assert ids
    for path in (
        "/api/services",
        "/api/v3/services",
        *(f"/api/traces/{each}" for each in ids),
        *(f"/api/v3/traces/{each}" for each in ids),
    ):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.json()
    refused = client.get(f"/api/traces/{'<script>'}")
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("text/plain")
    store.close()


@pytest.fixture(scope="module")
def server() -> Generator[Served]:
    with served() as running:
        for signal, body in samples.encoded(200, start_ns=START_NS):
            running.post(f"/v1/{signal}", body)
        yield running


def test_our_own_api_is_read_as_a_jaegers_is(server: Served) -> None:
    theirs, mine = JaegerTraces(server.url), server.dev.traces
    assert theirs.services() == mine.services()
    assert theirs.operations("orders") == mine.operations("orders")
    assert theirs.operations("orders", "client") == mine.operations("orders", "client")
    for query in (
        TraceQuery(limit=200),
        TraceQuery(service="orders", limit=200),
        TraceQuery(service="gateway", status="error", limit=200),
        TraceQuery(service="gateway", kind="client", min_duration_ns=10**8, limit=200),
        TraceQuery(service="orders", text="insert order", limit=200),
        TraceQuery(service="orders", attributes=(("http.request.method", "POST"),), limit=200),
    ):
        found, expected = theirs.search(query), mine.search(query)
        assert {each.trace_id for each in found.traces} == {each.trace_id for each in expected.traces}, query
        assert found.traces or query.status == "error"
    first = mine.search(TraceQuery(service="orders")).traces[0]
    shown, expected_trace = theirs.trace(first.trace_id), mine.trace(first.trace_id)
    assert shown is not None
    assert expected_trace is not None
    assert [(span.span_id, span.attributes, span.events, span.resource) for span in shown.spans] == [
        (span.span_id, span.attributes, list(span.events), span.resource) for span in expected_trace.spans
    ]
    assert theirs.trace("77") is None


@pytest.mark.parametrize(("text", "some"), [("INSERT órder", True), ("?! --", False)])
def test_a_jaegers_traces_are_searched_for_a_text_as_our_own_are(
    server: Served, text: str, *, some: bool
) -> None:
    query = TraceQuery(service="orders", text=text, limit=200)
    found, expected = JaegerTraces(server.url).search(query), server.dev.traces.search(query)
    assert {each.trace_id for each in found.traces} == {each.trace_id for each in expected.traces}
    assert bool(found.traces) is some


def test_pages_of_a_jaegers_traces_leave_out_none_that_began_with_another() -> None:
    with served() as running:
        running.store.write([spans(*(span({}, start_ns=START_NS - at * 10**9) for at in (2, 1, 1, 0)))])
        listed: list[str] = []
        query = TraceQuery(limit=2, start_ns=0)
        while (found := JaegerTraces(running.url).search(query)).traces:
            listed += [each.trace_id for each in found.traces]
            query = replace(query, before=found.traces[-1].row)
    assert len(listed) == len(set(listed)) == 4


def test_a_list_is_of_summaries_where_there_are_some(server: Served) -> None:
    """Nothing of whole traces is sent for it, and each row says the same."""
    asked = TraceQuery(service="gateway", limit=200)
    found, expected = (
        {each.trace_id: each for each in traces.search(asked).traces}
        for traces in (JaegerTraces(server.url), server.dev.traces)
    )
    assert found.keys() == expected.keys() != set()
    for trace_id, told in found.items():
        want = expected[trace_id]
        assert (told.root_missing, told.spans, told.errors, told.start_ns, told.duration_ns, told.services) == (
            want.root_missing, want.spans, want.errors, want.start_ns, want.duration_ns, want.services
        )  # fmt: skip
        assert told.root_missing or (told.root_name, told.root_service) == (want.root_name, want.root_service)
    # Unlike those of whole traces they tell nothing of statements, and nothing is claimed.
    assert any(each.statements for each in expected.values())
    assert not any(each.statements for each in found.values())


@pytest.mark.parametrize("url", ["", "jaeger", "ftp://host", "http://", "http://[", "http://host:99999"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(JaegerError, match="is not an address of a Jaeger"):
        JaegerTraces(url)


def test_a_jaeger_that_does_not_answer_is_named(server: Served) -> None:
    with pytest.raises(JaegerError, match=r"Jaeger at http://127.0.0.1:1 is not reachable: .*refused"):
        JaegerTraces("http://127.0.0.1:1").services()
    with pytest.raises(JaegerError, match="is no API of a Jaeger: it answers 404 and no JSON"):
        JaegerTraces(f"{server.url}/elsewhere").services()
