"""OTLP over gRPC: with the client that Python's exporters use, and frame by frame where that is too well-behaved."""

from __future__ import annotations

import contextlib
import gzip
import os
import sqlite3
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from support.dev import sent
from support.dev.served import served, wait_for

from otel_kpi.dev.receiver import calls, taking
from otel_kpi.dev.receiver import grpc as grpc_module

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from support.dev.served import Served

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

Call = "Callable[..., bytes]"


@contextlib.contextmanager
def channel(server: Served, **options: Any) -> Generator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", list(options.items())) as opened:
        yield opened


def export(opened: grpc.Channel, path: str, body: bytes, **options: Any) -> bytes:
    answer: bytes = opened.unary_unary(path)(body, timeout=20, **options)
    return answer


def refusal(opened: grpc.Channel, path: str, body: bytes, **options: Any) -> Any:
    with pytest.raises(grpc.RpcError) as raised:
        export(opened, path, body, **options)
    return raised.value


def test_each_signal_is_committed_before_it_is_acknowledged(server: Served) -> None:
    with channel(server) as opened:
        assert export(opened, TRACES, sent.traces("a", "b")) == b""
        assert server.names() == ["a", "b"]
        assert export(opened, LOGS, sent.logs("said")) == b""
        assert server.count("log") == 1
        assert export(opened, METRICS, sent.metrics("level", 1.0)) == b""
        assert server.count("point") == 1


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_packed_messages_are_unpacked(server: Served, compression: grpc.Compression) -> None:
    with channel(server) as opened:
        export(opened, TRACES, sent.traces("packed", text="x" * 10_000), compression=compression)
    assert server.names() == ["packed"]


def test_large_messages_pass_the_windows(server: Served) -> None:
    with channel(server) as opened:
        export(opened, TRACES, sent.traces("large", text="x" * (9 * 2**20)))
    assert server.names() == ["large"]


def test_many_calls_at_once_on_one_connection(server: Served) -> None:
    wait_for(lambda: not server.server._http2)
    with channel(server) as opened:
        call = opened.unary_unary(TRACES)
        futures = [call.future(sent.traces(f"span {number}"), timeout=30) for number in range(300)]
        assert {future.result() for future in futures} == {b""}
        assert len(server.server._http2) == 1
    assert sorted(server.names()) == sorted(f"span {number}" for number in range(300))


def test_an_empty_request_is_fine(server: Served) -> None:
    with channel(server) as opened:
        assert export(opened, TRACES, b"") == b""


def test_what_cannot_be_kept_of_a_request_is_said_and_the_rest_is_kept(server: Served) -> None:
    with channel(server) as opened:
        answer = ExportTraceServiceResponse.FromString(export(opened, TRACES, sent.traces("kept", "")))
    assert answer.partial_success.rejected_spans == 1
    assert server.names() == ["kept"]


def test_malformed_messages_are_refused_for_good(server: Served) -> None:
    with channel(server) as opened:
        error = refusal(opened, TRACES, b"\xff\xff\xff\xff")
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert error.details()
        export(opened, TRACES, sent.traces("after"))
    assert server.names() == ["after"]


def test_messages_that_are_too_large_are_refused_for_good(server: Served) -> None:
    with channel(server) as opened:
        error = refusal(opened, TRACES, b"\0" * (taking.MOST_BYTES + 100))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-status-details-bin" not in dict(error.trailing_metadata())
        error = refusal(opened, TRACES, b"\0" * (taking.MOST_BYTES + 100), compression=grpc.Compression.Gzip)
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        export(opened, TRACES, sent.traces("after"))
    assert server.names() == ["after"]
    wait_for(lambda: server.server._receiver._held == 0)


def test_other_methods_are_unimplemented(server: Served) -> None:
    with channel(server) as opened:
        for path in (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
            "/a/b",
            "/a/\u00e4%".encode().decode(),
        ):
            assert refusal(opened, path, b"").code() == grpc.StatusCode.UNIMPLEMENTED
        export(opened, TRACES, sent.traces("after"))


def test_the_health_check_answers(server: Served) -> None:
    with channel(server) as opened:
        assert export(opened, calls.HEALTH, b"") == calls.SERVING


