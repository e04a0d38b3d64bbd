"""CPU and bytes to write one span as OTLP: ours as protobuf and JSON, and upstream's encoder, in turns.

Run: python benchmarks/encode.py [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as upstream_encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind

from otel_kpi.sdk.otlp import Encoding, encode_spans

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 512


class _Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def batch() -> list[ReadableSpan]:
    """A batch as a small HTTP service records it: five attributes, parents, two scopes."""
    keep = _Keep()
    provider = TracerProvider(resource=Resource({"service.name": "benchmark", "service.version": "1.0"}))
    provider.add_span_processor(keep)
    servers = provider.get_tracer("opentelemetry.instrumentation.fastapi", "0.66b1")
    clients = provider.get_tracer("opentelemetry.instrumentation.sqlalchemy", "0.66b1")
    for number in range(BATCH // 2):
        attributes = {
            "http.request.method": "GET",
            "http.route": "/items/{item_id}",
            "url.path": f"/items/{number}",
            "http.response.status_code": 200,
            "server.port": 8000,
        }
        statement = {
            "db.system.name": "postgresql",
            "db.namespace": "shop",
            "db.operation.name": "SELECT",
            "db.query.text": "SELECT id, name FROM items WHERE id = %s",
            "server.port": 5432,
        }
        with (
            servers.start_as_current_span(
                "GET /items/{item_id}", kind=SpanKind.SERVER, attributes=attributes
            ),
            clients.start_as_current_span("SELECT shop", kind=SpanKind.CLIENT, attributes=statement),
        ):
            pass
    return keep.spans


def microseconds(encode: Callable[[], bytes], repeats: int) -> float:
    """CPU of this process for one span, in µs."""
    start = time.process_time_ns()
    for _ in range(repeats):
        encode()
    return (time.process_time_ns() - start) / repeats / BATCH / 1000


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """The best of several turns for each encoder: CPU in µs and size in bytes, for one span."""
    spans = batch()
    encoders: dict[str, tuple[Callable[[], bytes], int]] = {
        "otel-kpi protobuf": (lambda: encode_spans(spans, Encoding.PROTOBUF).body, 20),
        "otel-kpi json": (lambda: encode_spans(spans, Encoding.JSON).body, 20),
        "upstream protobuf": (lambda: upstream_encode_spans(spans).SerializeToString(), 4),
    }
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, (encode, repeats) in encoders.items():
            times[name].append(microseconds(encode, repeats))
    slowest = min(times["upstream protobuf"])
    return {
        name: {
            "us_per_span": round(min(times[name]), 3),
            "bytes_per_span": round(len(encode()) / BATCH, 1),
            "times_upstream": round(slowest / min(times[name]), 1),
        }
        for name, (encode, _) in encoders.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each encoder (10)")
    options = parser.parse_args()
    results = measure(options.rounds)
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'encoder':<20}{'µs/span':>9}{'B/span':>9}{'faster':>9}   batches of {BATCH}, 5 attributes")
    for name, result in results.items():
        print(
            f"{name:<20}{result['us_per_span']:>9.2f}{result['bytes_per_span']:>9.0f}"
            f"{result['times_upstream']:>8.1f}x"
        )


if __name__ == "__main__":
    main()
