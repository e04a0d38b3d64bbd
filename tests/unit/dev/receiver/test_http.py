"""OTLP over HTTP on a real socket: what is taken, what is refused, and how it is said."""

from __future__ import annotations

import contextlib
import gzip
import json
import sqlite3
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from support.dev import sent
from support.dev.served import served, wait_for

from otel_kpi.dev.receiver import taking
from otel_kpi.dev.receiver.status import RefusedError
from otel_kpi.dev.receiver.unpacking import unpack

if TYPE_CHECKING:
    from collections.abc import Generator

    from support.dev.served import Served

PROTOBUF = "application/x-protobuf"
PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "identity": bytes}


def test_each_signal_is_committed_before_it_is_acknowledged(server: Served) -> None:
    assert server.post("/v1/traces", sent.traces("a", "b")).status == 200
    assert server.names() == ["a", "b"]
    assert server.post("/v1/logs", sent.logs("said")).status == 200
    assert server.count("log") == 1
    assert server.post("/v1/metrics", sent.metrics("level", 1.0, 2.0)).status == 200
    assert server.count("point") == 2


@pytest.mark.parametrize("kind", [PROTOBUF, "application/protobuf", "Application/X-Protobuf; charset=utf-8"])
def test_protobuf_is_answered_as_protobuf(server: Served, kind: str) -> None:
    answer = server.post("/v1/traces", sent.traces("a"), kind)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"")


def test_json_is_answered_as_json(server: Served) -> None:
    answer = server.post("/v1/traces", sent.traces_json("a"), "application/json; charset=utf-8")
    assert (answer.status, answer.headers["content-type"], json.loads(answer.body)) == (
        200,
        "application/json",
        {},
    )
    assert server.names() == ["a"]


@pytest.mark.parametrize("encoding", PACKERS)
def test_packed_bodies_are_unpacked(server: Served, encoding: str) -> None:
    body = PACKERS[encoding](sent.traces("packed"))
    assert server.post("/v1/traces", body, Content_Encoding=encoding).status == 200
    assert server.names() == ["packed"]


def test_a_body_of_a_hundred_thousand_gzip_members_is_refused_at_once() -> None:
    packed = gzip.compress(b"") * 100_000
    begun = time.process_time()
    with pytest.raises(RefusedError, match="files in one"):
        unpack(packed, "gzip", 20 * 2**20)
    assert time.process_time() - begun < 1


def test_several_gzip_members_are_one_body(server: Served) -> None:
    body = sent.traces("a", "b")
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    assert server.post("/v1/traces", packed, Content_Encoding="gzip").status == 200
    assert server.names() == ["a", "b"]


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_an_empty_request_is_fine(server: Served, signal: str) -> None:
    assert server.post(f"/v1/{signal}", b"").status == 200
    answer = server.post(f"/v1/{signal}", b"{}", "application/json")
    assert (answer.status, json.loads(answer.body)) == (200, {})


def test_what_cannot_be_kept_of_a_request_is_said_and_the_rest_is_kept(server: Served) -> None:
    answer = server.post("/v1/traces", sent.traces("kept", "", ""))
    assert answer.status == 200
    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert partial.rejected_spans == 2
    assert partial.error_message
    assert server.names() == ["kept"]


def test_what_cannot_be_kept_is_said_in_json_too(server: Served) -> None:
    body = sent.traces_json("kept", "lost").replace(b'"spanId": "', b'"spanId": "zz', 1)
    answer = server.post("/v1/traces", body, "application/json")
    if answer.status == 200:
        partial = json.loads(answer.body)["partialSuccess"]
        assert partial["rejectedSpans"] == "1"
        assert partial["errorMessage"]
    else:  # an id that is no hexadecimal text is no JSON of OTLP's at all
        assert answer.status == 400
        assert json.loads(answer.body)["code"] == 3


