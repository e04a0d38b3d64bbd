"""Jaeger's API on our store answers as a real Jaeger does that was sent the same.

In memory Jaeger keeps what it was sent, and looks for spans; in Badger it keeps an older model of them, and looks for
traces. So what a search finds is compared with the one in memory, and what is answered with both.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from starlette.testclient import TestClient
from support.children import BIN, environment, free_port
from support.dev import samples
from support.dev.made import attributes, resource, together
from support.dev.served import Served, served

from otel_kpi.dev.app import make_app
from otel_kpi.dev.jaeger_client import JaegerTraces
from otel_kpi.dev.state import Dev
from otel_kpi.dev.telemetry import Event, Link, Span
from otel_kpi.dev.views import TraceQuery
from otel_kpi.stack import build
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from otel_kpi.dev.telemetry import Request, Value

pytestmark = pytest.mark.stack

Json = dict[str, Any]
SECOND = 10**9
START_NS = time.time_ns() - 3_600 * SECOND
END_NS = START_NS + 3_600 * SECOND
ODD = bytes(15) + b"\x2a"
"""A trace with all that is rare; its id begins with zeros."""
LATE = bytes(range(16))

CONFIGURATION = """
extensions:
  healthcheckv2:
    use_v2: true
    http: {{endpoint: 127.0.0.1:{health}}}
  jaeger_query:
    enable_tracing: false
    storage: {{traces: kept}}
    http: {{endpoint: 127.0.0.1:{query}}}
    grpc: {{endpoint: 127.0.0.1:{query_grpc}}}
  jaeger_storage:
    backends:
      kept: {storage}
