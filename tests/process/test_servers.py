"""Any application under any server, unchanged: one SERVER span a request, in the trace that came in."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Received, Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = Path(__file__).parents[1]
SERVER_KIND, CLIENT_KIND = 2, 3

SERVERS: dict[str, Callable[[int], list[str]]] = {
    "uvicorn": lambda port: ["uvicorn", "--port", str(port)],
    "hypercorn": lambda port: ["hypercorn", "--access-logfile", "-", "-b", f"127.0.0.1:{port}"],
    "daphne": lambda port: ["daphne", "-p", str(port)],
    "granian asgi": lambda port: ["granian", "--interface", "asgi", "--port", str(port)],
    "granian wsgi": lambda port: ["granian", "--interface", "wsgi", "--port", str(port)],
    "gunicorn sync": lambda port: ["gunicorn", "--access-logfile", "-", "-b", f"127.0.0.1:{port}"],
    "gunicorn gthread": lambda port: [
        *("gunicorn", "--threads", "2", "--access-logfile", "-", "-b", f"127.0.0.1:{port}"),
    ],
    "gunicorn asgi": lambda port: ["gunicorn", "-k", "asgi", "-b", f"127.0.0.1:{port}"],
    "waitress": lambda port: ["waitress-serve", "--listen", f"127.0.0.1:{port}"],
    "uvicorn wsgi": lambda port: ["uvicorn", "--interface", "wsgi", "--port", str(port)],
}

ROUTES = {
    "asgi": None,
    "wsgi": None,
    "starlette": "/items/{number:int}",
    "flask": "/items/<int:number>",
    "quart": "/items/<int:number>",
    "litestar": "/items/{number}",
}

EVERY_DAY = [
    ("uvicorn", "starlette"),
    ("uvicorn", "asgi"),
    ("gunicorn gthread", "flask"),
    ("hypercorn", "quart"),
]
PROOF = [
    ("uvicorn", "litestar"),
    ("uvicorn", "quart"),
    ("uvicorn wsgi", "flask"),
    ("uvicorn wsgi", "wsgi"),
    ("hypercorn", "asgi"),
    ("hypercorn", "flask"),
    ("hypercorn", "starlette"),
    ("daphne", "asgi"),
    ("daphne", "starlette"),
    ("granian asgi", "asgi"),
    ("granian asgi", "starlette"),
    ("granian wsgi", "flask"),
    ("gunicorn sync", "wsgi"),
    ("gunicorn sync", "flask"),
    ("gunicorn gthread", "wsgi"),
    ("gunicorn asgi", "asgi"),
    ("gunicorn asgi", "starlette"),
    ("waitress", "wsgi"),
    ("waitress", "flask"),
]
CASES = [
    *EVERY_DAY,
    *(pytest.param(*case, marks=pytest.mark.proof) for case in PROOF),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def of_kind(receiver: Receiver, kind: int) -> list[Received]:
    return [span for span in receiver.spans if span.item.kind == kind]


def trace_ids(items: list[Received]) -> list[str]:
    return [item.item.trace_id.hex() for item in items]


def traceparent(number: int) -> dict[str, str]:
    return {"traceparent": f"00-{number:032x}-{1:016x}-01"}


@pytest.mark.parametrize(("server", "application"), CASES)
def test_each_request_on_one_connection_is_one_server_span_in_the_trace_that_came_in(
    receiver: Receiver, server: str, application: str
) -> None:
    module = "gunicorn.workers.gasgi" if server == "gunicorn asgi" else server.split(maxsplit=1)[0]
    pytest.importorskip(module, reason="not in this version")
    port = free_port()
    command = [*RUN, *SERVERS[server](port), "apps.web:application"]
    incoming = [f"{number:032x}" for number in (1, 2, 3)]
    env = environment(receiver.url, WEB_APPLICATION=application, OTEL_BSP_SCHEDULE_DELAY="100")
    with running(command, env, TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 200
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for number in (1, 2, 3):
            connection.request("GET", f"/items/{number}", headers=traceparent(number))
            response = connection.getresponse()
            assert (response.status, response.read()) == (200, b"ok")
        connection.request("GET", "/boom", headers=traceparent(4))
        assert connection.getresponse().status == 500
        connection.close()
        # Under WSGI the client has its answer before the server closes it, which ends the request.
        receiver.wait_for(lambda arrived: len(of_kind(arrived, SERVER_KIND)) == 4)
        output = stop(process)
    servers = sorted(of_kind(receiver, SERVER_KIND), key=lambda span: span.item.trace_id)
    assert trace_ids(servers) == [*incoming, f"{4:032x}"]
    route = ROUTES[application]
    assert [span.item.name for span in servers[:3]] == [f"GET {route}" if route else "GET"] * 3
    assert [span.attributes.get("http.route") for span in servers[:3]] == [route] * 3
    assert servers[0].attributes["http.response.status_code"] == 200
    assert (servers[0].attributes["server.address"], servers[0].attributes["server.port"]) == (
        "127.0.0.1",
        port,
    )
    # Every statement is below its request, and the health probe's is nowhere.
    statements = sorted(of_kind(receiver, CLIENT_KIND), key=lambda span: span.item.trace_id)
    assert [span.item.parent_span_id for span in statements] == [span.item.span_id for span in servers]
    assert len(receiver.spans) == 8
    if application == "litestar":  # makes a response of the error, and tells nobody
        assert servers[3].attributes["error.type"] == "500"
    else:
        assert_error(servers[3])
    assert_records(receiver, incoming)
    assert sum(durations(receiver).values()) == 4, "the probe does not count"
    assert "otel_kpi" not in output.replace("/otel_kpi/", "")  # a traceback passes our files


def durations(receiver: Receiver) -> dict[object, int]:
    """How many requests were measured, by what is said of them."""
    return {
        (point.resource["process.pid"], *sorted(point.attributes.items())): point.item.count
        for point in receiver.points
        if point.metric == "http.server.request.duration"
    }


def assert_error(span: Received) -> None:
    assert span.item.status.code == 2
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "500"
    [event] = span.item.events
    assert Received(event, {}, "").attributes["exception.type"] == "LookupError"


def assert_records(receiver: Receiver, incoming: list[str]) -> None:
    records = [
        log
        for log in receiver.logs
        if log.scope == "web" and log.item.body.string_value.startswith("answering")
    ]
    assert sorted(trace_ids(records)) == ["", *incoming, f"{4:032x}"], "the probe's record names no trace"


ACCESS = {
    ("uvicorn", "starlette"): "uvicorn.access",
    ("gunicorn gthread", "flask"): "gunicorn.access",
    ("gunicorn sync", "wsgi"): "gunicorn.access",
    ("uvicorn", "asgi"): "uvicorn.access",
}


@pytest.mark.parametrize(
    ("server", "application"),
    [
        ("uvicorn", "asgi"),
        ("gunicorn gthread", "flask"),
        pytest.param("uvicorn", "starlette", marks=pytest.mark.proof),
        pytest.param("gunicorn sync", "wsgi", marks=pytest.mark.proof),
    ],
)
def test_access_lines_leave_once_readable_and_in_the_trace_of_their_request(
    receiver: Receiver, server: str, application: str
) -> None:
    port = free_port()
    command = [*RUN, *SERVERS[server](port), "apps.web:application"]
    with running(command, environment(receiver.url, WEB_APPLICATION=application), TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 200
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/items/7", headers=traceparent(7))
        assert connection.getresponse().read() == b"ok"
        connection.close()
        output = stop(process)
    lines = [log for log in receiver.logs if log.scope == ACCESS[server, application]]
    lines.sort(key=lambda log: log.item.trace_id)  # threads of a server write in any order
    assert trace_ids(lines) == ["", f"{7:032x}"]
    assert '"GET /items/7 HTTP/1.1" 200' in lines[1].item.body.string_value
    assert output.count("GET /items/7 HTTP/1.1") == 1, "nothing is added to the application's own output"


@pytest.mark.parametrize("server", ["uvicorn", pytest.param("hypercorn", marks=pytest.mark.proof)])
@pytest.mark.parametrize("application", ["starlette", pytest.param("asgi", marks=pytest.mark.proof)])
def test_websocket_is_its_handshake_in_the_trace_that_came_in_and_its_end_with_the_close_code(
    receiver: Receiver, server: str, application: str
) -> None:
    from websockets.sync.client import connect

    port = free_port()
    command = [*RUN, *SERVERS[server](port), "apps.web:application"]
    with running(command, environment(receiver.url, WEB_APPLICATION=application), TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 200
        with connect(
            f"ws://127.0.0.1:{port}/rooms/blue", additional_headers=traceparent(9), proxy=None
        ) as websocket:
            for _ in range(3):
                websocket.send("hello")
                assert websocket.recv(timeout=10) == "hello"
            websocket.close(code=4001)
        receiver.wait_for(
            lambda arrived: any("websocket.close_code" in span.attributes for span in arrived.spans)
        )
        stop(process)
    [handshake] = of_kind(receiver, SERVER_KIND)
    [connection] = [span for span in receiver.spans if "websocket.close_code" in span.attributes]
    assert handshake.item.name == ("/rooms/{room}" if application == "starlette" else "websocket")
    assert trace_ids([handshake, connection]) == [f"{9:032x}"] * 2
    # hypercorn tells the application of every end that it was abnormal.
    assert connection.attributes["websocket.close_code"] == (1006 if server == "hypercorn" else 4001)
    messages = [span for span in receiver.spans if span.item.links]
    assert {link.span_id for span in messages for link in span.item.links} == {handshake.item.span_id}
    statements = of_kind(receiver, CLIENT_KIND)
    assert {span.item.parent_span_id for span in statements} == {span.item.span_id for span in messages}
    assert len(receiver.spans) == 8, "handshake and end, three messages with a statement each"


def test_flask_in_fastapi_is_one_server_span_with_the_whole_route(receiver: Receiver) -> None:
    pytest.importorskip("a2wsgi")
    port = free_port()
    with running(
        [*RUN, *SERVERS["uvicorn"](port), "apps.web:application"],
        environment(receiver.url, WEB_APPLICATION="mounted"),
        TESTS,
    ) as process:
        assert get(f"http://127.0.0.1:{port}/legacy/items/3") == 200
        assert get(f"http://127.0.0.1:{port}/legacy/boom") == 500
        stop(process)
    item, boom = sorted(of_kind(receiver, SERVER_KIND), key=lambda span: span.item.start_time_unix_nano)
    assert (item.item.name, boom.item.name) == ("GET /legacy/items/<int:number>", "GET /legacy/boom")
    assert_error(boom)
    routes = {
        point.attributes.get("http.route")
        for point in receiver.points
        if point.metric == "http.server.request.duration"
    }
    assert routes == {"/legacy/items/<int:number>", "/legacy/boom"}


def test_what_a_server_does_to_start_is_one_trace_and_no_request_is_in_it(receiver: Receiver) -> None:
    port = free_port()
    command = [*RUN, *SERVERS["uvicorn"](port), "apps.web:application"]
    env = environment(receiver.url, WEB_APPLICATION="asgi", WEB_STARTUP="1")
    with running(command, env, TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/items/1") == 200
        stop(process)
    [start] = [span for span in receiver.spans if span.scope == "otel_kpi.script"]
    [request] = of_kind(receiver, SERVER_KIND)
    assert start.item.name == "uvicorn"
    assert not request.item.parent_span_id
    assert start.item.end_time_unix_nano < request.item.start_time_unix_nano
    parents = [span.item.parent_span_id for span in of_kind(receiver, CLIENT_KIND)]
    assert parents == [start.item.span_id, request.item.span_id]
