"""A real OTLP/HTTP receiver for tests: a socket, upstream's generated decoder, and lists of what arrived."""

from __future__ import annotations

import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Received:
    """A span, log record or data point with what surrounds it."""

    item: Any
    resource: dict[str, Any]
    scope: str
    metric: str = ""

    @property
    def attributes(self) -> dict[str, Any]:
        return plain(self.item.attributes)


def plain(attributes: Any) -> dict[str, Any]:
    """Attributes as a dictionary of Python values."""
    return {attribute.key: _value(attribute.value) for attribute in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return plain(value.kvlist_value.values)
    return getattr(value, kind)


@dataclass
class Receiver:
    """Start with `with Receiver() as receiver`; `status` and `delay` (seconds) may be changed while it runs."""

    status: int = 200
    delay: float = 0.0
    requests: list[str] = field(default_factory=list[str])
    spans: list[Received] = field(default_factory=list[Received])
    logs: list[Received] = field(default_factory=list[Received])
    points: list[Received] = field(default_factory=list[Received])
    _arrived: threading.Condition = field(default_factory=threading.Condition)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        return self.start()

    def start(self, port: int = 0) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                time.sleep(receiver.delay)
                if receiver.status == 200:
                    receiver.take(self.path, body)
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the standard library has it
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a killed client is part of the tests

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, path: str, body: bytes) -> None:
        with self._arrived:
            self.requests.append(path)
            if path == "/v1/traces":
                self.spans += _spans(body)
            elif path == "/v1/logs":
                self.logs += _logs(body)
            elif path == "/v1/metrics":
                self.points += _points(body)
            self._arrived.notify_all()

    def wait_for(self, condition: Callable[[Receiver], Any], timeout: float = 10.0) -> None:
        """Wait until `condition(self)` holds; raises with what arrived when it does not."""
        deadline = time.monotonic() + timeout
        with self._arrived:
            while not condition(self):
                left = deadline - time.monotonic()
                if left <= 0 or not self._arrived.wait(left):
                    if condition(self):
                        return
                    raise AssertionError(
                        f"not in {timeout} s; arrived: {len(self.spans)} spans {[s.item.name for s in self.spans][:20]}, "
                        f"{len(self.logs)} logs, {len(self.points)} points"
                    )

    def named(self, name: str) -> list[Received]:
        """The spans of that name."""
        return [span for span in self.spans if span.item.name == name]

    def last(self, metric: str) -> dict[str, Any]:
        """The last value of a metric for each instance that reported it."""
        return {str(point.resource["service.instance.id"]): _number(point) for point in self._of(metric)}

    def counted(self, metric: str) -> list[Any]:
        """The last value of a metric for each process that reported it, the smallest first.

        By process, since a process may take the instance of one that has ended.
        """
        last = {
            (point.resource["service.instance.id"], point.resource["process.pid"]): _number(point)
            for point in self._of(metric)
        }
        return sorted(last.values())

    def _of(self, metric: str) -> list[Received]:
        return [point for point in self.points if point.metric == metric]


def _number(point: Received) -> Any:
    item = point.item
    return item.count if hasattr(item, "bucket_counts") else item.as_int or item.as_double


def _spans(body: bytes) -> Iterator[Received]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        attributes = plain(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Received(span, attributes, scope.scope.name)


def _logs(body: bytes) -> Iterator[Received]:
    for resource in ExportLogsServiceRequest.FromString(body).resource_logs:
        attributes = plain(resource.resource.attributes)
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield Received(record, attributes, scope.scope.name)


def _points(body: bytes) -> Iterator[Received]:
    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
        attributes = plain(resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = cast("str", metric.WhichOneof("data"))
                for point in getattr(metric, kind).data_points:
                    yield Received(point, attributes, scope.scope.name, metric.name)