receivers:
  otlp: {{protocols: {{http: {{endpoint: 127.0.0.1:{otlp}}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: kept}}
service:
  extensions: [healthcheckv2, jaeger_storage, jaeger_query]
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
"""
STORAGES = {"memory": "{memory: {max_traces: 10000}}", "badger": "{badger: {ephemeral: true}}"}


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Api:
    url: str
    storage: str = ""

    def get(self, path: str, **parameters: object) -> Answer:
        address = f"{self.url}{path}{'?' if parameters else ''}{urlencode(parameters, doseq=True)}"
        try:
            with urllib.request.urlopen(address, timeout=20) as response:
                return Answer(response.status, response.headers["content-type"], response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers["content-type"], error.read().decode())


def odd_traces() -> Iterable[Request[Span]]:
    """What the day of the samples has not."""
    more: dict[str, Value] = {"host.name": "a&b <c>", "list": ["x", 1, True, 2.5], "large": 2**60}
    sender = resource("oddities", **more)
    start = START_NS + 60 * SECOND
    root = Span(ODD, b"\1" * 8, b"", "odd <b>&'\"", 2, start, start + 5_000_001)
    root.attributes = attributes(
        {
            "text": "häßlich ✓ \n<script>", "empty": "", "whole": 3.0, "part": 0.1, "tiny": 1e-9, "yes": True,
            "no": False, "negative": -7, "large": 2**53 + 1, "largest": 2**63 - 1, "bytes": b"\0\xff",
            "list": ["a", "b<"], "numbers": [1, 2.5], "flags": [True, False], "map": {"b": 1, "a": ["x"]},
        }
    )  # fmt: skip
    root.status, root.status_message = 2, "it <failed>"
    root.events = [
        Event("exception", start + 1_000, attributes({"exception.type": "ValueError", "n": 1})),
        Event("", start + 2_000, attributes({"z": "1", "a": "2"})),
    ]
    child = Span(ODD, b"\2" * 8, b"\1" * 8, "child", 0, start + 1_000, start + 2_000)
    child.status, child.trace_state = 1, "vendor=1"
    child.links = [Link(LATE, b"\3" * 8, attributes({"why": "retry"})), Link(ODD, b"\1" * 8)]
    # Of a span that takes no time Jaeger says that its duration is negative, and makes it a nanosecond.
    orphan = Span(LATE, b"\4" * 8, b"\5" * 8, "orphan", 5, start, start + 1_000)
    return [together("traces", [(sender, "odd", root), (sender, "even", child), (sender, "odd", orphan)])]


@pytest.fixture(scope="module")
def traffic() -> list[bytes]:
    day = [body for signal, body in samples.encoded(500, start_ns=START_NS) if signal == "traces"]
    return [*day, *(samples.encode(request) for request in odd_traces())]


@pytest.fixture(scope="module", params=["memory", pytest.param("badger", marks=pytest.mark.proof)])
def jaeger(
    request: pytest.FixtureRequest, traffic: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> Generator[Api]:
    executable = build.executables([MODULES["jaeger"]], Cache.from_environment(), Progress(StringIO()))[
        "jaeger"
    ]
    number = {name: free_port() for name in ("health", "query", "query_grpc", "otlp")}
    path: Path = tmp_path_factory.mktemp("jaeger") / "jaeger.yaml"
    path.write_text(CONFIGURATION.format(storage=STORAGES[request.param], **number))
    with subprocess.Popen([str(executable), "--config", str(path)]) as process:
        try:
            health = Api(f"http://127.0.0.1:{number['health']}")
            deadline = time.monotonic() + 60
            while not ready(health):
                assert process.poll() is None, "Jaeger has ended"
                assert time.monotonic() < deadline, "Jaeger does not start"
                time.sleep(0.05)
            for body in traffic:
                post(f"http://127.0.0.1:{number['otlp']}/v1/traces", body)
            yield Api(f"http://127.0.0.1:{number['query']}", request.param)
        finally:
            process.terminate()
            process.wait(20)


def ready(health: Api) -> bool:
    try:
        return health.get("/status").status == 200
    except OSError:
        return False


def post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"content-type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=20) as response:
        assert response.status == 200


@pytest.fixture(scope="module")
def server(traffic: list[bytes]) -> Generator[Served]:
    with served() as running:
        for body in traffic:
            post(f"{running.url}/v1/traces", body)
        yield running


@pytest.fixture(scope="module")
def ours(server: Served) -> Api:
    return Api(server.url)


def model(trace: Json) -> Json:
    """A trace of the older API without what differs from one Jaeger to the next: order, and numbers of processes."""
    spans = {}
    for span in trace["spans"]:
        process = trace["processes"][span["processID"]]
        plain = {key: value for key, value in span.items() if key not in {"processID", "tags", "logs"}}
        plain["process"] = (process["serviceName"], tags(process["tags"]))
        plain["tags"] = tags(span["tags"])
        plain["logs"] = [(log["timestamp"], tags(log["fields"])) for log in span["logs"]]
        spans[span["spanID"]] = plain
    return {"traceID": trace["traceID"], "warnings": trace["warnings"], "spans": spans}


def tags(listed: list[Json]) -> list[tuple[str, str, Any]]:
    return sorted((tag["key"], tag["type"], tag["value"]) for tag in listed)


def otlp(answer: Json, storage: str) -> Json:
    """Spans of an answer of v3, by their ids; from Badger without what it does not keep."""
    spans = {}
    for group in answer["result"]["resourceSpans"]:
        of = values(group["resource"].get("attributes", []), storage)
        for scoped in group["scopeSpans"]:
            for span in scoped["spans"]:
                plain = dict(span)
                # Sampled, and of a parent in the same process: nearly every span says so, and our store does not keep it.
                plain.pop("flags", None)
                plain["attributes"] = values(span.get("attributes", []), storage)
                # Jaeger adds what it thinks of a span as an attribute that no sender has given.
                plain["attributes"].pop("@jaeger@warnings", None)
                # Jaeger sorts them by their names.
                plain["events"] = sorted(
                    (
                        (
                            event["timeUnixNano"],
                            event.get("name", ""),
                            values(event.get("attributes", []), storage),
                        )
                        for event in span.get("events", [])
                    ),
                    key=lambda event: event[:2],
                )
                plain["links"] = links(span, storage)
                plain["resource"], plain["scope"] = of, scoped["scope"]
                spans[span["traceId"], span["spanId"]] = plain
    return spans


def links(span: Json, storage: str) -> list[Any]:
    listed = [
        (link["traceId"], link["spanId"], values(link.get("attributes", []), storage))
        for link in span.get("links", [])
    ]
    if storage == "badger":
        # It keeps that there is a link, of those that do not lead to the parent; and no attribute of it.
        return [link[:2] for link in listed if link[1] != span.get("parentSpanId")]
    return listed


def values(listed: list[Json], storage: str) -> Json:
    plain = {each["key"]: each["value"] for each in listed}
    if storage == "badger":
        for key, value in plain.items():
            if {"arrayValue", "kvlistValue"} & value.keys() or str(value.get("stringValue", ""))[:1] in {
                "[",
                "{",
            }:
                plain[key] = "a list or map; its text is compared in the older API"
    return plain


def test_services_and_operations_are_the_same(jaeger: Api, ours: Api) -> None:
    theirs, mine = jaeger.get("/api/services").json, ours.get("/api/services").json
    assert sorted(theirs.pop("data")) == mine.pop("data")
    assert theirs == mine
    names = jaeger.get("/api/v3/services").json["services"]
    assert sorted(names) == ours.get("/api/v3/services").json["services"]
    assert len(names) > 5
    for service in names:
        path = f"/api/services/{quote(service)}/operations"
        assert sorted(jaeger.get(path).json["data"]) == ours.get(path).json["data"]
        for api, list_of in (("/api/operations", "data"), ("/api/v3/operations", "operations")):
            theirs = operations(jaeger, api, list_of, service)
            assert theirs == operations(ours, api, list_of, service, kinds=jaeger.storage != "badger")
            if jaeger.storage == "memory":
                assert operations(
                    jaeger, api, list_of, service, spanKind="server", span_kind="server"
                ) == operations(ours, api, list_of, service, spanKind="server", span_kind="server")


def operations(
    api: Api, path: str, list_of: str, service: str, *, kinds: bool = True, **parameters: str
) -> list[tuple[str, str]]:
    """Badger does not know kinds; it says that they are empty."""
    listed = api.get(path, service=service, **parameters).json[list_of] or []
    return sorted({(each["name"], each.get("spanKind", "") if kinds else "") for each in listed})


def test_traces_of_the_older_api_are_the_same(jaeger: Api, ours: Api) -> None:
    parameters = {"start": START_NS // 1_000, "end": END_NS // 1_000, "limit": 1_000}
    compared = 0
    for service in jaeger.get("/api/services").json["data"]:
        theirs = jaeger.get("/api/traces", service=service, **parameters).json
        mine = ours.get("/api/traces", service=service, **parameters).json
        by_id = {trace["traceID"]: model(trace) for trace in theirs.pop("data")}
        compare({trace["traceID"]: model(trace) for trace in mine.pop("data")}, by_id)
        assert theirs == mine
        compared += len(by_id)
        for trace_id in list(by_id)[:2]:
            for raw in ("false", "true"):
                alone = ours.get(f"/api/traces/{trace_id}", raw=raw).json["data"]
                assert list(map(model, alone)) == list(
                    map(model, jaeger.get(f"/api/traces/{trace_id}", raw=raw).json["data"])
                )
    assert compared > 50


def test_traces_of_v3_are_the_same(jaeger: Api, ours: Api) -> None:
    parameters = {
        "query.start_time_min": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START_NS // SECOND)),
        "query.start_time_max": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(END_NS // SECOND)),
        "query.num_traces": 1_000,
    }
    theirs = otlp(jaeger.get("/api/v3/traces", **parameters).json, jaeger.storage)
    mine = otlp(ours.get("/api/v3/traces", **parameters).json, jaeger.storage)
    compare(mine, theirs)
    assert len(theirs) >= 500
    alone = f"/api/v3/traces/{ODD.hex()}"
    assert otlp(ours.get(alone).json, jaeger.storage) == otlp(jaeger.get(alone).json, jaeger.storage)


def compare(mine: dict[Any, Json], theirs: dict[Any, Json]) -> None:
    """One at a time: of the difference of two whole answers nobody reads anything."""
    assert mine.keys() == theirs.keys()
    for key, expected in theirs.items():
        assert mine[key] == expected


SEARCHES: list[Json] = [
    {"service": "gateway"},
    {"service": "gateway", "operation": "POST /checkout"},
    {"service": "orders", "tag": "http.request.method:POST"},
    {"service": "gateway", "tags": '{"http.request.method": "GET", "http.route": "/products"}'},
    {"service": "gateway", "tags": '{"http.response.status_code": "200"}'},
    {"service": "oddities", "tag": "exception.type:ValueError"},
    {"service": "oddities", "tag": "host.name:a&b <c>"},
    {"service": "oddities", "tag": "yes:true"},
    {"service": "oddities", "tag": "part:0.1"},
    {"service": "oddities", "tag": "yes:false"},
    {"service": "gateway", "minDuration": "100ms"},
    {"service": "catalogue", "maxDuration": "5ms"},
    {"service": "gateway", "operation": "POST /checkout", "minDuration": "110ms", "maxDuration": "0.2s"},
    {"service": "nobody"},
    {"service": "gateway", "operation": "nothing"},
]


@pytest.mark.parametrize(
    "search", SEARCHES, ids=lambda search: " ".join(f"{k}={v}" for k, v in search.items())
)
def test_a_search_finds_the_same_traces(jaeger: Api, ours: Api, search: Json) -> None:
    if (
        jaeger.storage == "badger"
        and {"tag", "tags", "operation"} & search.keys()
        and "Duration" in str(search)
    ):
        pytest.skip("Badger joins what different spans have")
    times = {"start": START_NS // 1_000, "end": END_NS // 1_000, "limit": 1_000}
    theirs = jaeger.get("/api/traces", **search, **times).json["data"]
    mine = ours.get("/api/traces", **search, **times).json["data"]
    assert {trace["traceID"] for trace in mine} == {trace["traceID"] for trace in theirs}


def test_the_dependencies_are_the_same(jaeger: Api, ours: Api) -> None:
    parameters = {"endTs": END_NS // 10**6, "lookback": 7_200_000}
    theirs, mine = (api.get("/api/dependencies", **parameters).json for api in (jaeger, ours))
    calls = [
        # In memory Jaeger counts calls within a service too.
        sorted(
            (link["parent"], link["child"], link["callCount"])
            for link in answer["data"]
            if link["parent"] != link["child"]
        )
        for answer in (theirs, mine)
    ]
    assert calls[0] == calls[1]
    assert len(calls[0]) > 3
    one = [
        api.get("/api/dependencies", service="payments", **parameters).json["data"] for api in (jaeger, ours)
    ]
    assert [link for link in one[0] if link["parent"] != link["child"]] == one[1]


WRONG: list[tuple[str, Json]] = [
    ("/api/traces", {}),
    ("/api/traces", {"service": "x", "start": "yesterday"}),
    ("/api/traces", {"service": "x", "end": "9" * 30}),
    ("/api/traces", {"service": "x", "limit": "many"}),
    ("/api/traces", {"service": "x", "limit": "9999999999"}),
    ("/api/traces", {"service": "x", "tag": "alone"}),
    ("/api/traces", {"service": "x", "minDuration": "5"}),
    ("/api/traces", {"service": "x", "minDuration": "5 parsecs"}),
    ("/api/traces", {"service": "x", "maxDuration": "long"}),
    ("/api/traces", {"service": "x", "minDuration": "2s", "maxDuration": "1s"}),
    ("/api/traces", {"service": "x", "raw": "perhaps"}),
    ("/api/traces", {"traceID": "nope"}),
    ("/api/traces", {"traceID": "77"}),
    ("/api/traces/nope", {}),
    ("/api/traces/" + "a" * 33, {}),
    ("/api/traces/77", {}),
    ("/api/traces/77", {"raw": "perhaps"}),
    ("/api/operations", {}),
    ("/api/operations", {"service": "nobody"}),
    ("/api/services/nobody/operations", {}),
    ("/api/dependencies", {"endTs": "now"}),
    ("/api/dependencies", {"lookback": "1h"}),
    ("/api/dependencies", {"endTs": "1"}),
    ("/api/v3/traces", {}),
    ("/api/v3/traces", {"query.start_time_min": "2026-01-01T00:00:00Z"}),
    ("/api/v3/traces/nope", {}),
    ("/api/v3/traces/77", {}),
    ("/api/v3/operations", {"service": "nobody"}),
    ("/api/v3/traces", {"query.num_traces": "1a"}),
    ("/api/v3/traces", {"query.duration_min": "1y"}),
    ("/api/v3/traces", {"query.raw_traces": "perhaps"}),
    ("/api/v3/traces", {"query.service_name": "nobody"}),
]


@pytest.mark.parametrize(("path", "parameters"), WRONG, ids=str)
def test_what_is_wrong_or_absent_is_answered_in_the_same_words(
    jaeger: Api, ours: Api, path: str, parameters: Json
) -> None:
    if path == "/api/v3/traces" and parameters and "query.start_time_min" not in parameters:
        parameters = {
            **parameters,
            "query.start_time_min": "2026-01-01T00:00:00Z",
            "query.start_time_max": "2026-01-02T00:00:00.5+01:00",
            "query.num_traces": parameters.get("query.num_traces", 20),
        }
    theirs, mine = jaeger.get(path, **parameters), ours.get(path, **parameters)
    assert mine.json == theirs.json
    assert mine.status == theirs.status
    if mine.status != 200:
        assert mine.kind == theirs.kind


def test_a_real_jaeger_is_shown_as_our_own_store_is(jaeger: Api, server: Served) -> None:
    theirs = JaegerTraces(jaeger.url)
    mine = server.dev.traces
    assert theirs.services() == mine.services()
    whole = TraceQuery(service="gateway", start_ns=START_NS, end_ns=END_NS, limit=200)
    for query in (
        whole,
        TraceQuery(service="gateway", status="error", start_ns=START_NS, end_ns=END_NS, limit=200),
        TraceQuery(service="gateway", kind="client", start_ns=START_NS, end_ns=END_NS, limit=200),
        TraceQuery(service="gateway", text="checkout", start_ns=START_NS, end_ns=END_NS, limit=200),
        TraceQuery(start_ns=START_NS, end_ns=END_NS, limit=200),
    ):
        found = {summary.trace_id: summary for summary in theirs.search(query).traces}
        expected = {summary.trace_id: summary for summary in mine.search(query).traces}
        assert found.keys() == expected.keys()
        for trace_id, summary in found.items():
            want = expected[trace_id]
            assert (summary.spans, summary.errors, summary.root_name, summary.root_service, summary.root_missing) == (
                want.spans, want.errors, want.root_name, want.root_service, want.root_missing
            )  # fmt: skip
            assert summary.statements == want.statements
    for summary in mine.search(whole).traces[:20]:
        shown, expected = theirs.trace(summary.trace_id), mine.trace(summary.trace_id)
        assert shown is not None
        assert expected is not None
        assert {
            (span.span_id, span.name, span.kind, span.status, span.start_ns, span.duration_ns)
            for span in shown.spans
        } == {
            (span.span_id, span.name, span.kind, span.status, span.start_ns, span.duration_ns)
            for span in expected.spans
        }
    assert theirs.trace("77") is None
    dependencies = theirs.dependencies(START_NS, END_NS)
    calls = {(each.parent, each.child, each.calls) for each in dependencies if each.parent != each.child}
    assert calls == {(each.parent, each.child, each.calls) for each in mine.dependencies(START_NS, END_NS)}


def test_the_pages_of_a_real_jaeger_are_drawn(jaeger: Api) -> None:
    traces = JaegerTraces(jaeger.url)
    first, second = [
        each.trace_id for each in traces.search(TraceQuery(start_ns=START_NS, end_ns=END_NS, limit=2)).traces
    ]
    with TestClient(make_app(Dev(traces)), base_url="http://127.0.0.1:4318") as client:

        def drawn(path: str, *words: str, **parameters: object) -> None:
            answer = client.get(path, params={key: str(value) for key, value in parameters.items()})
            assert answer.status_code == 200, (path, answer.text)
            for word in words:
                assert word in answer.text, (path, word)

        drawn("/", "<h1>Traces</h1>", "gateway")
        drawn("/traces", "POST /checkout", service="gateway")
        drawn(
            "/traces",
            "checkout",
            service="gateway",
            q="checkout http.request.method=POST",
            min="1ms",
        )
        drawn("/traces", "No trace fits", service="gateway", q="nothing-has-this-word")
        drawn(f"/traces/{ODD.hex()}", "odd &lt;b&gt;", "it &lt;failed&gt;", span="01" * 8)
        drawn(f"/traces/{ODD.hex()}", "odd &lt;b&gt;", view="statistics")
        drawn("/compare", first[:8], second[:8], a=first, b=second)
        drawn("/map", "gateway", "orders")
        assert client.get(f"/traces/{'e' * 32}").status_code == 404
        assert client.get("/compare", params={"a": first, "b": "e" * 32}).status_code == 404


@pytest.mark.proof
def test_the_command_shows_a_real_jaeger(jaeger: Api) -> None:
    port = free_port()
    command = [str(BIN / "otel-kpi"), "view", "--jaeger", jaeger.url, "--port", str(port)]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert f"shows the traces of {jaeger.url}" in process.stderr.readline()
            shown = Api(f"http://127.0.0.1:{port}")
            for path in ("/", "/map", f"/traces/{ODD.hex()}"):
                assert shown.get(path).status == 200
            # Jaeger's API is here as well, asked of that Jaeger.
            assert shown.get("/api/services").json["data"] == sorted(jaeger.get("/api/services").json["data"])
            process.send_signal(signal.SIGINT)
            assert (process.wait(20), process.stderr.read()) == (0, "")
        finally:
            process.kill()


def test_the_jaeger_that_we_build_has_no_summaries_and_is_read_without(jaeger: Api) -> None:
    """When it has some, the list is to be compared with them: `JaegerTraces` takes them where they are."""
    answer = jaeger.get(
        "/api/v3/trace-summaries",
        **{
            "query.start_time_min": "2026-01-01T00:00:00Z",
            "query.start_time_max": "2026-01-02T00:00:00Z",
            "query.num_traces": 2,
        },
    )
    assert (answer.status, answer.kind.partition(";")[0]) == (200, "text/html")


def test_pages_of_a_jaeger_leave_nothing_out(jaeger: Api) -> None:
    if jaeger.storage == "memory":
        pytest.skip(
            "in memory Jaeger answers in the order in which traces came, and does not say which that is"
        )
    theirs = JaegerTraces(jaeger.url)
    whole = TraceQuery(service="gateway", start_ns=START_NS, end_ns=END_NS, limit=200)
    want = {summary.trace_id for summary in theirs.search(whole).traces}
    listed: list[str] = []
    before: int | None = None
    while True:
        page = theirs.search(replace(whole, limit=7, before=before))
        listed += [summary.trace_id for summary in page.traces]
        if not page.more:
            break
        before = page.traces[-1].row
    assert len(listed) == len(want) > 7
    assert set(listed) == want
