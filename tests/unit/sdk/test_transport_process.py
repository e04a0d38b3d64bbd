"""Settings that make no sense, and the process around a transport: threads, imports, instrumentations."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest
from unit.sdk.otlp_receiver import PROTOBUF, Connection, Receiver, Request, answer, send

from otel_kpi.sdk.transport import Endpoint, Outcome, Transport

# --- bad settings


@pytest.mark.parametrize(
    "url", ["", "bla", "localhost:4318", "http://", "http://[::1/x", "ftp://a/b", "http://a:x/"]
)
def test_an_address_that_is_none_is_refused_and_does_not_raise(transport: Transport, url: str) -> None:
    assert send(transport, url) == Outcome("rejected", reason="the endpoint is not an http or https URL")


@pytest.mark.parametrize(
    "header",
    [
        ("x-a", "one\r\nx-b: two"),
        ("x a", "s3cret"),
        ("", "s3cret"),
        ("x-ä", "s3cret"),
        ("x-a", "a\x00b"),
        ("x-a\r\n", "s3cret"),
    ],
)
def test_a_header_that_http_cannot_carry_is_left_out_with_one_line(
    transport: Transport, caplog: pytest.LogCaptureFixture, header: tuple[str, str]
) -> None:
    with Receiver() as receiver, caplog.at_level(logging.WARNING, "otel_kpi"):
        endpoint = Endpoint(receiver.url(), (header, ("x-good", "yes")))
        assert send(transport, endpoint).kind == "accepted"
        assert send(transport, endpoint).kind == "accepted"
        assert receiver.requests[0].headers["x-good"] == "yes"
        assert "x-b" not in receiver.requests[0].headers
    assert len(caplog.records) == 1
    assert header[1] not in caplog.text


@pytest.mark.parametrize("value", ["grün", "\udc80", "日本", ""])
def test_a_header_value_beyond_ascii_is_sent_as_utf8(transport: Transport, value: str) -> None:
    with Receiver() as receiver:
        assert send(transport, Endpoint(receiver.url(), (("x-name", value),))).kind == "accepted"
        sent = receiver.requests[0].headers["x-name"].encode("latin-1")
    assert sent == value.encode("utf-8", "replace")


def test_a_user_cannot_break_the_framing_of_a_request(transport: Transport) -> None:
    with Receiver() as receiver:
        headers = (("Content-Length", "3"), ("transfer-encoding", "chunked"), ("content-type", "text/html"))
        assert send(transport, Endpoint(receiver.url(), headers)).kind == "accepted"
        (request,) = receiver.requests
    assert (request.headers["content-length"], request.headers["content-type"]) == ("7", PROTOBUF)


# --- neighbours in the process


def test_instrumentations_of_http_clients_see_no_request_of_ours(transport: Transport) -> None:
    from opentelemetry import context

    seen: list[object] = []

    def look(connection: Connection, _: Request) -> None:
        connection.send(answer("200 OK"))

    from urllib3.connectionpool import HTTPConnectionPool

    original = HTTPConnectionPool.urlopen

    def watched(*args: object, **kwargs: object) -> object:
        seen.append(context.get_value("suppress_instrumentation"))
        return original(*args, **kwargs)  # type: ignore[arg-type] # looser than the stub, on purpose

    with Receiver(look) as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPConnectionPool, "urlopen", watched)
        assert send(transport, receiver.url()).kind == "accepted"
    assert seen == [True]
    assert context.get_value("suppress_instrumentation") is None


def test_importing_the_transport_does_not_import_urllib3() -> None:
    code = "import otel_kpi.sdk.transport, sys; sys.exit('urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_closed_transport_can_be_used_again(transport: Transport) -> None:
    with Receiver() as receiver:
        assert send(transport, receiver.url()).kind == "accepted"
        transport.close()
        transport.close()
        assert send(transport, receiver.url()).kind == "accepted"
        assert receiver.connections == 2


def test_closing_from_another_thread_does_not_raise_in_the_sender(transport: Transport) -> None:
    answered = threading.Event()

    def script(connection: Connection, _: Request) -> None:
        answered.wait(5)
        connection.send(answer("200 OK"))

    with Receiver(script) as receiver:
        outcomes: list[Outcome] = []
        sender = threading.Thread(target=lambda: outcomes.append(send(transport, receiver.url())))
        sender.start()
        transport.close()
        answered.set()
        sender.join(5)
    assert [outcome.kind for outcome in outcomes] == ["accepted"]
