"""Requests through TLS and proxies, and what a fork does to a connection."""

from __future__ import annotations

import os
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from unit.sdk.otlp_receiver import Receiver, drip, send

from otel_kpi.sdk.transport import Endpoint, Outcome, Transport

if TYPE_CHECKING:
    from pathlib import Path


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
