"""What a transport promises, against real sockets that behave as badly as they can."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from unit.sdk.otlp_receiver import Connection, Receiver, Request, answer

from otel_kpi._version import __version__
from otel_kpi.sdk.transport import GZIP_FROM, MAX_RESPONSE, Endpoint, Outcome, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROTOBUF = "application/x-protobuf"


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport()
    yield transport
    transport.close()


def send(
    transport: Transport, endpoint: Endpoint | str, body: bytes = b"payload", *, within: float = 5.0
) -> Outcome:
    if isinstance(endpoint, str):
        endpoint = Endpoint(endpoint)
    return transport.send(endpoint, body, PROTOBUF, deadline=time.monotonic() + within)


def replies(data: bytes) -> Receiver:
    return Receiver(lambda connection, _: connection.send(data))


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
        endpoint = Endpoint(receiver.url(), gzip=mode)  # type: ignore[arg-type]
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
        (formatdate(time.time() + 3600, usegmt=True), 300, 300),
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


# --- receivers that do not answer


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


def drip(data: bytes) -> Receiver:
    def script(connection: Connection, _: Request) -> None:
        for byte in data:
            connection.send(bytes((byte,)))
            if connection.wait(0.05):
                return

    return Receiver(script)


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


# --- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, as `cert.pem` and `key.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=otel-kpi"
    )
    subprocess.run(
        [
            *command.split(),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


def server_context(folder: Path, *, client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    if client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "cert.pem")
    return context


def test_tls_with_an_authority_of_ones_own(transport: Transport, authority: Path) -> None:
    with Receiver(tls=server_context(authority)) as receiver:
        endpoint = Endpoint(receiver.url(), certificate=str(authority / "cert.pem"))
        for _ in range(5):
            assert send(transport, endpoint, b"x" * 200_000).kind == "accepted"
        assert receiver.connections == 1


def test_tls_refuses_a_certificate_that_nobody_vouches_for(transport: Transport, authority: Path) -> None:
    with Receiver(tls=server_context(authority)) as receiver:
        outcome = send(transport, receiver.url())
        assert not receiver.requests
    assert outcome.kind == "retry"
    assert outcome.reason.startswith("TLS certificate refused: self")


def test_tls_with_a_certificate_of_the_client(transport: Transport, authority: Path) -> None:
    cert, key = str(authority / "cert.pem"), str(authority / "key.pem")
    with Receiver(tls=server_context(authority, client=True)) as receiver:
        assert send(transport, Endpoint(receiver.url(), certificate=cert)).kind == "retry"
        endpoint = Endpoint(receiver.url(), certificate=cert, client_key=key, client_certificate=cert)
        assert send(transport, endpoint).kind == "accepted"


def test_a_missing_certificate_file_is_named_and_read_again_when_it_is_there(
    transport: Transport, authority: Path, tmp_path: Path
) -> None:
    late = tmp_path / "late.pem"
    with Receiver(tls=server_context(authority)) as receiver:
        endpoint = Endpoint(receiver.url(), certificate=str(late))
        assert send(transport, endpoint) == Outcome("retry", reason=f"no such file or directory ({late})")
        late.write_text("no certificate")
        assert send(transport, endpoint).kind == "retry"
        late.write_bytes((authority / "cert.pem").read_bytes())
        assert send(transport, endpoint).kind == "accepted"


def test_a_tls_receiver_that_drips_is_left_at_the_timeout(transport: Transport, authority: Path) -> None:
    receiver = drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000)
    receiver.tls = server_context(authority)
    with receiver:
        began = time.monotonic()
        endpoint = Endpoint(receiver.url(), timeout=0.5, certificate=str(authority / "cert.pem"))
        assert send(transport, endpoint).reason == "timed out after 0.5 s"
        assert time.monotonic() - began < 1.5


# --- proxies


def test_a_proxy_of_the_environment_is_used_for_other_hosts_only(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy, Receiver() as local:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://user:pw@127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "direct.invalid")
        assert send(transport, "http://collector.invalid:4318/v1/traces").kind == "accepted"
        assert proxy.requests[0].line == "POST http://collector.invalid:4318/v1/traces HTTP/1.1"
        assert proxy.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpwdw=="
        assert send(transport, local.url()).kind == "accepted"
        assert send(transport, "http://direct.invalid/v1/traces").kind == "retry"
        assert len(proxy.requests) == 1


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
        return original(*args, **kwargs)  # type: ignore[arg-type]

    with Receiver(look) as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setattr(HTTPConnectionPool, "urlopen", watched)
        assert send(transport, receiver.url()).kind == "accepted"
    assert seen == [True]
    assert context.get_value("suppress_instrumentation") is None


def test_importing_the_transport_does_not_import_urllib3() -> None:
    code = "import otel_kpi.sdk.transport, sys; sys.exit('urllib3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_leaves_the_connection_of_its_parent_alone(
    transport: Transport, authority: Path, *, encrypted: bool
) -> None:
    with Receiver(tls=server_context(authority) if encrypted else None) as receiver:
        endpoint = Endpoint(receiver.url(), certificate=str(authority / "cert.pem"))
        assert send(transport, endpoint).kind == "accepted"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                transport.abandon()
                code = 0 if send(transport, endpoint).kind == "accepted" else 2
                transport.close()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert send(transport, endpoint).kind == "accepted"
        assert receiver.connections == 2


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
