"""WebSockets of real servers, spoken to by a real client: their traces, and counts that are exact however they end."""

from __future__ import annotations

import contextlib
import json
import signal
from pathlib import Path
from socket import SHUT_RDWR
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Received, Receiver
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.unit.sentry_receiver import Receiver as Sentry
from tests.unit.sentry_receiver import error_text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from subprocess import Popen

    from websockets.sync.connection import Connection

TESTS = Path(__file__).parents[1]
SERVER_KIND, CLIENT_KIND, CONSUMER_KIND = 2, 3, 5
ACTIVE = "kpi.websocket.active_connections"
FAST = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "200"}

SERVERS: dict[str, list[str]] = {
    "uvicorn": ["uvicorn", "--port", "{port}"],
    "uvicorn two workers": ["uvicorn", "--workers", "2", "--port", "{port}"],
    "daphne": ["daphne", "-p", "{port}"],
    "hypercorn": ["hypercorn", "-b", "127.0.0.1:{port}"],
    "granian": ["granian", "--interface", "asgi", "--port", "{port}"],
}
ROUTES = {
    "asgi": "",
    "starlette": "/rooms/{room}",
    "fastapi": "/rooms/{room}",
    "quart": "/rooms/<room>",
    "litestar": "/rooms/{room}",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@contextlib.contextmanager
def serving(
    receiver: Receiver, server: str, application: str, **extra: str
) -> Generator[tuple[Popen[str], int]]:
    port = free_port()
    command = [part.format(port=port) for part in SERVERS[server]]
    env = environment(receiver.url, OTEL_SERVICE_NAME=f"sockets-{port}", **FAST, **extra)
    with running([*RUN, *command, application], env, TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 200
        yield process, port


def client(port: int, path: str = "/rooms/blue") -> Connection:
    return connect(f"ws://127.0.0.1:{port}{path}", proxy=None, open_timeout=20)


def ask(socket: Connection, text: str) -> str:
    socket.send(text)
    return str(socket.recv(timeout=10))


def named(receiver: Receiver, start: str) -> list[Received]:
    return [span for span in receiver.spans if span.item.name.split(" ")[0] == start]


def of_kind(receiver: Receiver, kind: int) -> list[Received]:
    return [span for span in receiver.spans if span.item.kind == kind]


def total(receiver: Receiver, metric: str, **attributes: str) -> int:
    """The sum of a series' last values over processes."""
    last: dict[Any, int] = {}
    for point in receiver.points:
        if point.metric == metric and attributes.items() <= point.attributes.items():
            key = (point.resource["process.pid"], tuple(sorted(point.attributes.items())))
            last[key] = point.item.as_int or int(point.item.as_double)
    return sum(last.values())


def linked(span: Received) -> dict[str, bytes]:
    return {
        attribute.value.string_value: link.span_id
        for link in span.item.links
        for attribute in link.attributes
        if attribute.key == "kpi.websocket.link"
    }


PROOF = [
    ("hypercorn", "starlette"),
    ("hypercorn", "quart"),
    ("granian", "starlette"),
    ("daphne", "starlette"),
    ("uvicorn", "fastapi"),
    ("uvicorn", "litestar"),
    ("uvicorn", "quart"),
    ("uvicorn", "asgi"),
]


@pytest.mark.parametrize(
    ("server", "application"),
    [("uvicorn", "starlette"), *(pytest.param(*case, marks=pytest.mark.proof) for case in PROOF)],
)
def test_connection_is_seen_while_it_is_open_and_counted_to_its_end(
    receiver: Receiver, server: str, application: str
) -> None:
    route = ROUTES[application]
    with serving(receiver, server, "apps.sockets:application", SOCKETS_APPLICATION=application) as (
        process,
        port,
    ):
        with client(port) as socket:
            assert [ask(socket, text) for text in ("a", "bé")] == ["A", "BÉ"]
            receiver.wait_for(lambda arrived: of_kind(arrived, SERVER_KIND) and total(arrived, ACTIVE) == 1)
            assert not named(receiver, "connection")
            socket.close(code=4001)
        with pytest.raises(InvalidStatus) as refused:
            client(port, "/closed")
        assert refused.value.response.status_code == 403
        receiver.wait_for(lambda arrived: named(arrived, "connection") and total(arrived, ACTIVE) == 0)
        stop(process)
    [handshake] = [
        span for span in of_kind(receiver, SERVER_KIND) if span.attributes["http.response.status_code"] == 101
    ]
    [ended] = named(receiver, "connection")
    assert handshake.item.name == (route or "websocket")
    assert ended.item.parent_span_id == handshake.item.span_id
    # hypercorn tells the application of every end that it was abnormal.
    assert ended.attributes["websocket.close_code"] == (1006 if server == "hypercorn" else 4001)
    assert ended.attributes["kpi.websocket.messages.received"] == 2
    assert ended.attributes["kpi.websocket.bytes.received"] == 4
    # Quart receives in a task of its own and hands on: what it does for a message is a push.
    work = named(receiver, "push" if application == "quart" else "message")
    statements = of_kind(receiver, CLIENT_KIND)
    assert {span.item.parent_span_id for span in statements} == {span.item.span_id for span in work}
    assert [linked(span) for span in work] == [{"handshake": handshake.item.span_id}] * len(work)
    assert handshake.item.trace_id not in {span.item.trace_id for span in statements}
    if application != "quart":
        assert len(work) == 2
        assert {span.attributes.get("http.route") for span in work} == {route or None}
    for direction in ("receive", "transmit"):
        assert total(receiver, "kpi.websocket.messages", **{"network.io.direction": direction}) == 2
        assert total(receiver, "kpi.websocket.io", **{"network.io.direction": direction}) == 4
    for result, count in (("accepted", 1), ("rejected", 1), ("error", 0)):
        assert (
            total(receiver, "kpi.websocket.handshakes", **{"kpi.websocket.handshake.result": result}) == count
        )


def test_error_of_a_handler_ends_the_connection_and_is_in_the_trace_of_its_message(
    receiver: Receiver,
) -> None:
    with serving(receiver, "uvicorn", "apps.sockets:application") as (process, port):
        with client(port) as socket, pytest.raises(ConnectionClosed):
            ask(socket, "boom")
        receiver.wait_for(lambda arrived: named(arrived, "connection") and total(arrived, ACTIVE) == 0)
        stop(process)
    [handled] = named(receiver, "message")
    [ended] = named(receiver, "connection")
    assert [event.name for event in handled.item.events] == ["exception"]
    assert not ended.item.events
    assert ended.attributes["error.type"] == "LookupError"
    assert total(receiver, "kpi.websocket.errors", **{"error.type": "LookupError"}) == 1
    assert total(receiver, "kpi.websocket.closes", **{"kpi.websocket.close.class": "error"}) == 1


@pytest.mark.proof
@pytest.mark.parametrize("server", ["uvicorn", "daphne", "hypercorn", "granian"])
def test_clients_that_break_off_are_no_longer_active(receiver: Receiver, server: str) -> None:
    with (
        serving(receiver, server, "apps.sockets:application") as (process, port),
        contextlib.ExitStack() as stack,
    ):
        sockets = [stack.enter_context(client(port)) for _ in range(50)]
        for number, socket in enumerate(sockets):
            assert ask(socket, str(number)) == str(number)
        receiver.wait_for(lambda arrived: total(arrived, ACTIVE) == 50)
        for socket in sockets[:25]:
            socket.socket.shutdown(SHUT_RDWR)  # without a word
        receiver.wait_for(lambda arrived: total(arrived, ACTIVE) == 25)
        for socket in sockets[25:]:
            socket.close()
        receiver.wait_for(lambda arrived: total(arrived, ACTIVE) == 0)
        stop(process)
    # What a server tells its application of a connection that broke.
    broken = {"uvicorn": "no_status", "granian": "no_status"}.get(server, "abnormal")
    closes = total(receiver, "kpi.websocket.closes", **{"kpi.websocket.close.class": broken})
    assert closes == (50 if server == "hypercorn" else 25)
    assert total(receiver, "kpi.websocket.closes") == 50
    assert total(receiver, "kpi.websocket.errors") == 0


@pytest.mark.proof
@pytest.mark.parametrize("application", ["starlette", "fastapi", "asgi"])
def test_error_in_sentry_leads_to_the_trace_of_its_message(receiver: Receiver, application: str) -> None:
    with Sentry() as sentry:
        extra = {"SOCKETS_APPLICATION": application, "SENTRY_DSN": sentry.dsn}
        with serving(receiver, "uvicorn", "apps.sockets:application", **extra) as (process, port):
            with client(port) as socket, pytest.raises(ConnectionClosed):
                ask(socket, "boom")
            [event] = sentry.wait_for_events(1)
            receiver.wait_for(lambda arrived: named(arrived, "message"))
            stop(process)
    [handled] = named(receiver, "message")
    assert error_text(event) == "LookupError: no such thing"
    assert event["contexts"]["trace"]["trace_id"] == handled.item.trace_id.hex()


@pytest.mark.parametrize(
    "server",
    [
        "uvicorn",
        *(pytest.param(each, marks=pytest.mark.proof) for each in ("daphne", "hypercorn", "granian")),
    ],
)
def test_server_that_is_stopped_says_last_that_it_has_no_connections(receiver: Receiver, server: str) -> None:
    with (
        serving(receiver, server, "apps.sockets:application") as (process, port),
        contextlib.ExitStack() as stack,
    ):
        for _ in range(5):
            ask(stack.enter_context(client(port)), "a")
        receiver.wait_for(lambda arrived: total(arrived, ACTIVE) == 5)
        stop(process, signal.SIGTERM)
    assert total(receiver, ACTIVE) == 0
    assert len(named(receiver, "connection")) == 5
    assert total(receiver, "kpi.websocket.closes") == 5


@pytest.mark.proof
def test_counts_of_several_workers_add_up_to_what_the_clients_did(receiver: Receiver) -> None:
    with serving(receiver, "uvicorn two workers", "apps.sockets:application") as (process, port):
        for _ in range(10):
            with client(port) as socket:
                for number in range(20):
                    assert ask(socket, str(number)) == str(number)
        stop(process)
    assert total(receiver, ACTIVE) == 0
    assert total(receiver, "kpi.websocket.messages", **{"network.io.direction": "receive"}) == 200
    assert total(receiver, "kpi.websocket.closes") == 10
    assert len(named(receiver, "message")) == 200


@pytest.mark.parametrize("server", ["daphne", pytest.param("uvicorn", marks=pytest.mark.proof)])
def test_channels_handles_messages_of_clients_and_of_its_layer_in_traces_of_their_own(
    receiver: Receiver, server: str
) -> None:
    with serving(receiver, server, "apps.rooms:application") as (process, port):
        with client(port, "/rooms/7/") as first, client(port, "/rooms/8/") as second:
            first.send(json.dumps({"type": "say", "text": "hello"}))
            assert [json.loads(each.recv(timeout=10)) for each in (first, second)] == [{"text": "hello"}] * 2
        with client(port, "/echo/blue/") as socket:
            assert ask(socket, "hello") == "hello"
        with client(port, "/rooms/9/") as socket, pytest.raises(ConnectionClosed):
            ask(socket, json.dumps({"type": "boom"}))
        receiver.wait_for(
            lambda arrived: len(named(arrived, "connection")) == 4 and total(arrived, ACTIVE) == 0
        )
        stop(process)
    handshakes = {span.item.span_id: span.item.name for span in of_kind(receiver, SERVER_KIND)}
    assert sorted(handshakes.values()) == ["/echo/<name>/", *["/rooms/<int:number>/"] * 3]
    said = [span for span in receiver.spans if span.item.name == "message /rooms/<int:number>/"]
    events = receiver.named("message room.event")
    [echoed] = receiver.named("message /echo/<name>/")
    hello, boom = sorted(said, key=lambda span: span.item.start_time_unix_nano)
    assert hello.attributes["code.function.name"] == "apps.rooms.RoomConsumer.websocket_receive"
    assert hello.attributes["websocket.message.size"] == len('{"type": "say", "text": "hello"}')
    assert len(events) == 2
    for event in events:
        assert linked(event)["sender"] == hello.item.span_id, "the event leads to the message that caused it"
        assert handshakes[linked(event)["handshake"]] == "/rooms/<int:number>/"
    parents = {span.item.parent_span_id for span in of_kind(receiver, CLIENT_KIND)}
    assert parents == {span.item.span_id for span in (hello, boom, echoed, *events)}
    assert [event.name for event in boom.item.events] == ["exception"]
    assert total(receiver, "kpi.websocket.errors", **{"error.type": "LookupError"}) == 1
    assert total(receiver, "kpi.websocket.messages", **{"network.io.direction": "receive"}) == 3
