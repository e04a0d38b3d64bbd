"""The stack with its real services. Binaries come from the cache, or are built at the first test."""

from __future__ import annotations

import http.server
import json
import os
import signal
import stat
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_kpi.stack import ports, urls
from otel_kpi.stack.settings import SERVICES

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

Eventually = Callable[..., None]
MakeStack = Callable[[str], Any]


def resource(service: str, instance: str) -> dict[str, Any]:
    attributes = {
        "service.name": service,
        "service.version": "1.2",
        "deployment.environment.name": "test",
        "service.instance.id": instance,
        "process.pid": instance,
    }
    return {
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()]
    }


def span(trace: str, own: str, parent: str, name: str, kind: int) -> dict[str, Any]:
    now = time.time_ns()
    return {
        "traceId": trace,
        "spanId": own,
        "parentSpanId": parent,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(now - 10_000_000),
        "endTimeUnixNano": str(now),
    }


def send(found: urls.Urls, signal_name: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(
        f"{found.otlp_http}/v1/{signal_name}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def send_spans(found: urls.Urls, service: str, instance: str, *spans: dict[str, Any]) -> None:
    send(
        found,
        "traces",
        {"resourceSpans": [{"resource": resource(service, instance), "scopeSpans": [{"spans": spans}]}]},
    )


def ask(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return {"error": error.code}


def query(found: urls.Urls, expression: str) -> list[tuple[dict[str, str], float]]:
    encoded = urllib.parse.urlencode({"query": expression})
    result = ask(f"{found.prometheus}/api/v1/query?{encoded}")["data"]["result"]
    return [(entry["metric"], float(entry["value"][1])) for entry in result]


def random_id(size: int) -> str:
    return os.urandom(size).hex()


def test_stack_goes_up_and_down_and_leaves_nothing(stack: Any, tmp_path: Path) -> None:
    printed = stack.up()
    found = urls.load(stack.home)
    assert found.otlp_http in printed
    assert found.sentry_dsn is not None
    assert found.sentry_dsn in printed

    status = stack.run("status", "--json")
    assert status.returncode == 0
    assert [(entry["name"], entry["ready"]) for entry in json.loads(status.stdout)] == [
        (name, True) for name in SERVICES
    ]
    assert json.loads(stack.run("urls", "--json").stdout)["jaeger"] == found.jaeger

    # Whatever listens, listens on loopback.
    pids = stack.pids
    listening = [
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= len(ports.PORTS)
    assert set(listening) == {ports.HOST}

    assert stack.run("down").returncode == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert stack.pids == set()
    ports.require_free(SERVICES, stack.offset)
    assert stack.run("status").returncode == 3
    supervised = (stack.home.logs / "supervisor.log").read_text(encoding="utf-8")

    assert stack.run("clean").returncode == 0
    assert not stack.home.root.exists()
    assert list(tmp_path.iterdir()) == []
    # Nobody had to be killed: what was being written is whole.
    assert "SIGKILL" not in supervised


def test_second_up_changes_nothing(stack: Any) -> None:
    stack.up("--only", "collector,prometheus")
    pids = stack.pids
    result = stack.run("up", "--only", "collector,prometheus")
    assert result.returncode == 0
    assert "already up" in result.stderr
    assert stack.pids == pids


def test_up_with_another_offset_is_refused_while_the_stack_runs(stack: Any) -> None:
    stack.up("--only", "prometheus")
    result = stack.run("up", "--port-offset", str(stack.offset + 1))
    assert result.returncode == 1
    assert f"is up with --port-offset {stack.offset}" in result.stderr


def test_restart_renews_one_service_and_no_other(stack: Any) -> None:
    stack.up("--only", "collector,prometheus")
    before = {entry["name"]: entry["pid"] for entry in json.loads(stack.run("status", "--json").stdout)}
    assert stack.run("restart", "prometheus").returncode == 0
    after = {entry["name"]: entry["pid"] for entry in json.loads(stack.run("status", "--json").stdout)}
    assert after["prometheus"] != before["prometheus"]
    assert after["collector"] == before["collector"]


def test_service_that_dies_is_started_again(stack: Any, eventually: Eventually) -> None:
    stack.up("--only", "prometheus")
    (first,) = json.loads(stack.run("status", "--json").stdout)
    os.kill(first["pid"], signal.SIGKILL)

    def is_back() -> bool:
        (now,) = json.loads(stack.run("status", "--json").stdout)
        return now["ready"] and now["pid"] != first["pid"]

    eventually(is_back, 30)


def test_down_ends_services_whose_supervisor_was_killed(stack: Any) -> None:
    stack.up("--only", "collector,prometheus")
    pids = stack.pids
    supervisor = int((stack.home.run / "supervisor.pid").read_text(encoding="utf-8"))
    os.kill(supervisor, signal.SIGKILL)
    assert stack.run("down").returncode == 0
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    ports.require_free(SERVICES, stack.offset)


def test_service_that_cannot_start_is_told_with_its_own_words_and_nothing_stays(
    stack: Any, tmp_path: Path
) -> None:
    binaries = tmp_path / "binaries"
    binaries.mkdir()
    broken = binaries / "prometheus"
    broken.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && { echo "prometheus, version 3.15.0"; exit 0; }\n'
        "echo the moon is in the wrong phase >&2\nexit 1\n",
        encoding="utf-8",
    )
    broken.chmod(0o755)
    result = stack.run(
        "up",
        "--port-offset",
        str(stack.offset),
        "--only",
        "prometheus",
        PATH=f"{binaries}:{os.environ['PATH']}",
    )
    assert result.returncode == 1
    assert "prometheus does not start" in result.stderr
    assert "the moon is in the wrong phase" in result.stderr
    assert stack.pids == set()


def test_logs_show_what_a_service_has_written(stack: Any) -> None:
    stack.up("--only", "collector")
    result = stack.run("logs", "collector", "-n", "500")
    assert result.returncode == 0
    assert "Everything is ready" in result.stdout


def test_followed_logs_show_what_is_written_from_now_on(stack: Any) -> None:
    stack.up("--only", "collector")
    with stack.start("logs", "collector", "-f", "-n", "0") as follower:
        assert stack.run("restart", "collector").returncode == 0
        assert any("Everything is ready" in line for line in iter(follower.stdout.readline, ""))
        follower.send_signal(signal.SIGINT)
    assert follower.returncode == 0


def test_secrets_are_private_differ_between_homes_and_are_on_no_command_line(make_stack: MakeStack) -> None:
    secrets: list[set[str]] = []
    for name in ("one", "two"):
        stack = make_stack(name)
        first = stack.run("up", "--port-offset", str(stack.offset), "--only", "bugsink")
        assert first.returncode == 0, first.stderr
        files = sorted(stack.home.secrets.iterdir())
        assert [file.name for file in files] == [
            "bugsink_admin_password",
            "bugsink_secret_key",
            "bugsink_token",
        ]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        values = {file.name: file.read_text(encoding="utf-8") for file in files}
        secrets.append(set(values.values()))

        # The password is shown when it is made, and never again.
        assert values["bugsink_admin_password"] in first.stderr
        again = stack.run("up", "--only", "bugsink")
        assert values["bugsink_admin_password"] not in again.stdout + again.stderr

        processes = [psutil.Process(pid) for pid in stack.pids]
        seen = " ".join(" ".join([*process.cmdline(), *process.environ().values()]) for process in processes)
        written = "".join(
            file.read_text(encoding="utf-8", errors="replace")
            for directory in (stack.home.run, stack.home.logs)
            for file in directory.iterdir()
            if file.is_file()
        )
        for value in values.values():
            assert value not in seen
            assert value not in written
    assert not secrets[0] & secrets[1]


def test_error_is_counted_exactly_by_the_sentry_compatible_server(stack: Any, eventually: Eventually) -> None:
    from sentry_sdk.client import Client

    stack.up("--only", "bugsink")
    found = urls.load(stack.home)
    client = Client(found.sentry_dsn, default_integrations=False, auto_session_tracking=False)
    for _ in range(30):
        assert client.capture_event({"message": "thirty times", "level": "error"})
    client.close(timeout=20)

    def count() -> int:
        request = urllib.request.Request(
            f"{found.bugsink_api}/issues/?project=1",
            headers={"Authorization": f"Bearer {Path(found.bugsink_token_file).read_text(encoding='utf-8')}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return sum(issue["digested_event_count"] for issue in json.load(answer)["results"])

    eventually(lambda: count() == 30)


def test_spans_that_arrive_before_jaeger_are_not_lost(stack: Any, eventually: Eventually) -> None:
    stack.up("--only", "collector")
    found = urls.load(stack.home)
    trace = random_id(16)
    send_spans(found, "early", "early-1", span(trace, random_id(8), "", "before Jaeger", 1))
    # Also over a restart of the Collector: the queue is on disk.
    assert stack.run("restart", "collector").returncode == 0
    stack.up("--only", "jaeger")
    eventually(lambda: len(ask(f"{found.jaeger}/api/traces/{trace}").get("data") or []) == 1, 20)


def test_telemetry_reaches_the_stores_with_the_labels_of_every_series(
    stack: Any, eventually: Eventually
) -> None:
    stack.up("--without", "bugsink")
    found = urls.load(stack.home)
    trace, root, call, served = random_id(16), random_id(8), random_id(8), random_id(8)
    send_spans(found, "shop", "shop-1", span(trace, root, "", "GET /", 2), span(trace, call, root, "GET", 3))
    send_spans(found, "office", "office-1", span(trace, served, call, "GET /x", 2))
    # Two workers of one application: the same span name, two series, neither counted twice.
    send_spans(found, "shop", "shop-2", span(random_id(16), random_id(8), "", "GET /", 2))
    now = time.time_ns()
    for instance, value in (("shop-1", 7), ("shop-2", 5)):
        point = {"asInt": str(value), "startTimeUnixNano": str(now - 10**9), "timeUnixNano": str(now)}
        counter = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}
        metric = {"name": "orders.placed", "unit": "{order}", "sum": counter}
        send(
            found,
            "metrics",
            {
                "resourceMetrics": [
                    {"resource": resource("shop", instance), "scopeMetrics": [{"metrics": [metric]}]}
                ]
            },
        )
    record = {
        "timeUnixNano": str(now),
        "severityNumber": 9,
        "body": {"stringValue": "hello"},
        "traceId": trace,
    }
    send(
        found,
        "logs",
        {"resourceLogs": [{"resource": resource("shop", "shop-1"), "scopeLogs": [{"logRecords": [record]}]}]},
    )

    eventually(
        lambda: (
            len((ask(f"{found.jaeger}/api/traces/{trace}").get("data") or [{"spans": []}])[0]["spans"]) == 3
        )
    )
    dependencies = f"{found.jaeger}/api/dependencies?endTs={int(time.time() * 1000) + 1000}&lookback=3600000"
    eventually(lambda: ask(dependencies)["data"] == [{"parent": "shop", "child": "office", "callCount": 1}])

    labels = {"app": "shop", "version": "1.2", "environment": "test", "job": "shop"}
    counter_name = {"__name__": "orders_placed_total"}
    eventually(lambda: len(query(found, "orders_placed_total")) == 2)
    assert sorted(query(found, "orders_placed_total"), key=lambda pair: pair[1]) == [
        ({**counter_name, **labels, "instance": "shop-2"}, 5.0),
        ({**counter_name, **labels, "instance": "shop-1"}, 7.0),
    ]

    calls = 'traces_span_metrics_calls_total{span_name="GET /"}'
    eventually(lambda: sum(value for _, value in query(found, calls)) == 2)
    assert sorted((series["instance"], value) for series, value in query(found, calls)) == [
        ("shop-1", 1.0),
        ("shop-2", 1.0),
    ]
    for series, _ in query(found, '{__name__=~"traces_.+|otelcol_.+|up"}'):
        assert {"app", "version", "environment", "instance"} <= set(series), series
    edge = 'traces_service_graph_request_total{client="shop",server="office"}'
    eventually(lambda: [value for _, value in query(found, edge)] == [1.0])

    performance = f"{found.jaeger}/api/metrics/calls?service=office&spanKind=server&lookback=60000&step=5000&ratePer=60000"
    eventually(lambda: ask(f"{performance}&endTs={int(time.time() * 1000)}")["metrics"], 30)

    assert any(
        f'"traceId":"{trace}"' in line
        for line in Path(found.logs_file).read_text(encoding="utf-8").splitlines()
    )


def test_traces_go_to_sentry_too_when_its_dsn_is_set(stack: Any, eventually: Eventually) -> None:
    received: list[tuple[str, str | None]] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["x-sentry-auth"]))
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the inherited name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever).start()
        dsn = f"http://public0key@127.0.0.1:{server.server_port}/7"
        stack.up("--only", "collector", OTEL_KPI_STACK_SENTRY_DSN=dsn)
        send_spans(urls.load(stack.home), "shop", "shop-1", span(random_id(16), random_id(8), "", "GET /", 2))
        eventually(lambda: received)
        server.shutdown()
    assert received[0] == ("/api/7/integration/otlp/v1/traces", "sentry sentry_key=public0key")


def test_malformed_sentry_dsn_is_refused(stack: Any) -> None:
    result = stack.run(
        "up", "--port-offset", str(stack.offset), "--only", "collector", OTEL_KPI_STACK_SENTRY_DSN="nonsense"
    )
    assert result.returncode == 1
    assert "OTEL_KPI_STACK_SENTRY_DSN is not a DSN" in result.stderr
    assert stack.pids == set()
