"""Spans a second on one core, from the bytes of a request to what the store writes: ours, and protobuf's decoder walked.

"cold" has seen none of the attributes before; "warm" has seen all. A day of a shop: see tests/support/dev.

Run: python -m benchmarks.dev_wire [--json] [--rounds N] [--spans N]
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_kpi.dev.wire import json as otlp_json_decoder
from otel_kpi.dev.wire import json_values, otlp_json, protobuf, protobuf_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TESTS = Path(__file__).resolve().parent.parent / "tests"
ATTRIBUTES = 10.7
"""Attributes of a span, on average: what the first measurements had."""


def requests(spans: int) -> tuple[list[bytes], list[bytes], int]:
    """Requests of 512 spans as protobuf and as JSON, and how many spans they have."""
    sys.path.insert(0, str(TESTS))
    from support.dev import samples

    request = filled(samples, spans)
    return [samples.encode(each) for each in request], [otlp_json.encode(each) for each in request], spans


def filled(samples: Any, spans: int) -> list[Any]:
    """The traces of the samples, with as many more attributes as bring them to the average."""
    found = [each for each in samples.requests(spans) if each.signal == "traces"]
    every = [span for request in found for group in request.groups for span in group.items]
    missing = round(ATTRIBUTES * len(every)) - sum(len(span.attributes) for span in every)
    for number in range(max(missing, 0)):
        span = every[number % len(every)]
        span.attributes += samples.attributes({f"more.{number // len(every)}": f"value {number % 50}"})
    return found


def walked(body: bytes) -> list[dict[str, Any]]:
    """What one would do with protobuf: parse, and walk to what can be stored."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_id": span.parent_span_id,
            "name": span.name,
            "kind": span.kind,
            "start_ns": span.start_time_unix_nano,
            "end_ns": span.end_time_unix_nano,
            "status": span.status.code,
            "events": [
                (event.name, event.time_unix_nano, _values(event.attributes)) for event in span.events
            ],
            "attributes": orjson.dumps(_values(span.attributes)),
        }
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    if which == "kvlist_value":
        return _values(value.kvlist_value.values)
    return getattr(value, which) if which else None


def spans_a_second(decode: Callable[[bytes], object], bodies: Sequence[bytes], spans: int) -> float:
    """By the CPU of this process, with the collector of garbage as it is."""
    gc.collect()
    started = time.process_time()
    for body in bodies:
        decode(body)
    return spans / (time.process_time() - started)


def measure(rounds: int, spans: int) -> dict[str, dict[str, float]]:
    """The best and the middle of several turns of each."""
    bodies, lines, count = requests(spans)
    cases: dict[str, tuple[Callable[[bytes], object], list[bytes], Callable[[], None]]] = {
        "protobuf, cold": (lambda body: protobuf.decode("traces", body), bodies, protobuf_values.known.clear),
        "protobuf, warm": (lambda body: protobuf.decode("traces", body), bodies, lambda: None),
        "json, cold": (lambda body: otlp_json_decoder.decode("traces", body), lines, json_values.known.clear),
        "json, warm": (lambda body: otlp_json_decoder.decode("traces", body), lines, lambda: None),
        "upb, parsed": (ExportTraceServiceRequest.FromString, bodies, lambda: None),
        "upb, walked": (walked, bodies, lambda: None),
    }
    turns: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, (decode, each, prepare) in cases.items():
            prepare()
            turns[name].append(spans_a_second(decode, each, count))
    return {
        name: {"best": round(max(found)), "median": round(sorted(found)[len(found) // 2])}
        for name, found in turns.items()
    }


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    parser.add_argument("--spans", type=int, default=50_000, help="spans of one turn (50,000)")
    options = parser.parse_args(arguments)
    results = measure(options.rounds, options.spans)
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'spans a second, one core':<28}{'best':>12}{'median':>12}")
    for name, result in results.items():
        print(f"{name:<28}{result['best']:>12,}{result['median']:>12,}")


if __name__ == "__main__":
    main()
