"""What becomes of a request: how it is sent, and what each answer means."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from unit.sdk.otlp_receiver import PROTOBUF, Connection, Receiver, Request, answer, replies, send

from otel_kpi._version import __version__
from otel_kpi.sdk.transport import GZIP_FROM, Endpoint, Outcome, Transport

# --- a request that arrives


def test_an_accepted_request_carries_body_type_headers_and_user_agent(transport: Transport) -> None:
    with Receiver() as receiver:
        outcome = send(
            transport, Endpoint(receiver.url(), (("x-tenant", "a"), ("authorization", "Bearer s3cret")))
        )
        assert outcome == Outcome("accepted", 200)
        (request,) = receiver.requests
    assert request.line == "POST /v1/traces HTTP/1.1"
    assert request.body == b"payload"
    assert request.headers["content-type"] == PROTOBUF
    assert request.headers["user-agent"] == f"OTel-OTLP-Exporter-Python-otel-kpi/{__version__}"
    assert request.headers["x-tenant"] == "a"
    assert request.headers["authorization"] == "Bearer s3cret"


def test_the_answer_of_a_receiver_is_handed_on_for_partial_success(transport: Transport) -> None:
    with replies(answer("200 OK", b"\x0a\x02\x08\x03")) as receiver:
        assert send(transport, receiver.url()).body == b"\x0a\x02\x08\x03"


def test_fifty_requests_of_three_signals_use_one_connection(transport: Transport) -> None:
    with Receiver() as receiver:
        for number in range(50):
            path = ("/v1/traces", "/v1/metrics", "/v1/logs")[number % 3]
            assert send(transport, receiver.url(path)).kind == "accepted"
        assert receiver.connections == 1
        assert len(receiver.requests) == 50


def test_refusals_keep_the_connection_too(transport: Transport) -> None:
    with replies(answer("400 Bad Request", b"no")) as receiver:
        for _ in range(5):
            assert send(transport, receiver.url()).kind == "rejected"
        assert receiver.connections == 1


def test_a_connection_closed_while_idle_is_no_outage(transport: Transport) -> None:
    def close_after_answer(connection: Connection, _: Request) -> None:
        connection.send(answer("200 OK"))
        connection.close()

    with Receiver(close_after_answer) as receiver:
        for number in range(3):
            assert send(transport, receiver.url()).kind == "accepted"
            assert receiver.closed.wait(5)
            receiver.closed.clear()
            assert receiver.connections == number + 1


def test_a_kept_connection_that_dies_under_the_next_request_is_tried_again_at_once(
    transport: Transport,
) -> None:
    def die_at_second(connection: Connection, _: Request) -> None:
        if len(connection.receiver.requests) == 2:
            connection.close()
        else:
            connection.send(answer("200 OK"))

    with Receiver(die_at_second) as receiver:
        assert send(transport, receiver.url()).kind == "accepted"
        assert send(transport, receiver.url()).kind == "accepted"
        assert receiver.connections == 2
        assert len(receiver.requests) == 3


def test_a_new_connection_that_dies_is_not_tried_again_at_once(transport: Transport) -> None:
    with Receiver(lambda connection, _: connection.close()) as receiver:
        outcome = send(transport, receiver.url())
        assert len(receiver.requests) == 1
    assert outcome == Outcome("retry", reason="the connection was closed before an answer came")


# --- compression


@pytest.mark.parametrize(
    ("mode", "size", "compressed"),
    [("auto", GZIP_FROM * 4, False), ("never", GZIP_FROM * 4, False), ("always", 10, True)],
)
def test_loopback_is_compressed_only_when_asked_for(
    transport: Transport, mode: str, size: int, *, compressed: bool
) -> None:
    with Receiver() as receiver:
        endpoint = Endpoint(receiver.url(), gzip=mode)  # type: ignore[arg-type] # looser than the stub, on purpose
        send(transport, endpoint, b"x" * size)
        (request,) = receiver.requests
    assert ("content-encoding" in request.headers) is compressed
    assert request.body == b"x" * size


@pytest.mark.parametrize(("size", "compressed"), [(GZIP_FROM - 1, False), (GZIP_FROM, True)])
def test_other_hosts_are_compressed_from_one_kilobyte(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, size: int, *, compressed: bool
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with Receiver() as receiver:
        # An address of this machine that does not look like loopback.
        url = receiver.url(host="0.0.0.0")
        assert send(transport, url, b"x" * size).kind == "accepted"
        (request,) = receiver.requests
    assert (request.headers.get("content-encoding") == "gzip") is compressed
    assert request.body == b"x" * size


# --- what a status means


@pytest.mark.parametrize(
    "status", ["429 Too Many Requests", "502 Bad Gateway", "503 Busy", "504 Gateway Timeout"]
)
def test_a_receiver_that_is_busy_is_asked_again(transport: Transport, status: str) -> None:
    with replies(answer(status)) as receiver:
        outcome = send(transport, receiver.url())
    assert (outcome.kind, outcome.status, outcome.retry_after) == ("retry", int(status[:3]), None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("400 Nope", "400 Bad Request"),
        ("401 Nope", "401 Unauthorized"),
        ("404 Nope", "404 Not Found"),
        ("413 Nope", "413 Request Entity Too Large"),
        ("500 Nope", "500 Internal Server Error"),
        ("299 Nope", ""),
        ("599 Nope", "599 (not a standard status)"),
    ],
)
def test_any_other_refusal_is_final_and_names_itself(transport: Transport, status: str, reason: str) -> None:
    with replies(answer(status)) as receiver:
        outcome = send(transport, receiver.url())
    assert outcome.kind == ("rejected" if reason else "accepted")
    assert outcome.reason.replace("Content Too Large", "Request Entity Too Large") == reason


def test_a_redirect_is_not_followed(transport: Transport) -> None:
    with (
        Receiver() as elsewhere,
        replies(answer("307 Temporary Redirect", Location=elsewhere.url())) as receiver,
    ):
        outcome = send(transport, receiver.url())
        assert not elsewhere.requests
    assert outcome.kind == "rejected"
    assert outcome.reason == "307 Temporary Redirect: redirects are not followed"


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("7", 7, 7),
        pytest.param(formatdate(time.time() + 3600, usegmt=True), 300, 300, id="in an hour"),
        ("99999999999999999999", 300, 300),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date_and_is_capped(
    transport: Transport, value: str, low: float, high: float
) -> None:
    with replies(answer("429 Too Many Requests", Retry_After=value)) as receiver:
        outcome = send(transport, receiver.url())
    assert outcome.retry_after is not None
    assert low <= outcome.retry_after <= high


@pytest.mark.parametrize(
    "value", ["0", "-3", "soon", "", "NaN", "Infinity", "1e9", formatdate(0, usegmt=True), "²", "Mon, 99 Foo"]
)
def test_retry_after_that_says_nothing_leaves_the_delay_to_the_sender(
    transport: Transport, value: str
) -> None:
    with replies(answer("503 Busy", Retry_After=value)) as receiver:
        assert send(transport, receiver.url()).retry_after is None


def test_the_receivers_own_words_are_part_of_the_reason(transport: Transport) -> None:
    status = b"\x08\x03\x12\x10proto: bad\r\nwire"  # google.rpc.Status{code: 3, message: …}
    with replies(answer("400 Bad Request", status, Content_Type=PROTOBUF)) as receiver:
        assert send(transport, receiver.url()).reason == "400 Bad Request: proto: bad  wire"
    with replies(
        answer("400 Bad Request", b'{"message": "no"}', Content_Type="application/json")
    ) as receiver:
        assert send(transport, receiver.url()).reason == "400 Bad Request: no"


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "403 Forbidden"])
def test_no_reason_ever_contains_the_value_of_a_header(transport: Transport, status: str) -> None:
    with replies(answer(status, b"bad token s3cret", Content_Type="text/plain")) as receiver:
        outcome = send(transport, Endpoint(receiver.url(), (("authorization", "s3cret"),)))
    assert outcome.kind == "rejected"
    assert "s3cret" not in outcome.reason