@pytest.mark.parametrize(
    "body",
    [b"\xff\xff\xff", sent.traces("cut")[:-7], b"\x0a\xff\xff\xff\xff\x0f", b"<html></html>", b"\0" * 100],
    ids=["noise", "cut", "length beyond the end", "html", "zeros"],
)
def test_malformed_protobuf_is_refused_with_a_status_in_protobuf(server: Served, body: bytes) -> None:
    answer = server.post("/v1/traces", body)
    assert (answer.status, answer.headers["content-type"]) == (400, PROTOBUF)
    status = Status.FromString(answer.body)
    assert status.code == 3
    assert status.message
    assert not server.names()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"resourceSpans": 3}', b"\xff\xfe{}", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "number", "not utf-8", "deep"],
)
def test_malformed_json_is_refused_with_a_status_in_json(server: Served, body: bytes) -> None:
    answer = server.post("/v1/traces", body, "application/json")
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert json.loads(answer.body)["code"] == 3
    assert json.loads(answer.body)["message"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_damaged_or_cut_packed_body_is_refused(server: Served, encoding: str) -> None:
    packed = PACKERS[encoding](sent.traces("a" * 100))
    for body in (b"not packed", packed[:-9], packed[:10], packed + b"more"):
        answer = server.post("/v1/traces", body, Content_Encoding=encoding)
        assert answer.status == 400, body[:20]
        assert encoding in Status.FromString(answer.body).message
    assert not server.names()


def test_a_bomb_is_refused_and_takes_no_memory_or_time(server: Served) -> None:
    packed = gzip.compress(b"\0" * (50 * 2**20), 1)
    answer = server.post("/v1/traces", packed, Content_Encoding="gzip")
    assert answer.status == 413
    assert Status.FromString(answer.body).code == 8
    assert server.post("/v1/traces", sent.traces("after")).status == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 99999999999\r\n\r\n{"
        )
        assert b" 413 " in connection.recv(4096).partition(b"\r\n")[0]


def test_a_body_without_a_length_is_refused_when_it_has_become_too_large(server: Served) -> None:
    piece = b"%x\r\n%b\r\n" % (2**20, b"\0" * 2**20)
    with server.connect() as connection:
        connection.sendall(
            b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(taking.MOST_BYTES // 2**20 + 1):
            connection.sendall(piece)
        assert b" 413 " in connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "a\xff"]
)
def test_another_content_type_is_told_which_are_taken(server: Served, kind: str) -> None:
    answer = server.post("/v1/traces", sent.traces("a"), kind)
    assert answer.status == 415
    assert "application/x-protobuf" in json.loads(answer.body)["message"]


def test_another_content_encoding_is_told_which_are_taken(server: Served) -> None:
    answer = server.post("/v1/traces", sent.traces("a"), Content_Encoding="zstd")
    assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
    assert "zstd" in Status.FromString(answer.body).message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_told_to_post(server: Served, method: str) -> None:
    answer = server.request(method, "/v1/traces")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@contextlib.contextmanager
def nothing_is_written(server: Served) -> Generator[None]:
    """Somebody else has the file, for a moment."""
    with contextlib.closing(sqlite3.connect(server.store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_more_than_fits_is_told_to_come_again_and_is_taken_then() -> None:
    with served(most_bytes=2_500) as full, ThreadPoolExecutor(2) as pool:
        with nothing_is_written(full):
            first = pool.submit(full.post, "/v1/traces", sent.traces("first"))
            # The writer has one in its hands; with another there is no room for a third.
            wait_for(lambda: full.intake._size)
            one = full.intake._size
            queued = pool.submit(full.post, "/v1/traces", sent.traces("queued"))
            wait_for(lambda: full.intake._size > one)
            answer = full.post("/v1/traces", sent.traces("second"))
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            status = Status.FromString(answer.body)
            assert status.code == 8
            info = RetryInfo()
            assert status.details[0].Unpack(info)
            assert info.retry_delay.seconds == 1
            answer = full.post("/v1/traces", sent.traces_json("second"), "application/json")
            assert json.loads(answer.body)["details"][0]["retryDelay"] == "1s"
        assert (first.result().status, queued.result().status) == (200, 200)
        assert full.post("/v1/traces", sent.traces("second")).status == 200
        assert full.names() == ["first", "queued", "second"]


def test_bodies_that_are_being_read_are_bounded_together(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver: taking.Receiver = server.server._receiver
    monkeypatch.setattr(receiver, "_all", 1000)
    assert server.post("/v1/traces", sent.traces("x" * 1500)).status == 429
    assert receiver._held == 0
    assert server.post("/v1/traces", sent.traces("small")).status == 200


def test_a_sender_that_goes_away_in_the_middle_leaves_nothing(server: Served) -> None:
    body = sent.traces("never")
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(
                b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body[:-3])
            )
    assert server.post("/v1/traces", sent.traces("after")).status == 200
    assert server.names() == ["after"]
    wait_for(lambda: server.server._receiver._held == 0)


def test_where_nothing_is_received_nothing_is_taken() -> None:
    with served(receiving=False) as viewer:
        assert viewer.post("/v1/traces", sent.traces("a")).status in {404, 405}