def test_more_than_fits_is_told_when_to_come_again() -> None:
    with served(most_bytes=2_500) as full, channel(full) as opened:
        call = opened.unary_unary(TRACES)
        with contextlib.closing(sqlite3.connect(full.store.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = [call.future(sent.traces("first"), timeout=20)]
            wait_for(lambda: full.intake._size)
            one = full.intake._size
            waiting.append(call.future(sent.traces("queued"), timeout=20))
            wait_for(lambda: full.intake._size > one)
            error = refusal(opened, TRACES, sent.traces("second"))
            other.execute("ROLLBACK")
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
        assert (status.code, status.message) == (8, error.details())
        info = RetryInfo()
        assert status.details[0].Unpack(info)
        assert info.retry_delay.seconds == 1
        assert {future.result() for future in waiting} == {b""}


def test_a_token_is_asked_for_where_there_is_one() -> None:
    with served(token="of trust") as guarded, channel(guarded) as opened:
        assert refusal(opened, TRACES, sent.traces("a")).code() == grpc.StatusCode.UNAUTHENTICATED
        wrong = (("authorization", "Bearer of distrust"),)
        assert (
            refusal(opened, TRACES, sent.traces("a"), metadata=wrong).code()
            == grpc.StatusCode.UNAUTHENTICATED
        )
        export(opened, TRACES, sent.traces("a"), metadata=(("authorization", "Bearer of trust"),))
        assert guarded.names() == ["a"]


def test_calls_that_are_cancelled_leave_the_connection_as_it_was(server: Served) -> None:
    with channel(server) as opened:
        call = opened.unary_unary(TRACES)
        for _ in range(50):
            call.future(sent.traces("dropped")).cancel()
        export(opened, TRACES, sent.traces("after"))
    assert "after" in server.names()
    wait_for(lambda: server.server._receiver._held == 0)


def test_calls_under_way_are_answered_when_the_server_ends() -> None:
    with served() as ending, channel(ending) as opened:
        future = opened.unary_unary(TRACES).future(sent.traces("last"), timeout=20)
        wait_for(lambda: ending.server._receiver._taking or future.done())
        ending.do(ending.server.stop())
        assert future.result() == b""
        assert ending.names() == ["last"]


class Client:
    """HTTP/2 frame by frame."""

    def __init__(self, server: Served) -> None:
        self.socket = server.connect(5)
        self.h2 = H2Connection(H2Configuration(validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.port = server.port
        self.events: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def call(self, stream: int, body: bytes | None, **headers: str) -> None:
        sent_headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": TRACES,
            ":authority": f"127.0.0.1:{self.port}",
            "content-type": "application/grpc",
            "te": "trailers",
        }
        sent_headers |= {name.replace("__", ":").replace("_", "-"): value for name, value in headers.items()}
        self.h2.send_headers(stream, list(sent_headers.items()))
        if body is not None:
            for start in range(0, len(body), 16_384):
                self.h2.send_data(stream, body[start : start + 16_384])
            self.h2.end_stream(stream)
        self.flush()

    def until(self, condition: Callable[[list[Any]], object]) -> list[Any]:
        """Read until the events are enough; what is read to the end is enough, too."""
        while not condition(self.events):
            data = self.socket.recv(65536)
            if not data:
                break
            self.events += self.h2.receive_data(data)
            self.flush()
        return self.events

    def answer(self, stream: int) -> dict[str, str]:
        """Headers and trailers of a stream that has ended."""
        events = self.until(
            lambda events: any(
                isinstance(event, StreamEnded | StreamReset) and event.stream_id == stream for event in events
            )
        )
        return {
            name.decode(): value.decode()
            for event in events
            if isinstance(event, ResponseReceived | TrailersReceived) and event.stream_id == stream
            for name, value in event.headers
        }


def framed(message: bytes, *, packed: bool = False) -> bytes:
    return struct.pack(">BI", packed, len(message)) + message


def test_windows_are_announced(server: Served) -> None:
    with Client(server) as client:
        client.flush()
        client.until(lambda _: client.h2.remote_settings.initial_window_size == grpc_module.WINDOW)
        assert client.h2.remote_settings.max_concurrent_streams == grpc_module.STREAMS
        client.until(lambda _: client.h2.outbound_flow_control_window > grpc_module.WINDOW)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, "3"),
        (b"\0\0\0", {}, "3"),
        (framed(b"abc")[:-1], {}, "3"),
        (framed(b"") * 2, {}, "3"),
        (framed(b"x", packed=True), {}, "13"),
        (b"\7\0\0\0\0", {}, "13"),
        (framed(b"no gzip", packed=True), {"grpc_encoding": "gzip"}, "3"),
        (framed(gzip.compress(b"\0" * 2**25), packed=True), {"grpc_encoding": "gzip"}, "8"),
        (framed(b""), {"grpc_encoding": "snappy"}, "12"),
    ],
    ids=[
        "nothing",
        "half a prefix",
        "cut",
        "two",
        "unsaid packing",
        "flags",
        "damaged",
        "bomb",
        "unknown packing",
    ],
)
def test_streams_that_are_no_call_are_told_so(
    server: Served, body: bytes, headers: dict[str, str], status: str
) -> None:
    with Client(server) as client:
        client.call(1, body, **headers)
        answer = client.answer(1)
        assert (answer[":status"], answer["grpc-status"]) == ("200", status)
        client.call(3, framed(sent.traces("after")))
        assert client.answer(3)["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("headers", "status"), [({"content_type": "application/json"}, "415"), ({"__method": "GET"}, "405")]
)
def test_http2_that_is_no_grpc_is_told_so(server: Served, headers: dict[str, str], status: str) -> None:
    with Client(server) as client:
        client.call(1, b"{}", **headers)
        assert client.answer(1)[":status"] == status
        assert any(isinstance(event, DataReceived) and b"gRPC" in event.data for event in client.events)


