"""Connections that are no OTLP, or that come to nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from support.dev import sent

from otel_kpi.dev import server as server_module
from otel_kpi.dev.receiver import grpc, http1, sniffing

if TYPE_CHECKING:
    from support.dev.served import Served


def read_to_the_end(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            received += piece
    return received


def test_what_is_no_http_is_told_so_and_dropped(server: Served) -> None:
    for said in (b"hello\r\n\r\n", b"\0" * 50, b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"):
        with server.connect() as connection:
            connection.sendall(said)
            assert read_to_the_end(connection).startswith(b"HTTP/1.1 400 "), said
    assert server.post("/v1/traces", sent.traces("after")).status == 200


def test_a_preface_that_comes_byte_by_byte_is_recognised(server: Served) -> None:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            connection.sendall(bytes([byte]))
        connection.sendall(b"\0\0\0\4\0\0\0\0\0")
        assert connection.recv(9)[3] == 4  # a frame of settings


def test_tls_is_ended_at_once_and_explained_once(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    sniffing._told_of_tls.clear()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for _ in range(2):
        with server.connect() as connection, pytest.raises(ssl.SSLError):
            context.wrap_socket(connection)
    assert [record.levelname for record in caplog.records if "TLS" in record.message] == ["WARNING"]


def test_a_connection_that_says_nothing_is_closed(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffing, "SECONDS", 0.1)
    with server.connect() as connection:
        assert read_to_the_end(connection) == b""


@pytest.mark.parametrize(
    "said",
    [
        b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    ],
    ids=["in its headers", "in its body"],
)
def test_a_request_that_does_not_go_on_is_closed(
    server: Served, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(http1, "SECONDS", 0.2)
    with server.connect() as connection:
        connection.sendall(said)
        assert read_to_the_end(connection).startswith(b"HTTP/1.1 408 ")


def test_a_request_that_drips_is_closed(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "SECONDS", 0.3)
    with server.connect() as connection:
        connection.settimeout(0.02)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        received = b""
        for number in range(200):
            with contextlib.suppress(TimeoutError, ConnectionError):
                received += connection.recv(4096)
            if received:
                break
            connection.sendall(b"X-%d: y\r\n" % number)
        assert received.startswith(b"HTTP/1.1 408 ")


def test_headers_without_end_are_refused(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"X-Filler: " + b"y" * 1000 + b"\r\n")
        assert b" 431 " in read_to_the_end(connection).partition(b"\r\n")[0]


def test_one_connection_carries_one_request_after_another(server: Served) -> None:
    body = sent.traces("again")
    request = (
        b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    with server.connect() as connection:
        connection.sendall(request * 5 + request.replace(b"Host", b"Connection: close\r\nHost"))
        assert read_to_the_end(connection).count(b"HTTP/1.1 200 ") == 6
    assert len(server.names()) in {1, 6}  # the same span


@pytest.mark.parametrize(
    "said",
    [b"", b"\0\0\x08\6\0\0\0\0\0" + b"12345678", b"\0\0\1\1\0\0\0\0\1\x83"],
    ids=["nothing", "a ping", "headers without end"],
)
def test_a_connection_of_http2_without_a_call_is_ended(
    server: Served, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(grpc, "KEPT_SECONDS", 0.2)
    with server.connect() as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0" + said)
        assert b"\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\0" in read_to_the_end(connection)  # GOAWAY: no error


def test_too_many_connections_are_closed_and_the_others_go_on(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(4)]
        assert read_to_the_end(held[-1]) == b""
        for connection in held[:3]:
            connection.sendall(b"GET /v1/traces HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 405 ")
