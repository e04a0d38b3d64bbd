"""Receivers that are absent, slow, half open or hostile hold a sender no longer than its time."""

from __future__ import annotations

import socket
import time

import pytest
from unit.sdk.otlp_receiver import Connection, Receiver, Request, answer, drip, replies, send

from otel_kpi.sdk.transport import MAX_RESPONSE, Endpoint, Outcome, Transport


def test_nobody_listening_is_said_as_connection_refused(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert send(transport, f"http://127.0.0.1:{port}/") == Outcome("retry", reason="connection refused")


def test_an_unknown_host_is_said_as_such(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    outcome = send(transport, "http://receiver.invalid:4318/v1/traces")
    assert outcome == Outcome("retry", reason="the host name cannot be resolved")


def test_a_receiver_that_never_answers_is_left_at_the_timeout(transport: Transport) -> None:
    with Receiver(lambda connection, _: connection.wait(30)) as receiver:
        began = time.monotonic()
        outcome = send(transport, Endpoint(receiver.url(), timeout=0.3), within=30)
        took = time.monotonic() - began
    assert outcome == Outcome("retry", reason="timed out after 0.3 s")
    assert took < 0.9


def test_the_deadline_of_the_caller_is_kept_when_it_is_nearer_than_the_timeout(transport: Transport) -> None:
    with Receiver(lambda connection, _: connection.wait(30)) as receiver:
        began = time.monotonic()
        assert send(transport, Endpoint(receiver.url(), timeout=20), within=0.3).kind == "retry"
        assert time.monotonic() - began < 0.9
        assert send(transport, receiver.url(), within=-1.0).kind == "retry"


def test_a_head_that_drips_does_not_hold_the_sender_beyond_its_time(transport: Transport) -> None:
    with drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000) as receiver:
        began = time.monotonic()
        outcome = send(transport, Endpoint(receiver.url(), timeout=0.5))
        assert time.monotonic() - began < 1.5
    assert outcome.reason == "timed out after 0.5 s"


def test_a_body_that_drips_does_not_hold_the_sender_and_the_status_counts(transport: Transport) -> None:
    def script(connection: Connection, _: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not connection.wait(0.05):
            connection.send(b"a")

    with Receiver(script) as receiver:
        began = time.monotonic()
        outcome = send(transport, Endpoint(receiver.url(), timeout=0.5))
        assert time.monotonic() - began < 1.5
        assert outcome.kind == "accepted"
        assert send(transport, Endpoint(receiver.url(), timeout=0.2)).kind == "accepted"
        assert receiver.connections == 2


def test_a_receiver_that_does_not_read_is_left_at_the_timeout(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        began = time.monotonic()
        outcome = send(transport, Endpoint(f"http://127.0.0.1:{port}/", timeout=0.5), b"x" * 30_000_000)
        assert time.monotonic() - began < 1.5
    assert outcome.reason == "timed out after 0.5 s"


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\nabc",
    ],
)
def test_an_answer_cut_after_its_status_counts_as_its_status(transport: Transport, half: bytes) -> None:
    def script(connection: Connection, _: Request) -> None:
        connection.send(half)
        connection.close()

    with Receiver(script) as receiver:
        assert send(transport, receiver.url()).kind == "accepted"
        assert send(transport, receiver.url()).kind == "accepted"


@pytest.mark.parametrize(
    "noise", [b"", b"\x00\xff\x15\x03\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"SSH-2.0-x\r\n"]
)
def test_an_answer_that_is_not_http_is_an_outage(transport: Transport, noise: bytes) -> None:
    def script(connection: Connection, _: Request) -> None:
        connection.send(noise)
        connection.close()

    with Receiver(script) as receiver:
        outcome = send(transport, receiver.url())
    assert outcome.kind == "retry"
    assert outcome.reason


def test_a_huge_answer_is_cut_at_64_kilobytes(transport: Transport) -> None:
    with replies(answer("200 OK", b"x" * 5_000_000)) as receiver:
        outcome = send(transport, receiver.url())
        assert outcome.kind == "accepted"
        assert len(outcome.body) == MAX_RESPONSE
        assert send(transport, receiver.url()).kind == "accepted"


def test_an_endless_answer_is_cut_at_64_kilobytes(transport: Transport) -> None:
    def script(connection: Connection, _: Request) -> None:
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)

    with Receiver(script) as receiver:
        outcome = send(transport, receiver.url())
    assert (outcome.kind, len(outcome.body)) == ("rejected", MAX_RESPONSE)


def test_after_an_outage_the_next_request_arrives(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert send(transport, f"http://127.0.0.1:{port}/").kind == "retry"
    with Receiver() as receiver:
        assert send(transport, receiver.url()).kind == "accepted"
