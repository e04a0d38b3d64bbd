"""What is exported is what was sent: lines that the Collector reads, and that come back as they were."""

from __future__ import annotations

import json as standard
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dev import samples
from unit.dev.wire import official

from otel_kpi.dev.telemetry import Group, MalformedError, Metric, Point, Request, Resource, Scope, Signal
from otel_kpi.dev.wire import json, otlp_json, protobuf
from otel_kpi.dev.wire.values import json_of, value_of

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Value

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")

floats = st.floats()
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | floats
    | st.text(max_size=10)
    | st.binary(max_size=5)
)
keys = st.text(max_size=5) | st.sampled_from(["bytes", "double", "map"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("signal", SIGNALS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_any_request_comes_back_as_it_was(signal: Signal, seed: int) -> None:
    made = official.message(Random(seed), official.REQUESTS[signal])
    request = protobuf.decode(signal, made.SerializeToString())
    line = otlp_json.encode(request)
    assert b"\n" not in line
    back = json.decode_line(line)
    assert repr(back) == repr(replace(request, size=len(line), rejected=0, problem=""))


@settings(max_examples=50, deadline=None)
@given(value=values)
def test_any_value_comes_back_from_its_json_as_it_was(value: Value) -> None:
    assert repr(value_of(orjson.loads(json_of(value)))) == repr(value)


def test_protobufs_own_parser_of_json_reads_the_lines() -> None:
    for line in otlp_json.lines(samples.requests(200)):
        document: Any = standard.loads(line)
        signal = json.signal_of(document)
        assert signal is not None
        expected = json.decode_line(line)
        for group in document[json.NOUNS[signal][0]]:
            for scope in group[json.NOUNS[signal][1]]:
                _base64_ids(scope)
        read = json_format.ParseDict(document, official.REQUESTS[signal]())
        assert official.expected(signal, read, len(line)) == expected


def _base64_ids(document: Any) -> None:
    for each in (
        document if isinstance(document, list) else document.values() if isinstance(document, dict) else ()
    ):
        _base64_ids(each)
    if isinstance(document, dict):
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in document:
                document[key] = official.base64.b64encode(bytes.fromhex(document[key])).decode()


def test_groups_of_one_resource_are_written_together() -> None:
    request = next(samples.requests(300))
    document = standard.loads(otlp_json.encode(request))
    assert len(document["resourceSpans"]) <= len(request.groups)
    assert sum(len(each["scopeSpans"]) for each in document["resourceSpans"]) == len(request.groups)


@pytest.mark.parametrize("line", [b"{}", b'{"spans": []}', b"null", b"{", b"\xff"])
def test_a_line_that_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(MalformedError):
        json.decode_line(line)


def test_a_count_that_a_double_rounded_beyond_64_bits_can_be_read_again() -> None:
    point = Point((), 1, 2, count=2**64, sum=1.0)  # as the store gives 2**64 - 1
    metric = Metric("m", "", "", "histogram", [point], temporality=2)
    request = Request("metrics", [Group(Resource(), Scope(), [metric])])
    (line,) = otlp_json.encode(request).splitlines()
    assert json.decode_line(line).groups[0].items[0].points[0].count == 2**64 - 1
