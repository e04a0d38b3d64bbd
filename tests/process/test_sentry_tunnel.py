"""Errors of an application that may reach the tunnel only, passed on to the project that was named and to no other."""

from __future__ import annotations

import gzip
import http.client
import json
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.children import BIN, environment, run, running, stop

from otel_kpi.sentry.tunnel import BODY, Tunnel, named_project, project
from tests.unit.sentry_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def serving(*dsns: str) -> Generator[Tunnel]:
    with Tunnel(("127.0.0.1", 0), [project(dsn) for dsn in dsns]) as tunnel:
        thread = threading.Thread(target=tunnel.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield tunnel
        finally:
            tunnel.shutdown()
            thread.join(5)
            for pool in tunnel._pools.values():
                pool.clear()


def post(tunnel: Tunnel, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", tunnel.server_address[1], timeout=5)
    try:
        connection.request(
            "POST", "/", body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        return connection.getresponse().status
    finally:
        connection.close()


def envelope(dsn: object) -> bytes:
    return json.dumps({"dsn": dsn}).encode() + b'\n{"type":"event"}\n{"message":"m"}\n'


def test_application_reaches_its_project_through_the_command_and_nothing_else() -> None:
    command = [str(BIN / "otel-kpi"), "sentry-tunnel", "--listen", "127.0.0.1:0", "--dsn"]
    code = """
import sys
from otel_kpi import sentry
choices = sentry.Choices(tunnel=sys.argv[2])
sentry.start(dsn=sys.argv[1], release="shop@1", environment="test", choices=choices)
sentry.capture_message("through the tunnel")
sentry.flush(5.0)
print(dict(sentry.lost_events()))
"""
    with Receiver() as receiver, running([*command, receiver.dsn], environment()) as process:
        assert process.stdout is not None
        name, _, address = process.stdout.readline().strip().partition("=")
        assert name == "OTEL_KPI_SENTRY_TUNNEL"
        # A proxy is the way out of a network; the tunnel is not behind it.
        blocked = environment(http_proxy="http://127.0.0.1:9", no_proxy="")
        done = run([sys.executable, "-c", code, receiver.dsn, address], blocked)
        assert (done.stdout.strip(), done.stderr) == ("{}", "")
        (event,) = receiver.wait_for_events(1)
        assert event["message"] == "through the tunnel"
        assert "sentry_key=public" in receiver.headers[0]["X-Sentry-Auth"]
        other = receiver.dsn.replace("public@", "other@")
        done = run([sys.executable, "-c", code, other, address], environment())
        assert done.stdout.strip() == "{'network_error': 1}"
        assert "HTTP 403" in done.stderr
        assert "answered 200: 1, 403: " in stop(process)  # the SDK also tells what it lost
        assert process.returncode == 0
        assert len(receiver.events) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'"text"\n', 400),
        (envelope(None), 400),
        (envelope("nonsense"), 400),
        (envelope("http://public@127.0.0.1:9/8"), 403),
        (envelope("http://public@169.254.169.254/7"), 403),
    ],
)
def test_what_names_no_known_project_is_refused(body: bytes, status: int) -> None:
    with serving("http://public@127.0.0.1:9/7") as tunnel:
        assert post(tunnel, body) == status


def test_packed_body_is_passed_on_as_it_came_and_a_bomb_is_not_unpacked() -> None:
    with Receiver() as receiver, serving(receiver.dsn) as tunnel:
        packed = gzip.compress(envelope(receiver.dsn))
        assert post(tunnel, packed, Content_Encoding="gzip") == 200
        assert [event["message"] for event in receiver.events] == ["m"]
        bomb = gzip.compress(b"x" * 50_000_000)
        assert post(tunnel, bomb, Content_Encoding="gzip") == 400
        assert post(tunnel, packed[:9], Content_Encoding="gzip") == 400
        assert post(tunnel, b"anything", Content_Encoding="br") == 400


def test_oversized_and_endless_bodies_are_refused_unread() -> None:
    with serving("http://public@127.0.0.1:9/7") as tunnel:
        for header, status in ((f"Content-Length: {BODY + 1}", 413), ("Transfer-Encoding: chunked", 411)):
            with socket.create_connection(("127.0.0.1", tunnel.server_address[1]), 5) as client:
                client.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
                assert client.recv(100).startswith(f"HTTP/1.1 {status}".encode())


def test_server_that_is_away_is_502_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    dsn = "http://public@127.0.0.1:9/7"
    with serving(dsn) as tunnel:
        assert [post(tunnel, envelope(dsn)) for _ in range(3)] == [502, 502, 502]
    assert len(caplog.records) == 1


def test_rate_limit_comes_back_to_the_application() -> None:
    with Receiver(statuses=[429]) as receiver, serving(receiver.dsn) as tunnel:
        assert post(tunnel, envelope(receiver.dsn)) == 429


def test_command_says_what_is_wrong_with_a_dsn() -> None:
    for dsn in ("", "http://host/1", "ftp://key@host/1", "http://key@host", "http://key@host:x/1"):
        with pytest.raises(ValueError, match=r"DSN|Port"):
            project(dsn)
    done = run([str(BIN / "otel-kpi"), "sentry-tunnel", "--dsn", "http://host/1"], environment())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_same_project_may_be_written_with_and_without_its_port() -> None:
    assert project("https://key@sentry.example/1") == project("https://key@sentry.example:443/1/")
    assert (
        project("https://key@sentry.example/prefix/1").url
        == "https://sentry.example:443/prefix/api/1/envelope/"
    )
    assert named_project(envelope("http://key@[::1]/1"), "").origin == "http://[::1]:80"


def test_ctrl_c_ends_the_command() -> None:
    command = [str(BIN / "otel-kpi"), "sentry-tunnel", "--listen", "127.0.0.1:0"]
    with running(command, environment(SENTRY_DSN="http://public@127.0.0.1:9/7")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert "no request" in stop(process, signal.SIGINT)
        assert process.returncode == 0


def test_those_who_say_nothing_take_a_bounded_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    dsn = "http://key@127.0.0.1:9/1"
    monkeypatch.setattr("otel_kpi.sentry.tunnel._BODY_TIME", 0.3)
    with serving(dsn) as tunnel:
        address = ("127.0.0.1", int(tunnel.server_address[1]))
        before = threading.active_count()
        silent = [socket.create_connection(address, timeout=5) for _ in range(300)]
        try:
            # Those above the limit are closed at once.
            assert silent[-1].recv(1) == b""
            assert threading.active_count() - before <= 256
        finally:
            for each in silent:
                each.close()
        slow = socket.create_connection(address, timeout=5)
        slow.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n")
        answer = b""
        while not answer:
            try:
                slow.sendall(b"x")
                slow.settimeout(0.1)
                answer = slow.recv(100)
            except TimeoutError:
                pass
        assert answer.startswith(b"HTTP/1.1 408")
        slow.close()
        assert post(tunnel, b"", Content_Length="9" * 5000) == 413
