"""What the tests of the encoder share: made-up telemetry, and requests read by the official decoder."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, cast

from google.protobuf import json_format
from hypothesis import settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    from otel_kpi.sdk.otlp import Encoded, Signal

REQUESTS: dict[str, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}

quickly = settings(max_examples=40, deadline=None)
"""A property of a whole request costs milliseconds; forty of them find what there is to find."""

UINT64 = (1 << 64) - 1

texts = st.text(max_size=40) | st.sampled_from(
    ["", "GET", "grün", "日本語", "\x00", '"\\\n', "x" * 200, "😀"]
)
keys = st.text(min_size=1, max_size=20) | st.sampled_from(["http.route", "db.system.name", "é"])
int64s = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300)
times = st.integers(0, UINT64) | st.just(1_795_000_000_000_000_000)
counts = st.integers(0, UINT64) | st.integers(0, 300)
dropped = st.integers(0, 3) | st.just((1 << 32) - 1)
# NaN has many bit patterns; JSON knows one.
floats = st.floats().map(lambda number: math.nan if math.isnan(number) else number)
scalars = st.none() | st.booleans() | int64s | floats | texts | st.binary(max_size=20)
values = scalars | st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)
attributes = st.dictionaries(keys, values, max_size=6)
span_ids = st.integers(1, UINT64)
trace_ids = st.integers(1, (1 << 128) - 1)
trace_states = st.sampled_from([TraceState(), TraceState([("vendor", "a:b"), ("tenant@x", "1")])])
contexts = st.builds(
    SpanContext, trace_ids, span_ids, st.booleans(), st.integers(0, 255).map(TraceFlags), trace_states
)
resources = st.lists(
    st.builds(Resource, st.dictionaries(keys, scalars, max_size=3), texts), min_size=1, max_size=3
)
scopes = st.builds(
    InstrumentationScope, texts, st.none() | texts, st.none() | texts, st.none() | attributes
) | st.just(InstrumentationScope("library", "1.0"))


def bounded(attributes: Mapping[str, Any] | None, dropped: int) -> BoundedAttributes:
    """Attributes as the SDK holds them, of which some were dropped."""
    result = BoundedAttributes(attributes=attributes)
    result.dropped = dropped
    return result


def from_protobuf(signal: Signal, encoded: Encoded) -> Any:
    """The request as the official decoder reads it."""
    return REQUESTS[signal].FromString(encoded.body)


def from_json(signal: Signal, encoded: Encoded) -> Any:
    """The request as the official decoder reads it; OTLP's hexadecimal ids are made proto3's base64."""

    def not_a_number(text: str) -> float:
        raise AssertionError(f"{text} is not JSON")

    document = json.loads(encoded.body, parse_constant=not_a_number)
    return json_format.ParseDict(_base64_ids(document), REQUESTS[signal]())


def _base64_ids(node: Any) -> Any:
    if isinstance(node, dict):
        members = cast("dict[str, Any]", node)
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in {"traceId", "spanId", "parentSpanId"}
            else _base64_ids(value)
            for key, value in members.items()
        }
    if isinstance(node, list):
        return [_base64_ids(item) for item in cast("list[Any]", node)]
    return node


def same(first: Any, second: Any) -> bool:
    """Whether two messages are equal; NaN equals itself here."""
    return first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def python_value(value: AnyValue) -> Any:
    """The Python value that an ``AnyValue`` says."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [python_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return python_attributes(value.kvlist_value.values)
    return getattr(value, kind)


def python_attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """The dictionary that a list of ``KeyValue`` says; a key may be there only once."""
    result: dict[str, Any] = {}
    for pair in pairs:
        assert pair.key not in result
        result[pair.key] = python_value(pair.value)
    return result


def exact(value: Any) -> Any:
    """A form in which equal means of the same type and, for floats, of the same bits but for NaN's."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value.hex()
    if isinstance(value, (list, tuple)):
        return [exact(item) for item in cast("list[Any]", value)]
    if hasattr(value, "items"):
        return {key: exact(item) for key, item in value.items()}
    return type(value).__name__, value


def assert_scope(message: Any, scope: InstrumentationScope | None) -> None:
    """A scope message says what the scope says."""
    if scope is None:
        assert not message.HasField("scope")
        return
    assert message.scope.name == scope.name
    assert message.scope.version == (scope.version or "")
    assert message.schema_url == (scope.schema_url or "")
    assert exact(python_attributes(message.scope.attributes)) == exact(scope.attributes or {})


def assert_resource(message: Any, resource: Resource) -> None:
    """A resource message says what the resource says."""
    assert exact(python_attributes(message.resource.attributes)) == exact(resource.attributes)
    assert message.schema_url == resource.schema_url