def test_answers_wait_for_the_windows_of_the_client(server: Served) -> None:
    with Client(server) as client:
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.call(1, framed(sent.traces("kept", "")))
        client.until(lambda events: any(isinstance(event, ResponseReceived) for event in events))
        assert server.names() == ["kept"]
        for _ in range(400):
            client.h2.increment_flow_control_window(1, 1)
        client.flush()
        assert client.answer(1)["grpc-status"] == "0"
        content = b"".join(event.data for event in client.events if isinstance(event, DataReceived))
        assert ExportTraceServiceResponse.FromString(content[5:]).partial_success.rejected_spans == 1


def test_a_call_that_does_not_go_on_is_ended(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_module, "SECONDS", 0.1)
    with Client(server) as client:
        client.call(1, None)
        assert client.answer(1)["grpc-status"] == "4"


def test_who_begins_and_drops_calls_for_ever_is_sent_away(server: Served) -> None:
    with Client(server) as client, contextlib.suppress(ConnectionError):
        for stream in range(1, 2 * (grpc_module.RESETS + 50), 2):
            client.call(stream, None)
            client.h2.reset_stream(stream, ErrorCodes.CANCEL)
            client.flush()
        events = client.until(lambda events: any(isinstance(event, ConnectionTerminated) for event in events))
        ended = [event for event in events if isinstance(event, ConnectionTerminated)]
        assert ended[0].error_code == ErrorCodes.ENHANCE_YOUR_CALM
    with channel(server) as opened:
        export(opened, TRACES, sent.traces("after"))


def test_noise_after_the_preface_ends_the_connection_and_nothing_else(server: Served) -> None:
    for _ in range(20):
        with server.connect(5) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(300))
            connection.shutdown(1)
            while connection.recv(65536):
                pass
    with channel(server) as opened:
        export(opened, TRACES, sent.traces("after"))
    assert server.names() == ["after"]


def test_http_and_grpc_at_once_on_one_port(server: Served) -> None:
    with channel(server) as opened, ThreadPoolExecutor(4) as pool:
        over_http = [pool.submit(server.post, "/v1/traces", sent.traces(f"http {n}")) for n in range(20)]
        over_grpc = [pool.submit(export, opened, TRACES, sent.traces(f"grpc {n}")) for n in range(20)]
        assert {future.result().status for future in over_http} == {200}
        assert {future.result() for future in over_grpc} == {b""}
    assert len(server.names()) == 40
