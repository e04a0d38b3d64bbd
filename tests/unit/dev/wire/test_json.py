"""OTLP/JSON means what the same message as protobuf means, in every spelling that proto3's parsers accept."""

from __future__ import annotations

import json as standard
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.dev import hostile, samples
from unit.dev.wire import official

from otel_kpi.dev.telemetry import MalformedError, Signal
from otel_kpi.dev.wire import json, otlp_json, protobuf
from otel_kpi.dev.wire.values import MAX_DEPTH, TOO_DEEP

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
each_signal = pytest.mark.parametrize("signal", SIGNALS)

JAVASCRIPT = r"""{"resourceSpans":[{"resource":{"attributes":[
 {"key":"service.name","value":{"stringValue":"shop-web"}},{"key":"process.pid","value":{"intValue":17}},
 {"key":"process.command_args","value":{"arrayValue":{"values":[{"stringValue":"node"},{"stringValue":"-r"}]}}}],
 "droppedAttributesCount":0},"scopeSpans":[{"scope":{"name":"@opentelemetry/instrumentation-http","version":"0.57.0"},
 "spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173",
 "traceState":"vendor=1","name":"GET","kind":3,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000",
 "attributes":[{"key":"http.response.status_code","value":{"intValue":200}},{"key":"ratio","value":{"doubleValue":1}},
 {"key":"cached","value":{"boolValue":false}}],"droppedAttributesCount":0,
 "events":[{"attributes":[],"name":"open","timeUnixNano":"1544712660500000000","droppedAttributesCount":0}],
 "droppedEventsCount":0,"status":{"code":0},"links":[],"droppedLinksCount":0,"flags":257}]}]}]}"""
"""As `@opentelemetry/exporter-trace-otlp-http` writes it: every member, whether it says something or not."""


def span(**members: Any) -> bytes:
    """A request of one span."""
    whole: dict[str, Any] = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "GET",
        "startTimeUnixNano": "1544712660000000000",
        "endTimeUnixNano": "1544712661000000000",
    }
    return standard.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [whole | members]}]}]}).encode()


def attribute(value: Any) -> bytes:
    return span(attributes=[{"key": "k", "value": value}])


def only(body: bytes) -> Any:
    """The one span of a request."""
    request = json.decode("traces", body)
    assert not request.rejected, request.problem
    return request.groups[0].items[0]


@each_signal
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64), snake=st.booleans(), named=st.booleans())
def test_any_message_means_what_it_means_as_protobuf(
    signal: Signal, seed: int, *, snake: bool, named: bool
) -> None:
    made = official.message(Random(seed), official.REQUESTS[signal])
    body = official.as_json(made, snake=snake, named=named)
    ours, theirs = json.decode(signal, body), official.expected(signal, made, len(body))
    if signal == "logs":
        official.observed_alike(ours, theirs)
    assert repr(replace(ours, problem="")) == repr(theirs)


@each_signal
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_what_is_damaged_is_refused_and_nothing_else_happens(signal: Signal, seed: int) -> None:
    draw = Random(seed)
    made = official.message(draw, official.REQUESTS[signal])
    body = bytearray(official.as_json(made, snake=False, named=False))
    for _ in range(draw.choice((1, 1, 3))):
        at = draw.randrange(len(body))
        if draw.random() < 0.2:
            del body[at + 1 :]
        else:
            body[at : at + 1] = draw.choice(
                (b"{", b"[]", b"null", b'"', b"1", b"-", b"1e999", b"\xff", b"\\ud800")
            )
    with suppress(MalformedError):
        json.decode(signal, bytes(body))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "key", "values"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@each_signal
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**64), other=junk)
def test_any_type_in_the_place_of_any_other_is_refused_or_read(signal: Signal, seed: int, other: Any) -> None:
    draw = Random(seed)
    made = official.message(draw, official.REQUESTS[signal])
    document: Any = standard.loads(official.as_json(made, snake=False, named=False))
    inner: Any = {"": document}
    while isinstance(inner, (dict, list)) and inner:
        keys = list(inner) if isinstance(inner, dict) else range(len(inner))
        key: Any = draw.choice(keys)
        if not isinstance(inner[key], (dict, list)) or not inner[key] or draw.random() < 0.2:
            inner[key] = other
            break
        inner = inner[key]
    with suppress(MalformedError):
        json.decode(signal, standard.dumps(document).encode())


def test_what_javascripts_sdk_writes_is_read() -> None:
    request = json.decode("traces", JAVASCRIPT.encode())
    (group,) = request.groups
    (found,) = group.items
    assert group.resource.service == "shop-web"
    assert {each.key: each.value for each in group.resource.attributes}["process.command_args"] == [
        "node",
        "-r",
    ]
    assert group.scope.name == "@opentelemetry/instrumentation-http"
    assert (found.trace_id.hex(), found.parent_id.hex()) == (
        "5b8efff798038103d269b633813fc60c",
        "eee19b7ec3c1b173",
    )
    assert (found.start_ns, found.end_ns, found.flags) == (1544712660 * 10**9, 1544712661 * 10**9, 257)
    assert [(each.key, each.value, each.json) for each in found.attributes] == [
        ("http.response.status_code", 200, "200"),
        ("ratio", 1.0, "1.0"),
        ("cached", False, "false"),
    ]
    assert [each.name for each in found.events] == ["open"]
    assert request.rejected == 0


@pytest.mark.parametrize(
    ("document", "value"),
    [
        ({"intValue": "9223372036854775807"}, 2**63 - 1),
        ({"intValue": -5}, -5),
        ({"int_value": "7"}, 7),
        ({"doubleValue": "NaN"}, "nan"),
        ({"doubleValue": "-Infinity"}, float("-inf")),
        ({"bytesValue": "-_8"}, b"\xfb\xff"),
        ({"bytesValue": "+/8="}, b"\xfb\xff"),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}, {"a": True}),
        ({}, None),
        (None, None),
        ({"fromTheFuture": 1}, None),
    ],
)
def test_values_in_every_spelling(document: Any, value: Any) -> None:
    found = only(attribute(document)).attributes[0].value
    assert str(found) == "nan" if value == "nan" else (found, type(found)) == (value, type(value))


def test_integers_booleans_and_doubles_that_are_equal_stay_what_they_are() -> None:
    for document, text in (
        ({"intValue": 1}, "1"),
        ({"boolValue": True}, "true"),
        ({"doubleValue": 1.0}, "1.0"),
    ) * 2:
        assert only(attribute(document)).attributes[0].json == text


def test_half_of_a_pair_of_surrogates_and_bytes_that_are_no_utf8_cost_nothing_else() -> None:
    # JavaScript cuts a text in the middle of an emoji and writes what is left as an escape.
    assert (
        only(span(name="cut").replace(b'"cut"', rb'"\\ud83d caf\u00e9 \ud83d \ud83d\ude00"')).name
        == "\\ud83d café � 😀"
    )
    assert only(span(name="cut").replace(b'"cut"', b'"caf\xe9!"')).name == "caf�!"


def test_a_byte_order_mark_is_skipped() -> None:
    assert only(b"\xef\xbb\xbf" + span()).name == "GET"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "no JSON"),
        (b'{"resourceSpans": [', "no JSON"),
        (b"[]", "an object belongs here, not a list"),
        (b'{"resourceSpans": {}}', "resourceSpans: a list belongs here, not an object"),
        (b'{"resourceMetrics": []}', "a request of metrics (resourceMetrics), sent to where traces belong"),
        (span(startTimeUnixNano="soon"), "resourceSpans[0].scopeSpans[0].spans[0]: startTimeUnixNano: a whole number of 0 to"),
        (span(startTimeUnixNano=-1), "not -1"),
        (span(name=5), "spans[0]: name: a text belongs here, not 5"),
        (attribute({"boolValue": "yes"}), "boolValue: true or false belongs here, not 'yes'"),
        (attribute({"bytesValue": "?"}), "bytesValue: base64 belongs here"),
        (attribute({"intValue": 1.5}), "intValue: a whole number"),
        (attribute({"intValue": str(2**63)}), "intValue: a whole number"),
        (attribute({"intValue": "1_0"}), "intValue: a whole number"),
        (attribute({"intValue": " 1"}), "intValue: a whole number"),
        (attribute({"intValue": "\u0661"}), "intValue: a whole number"),
        (attribute({"doubleValue": "1_0"}), "doubleValue: a number"),
        (span(attributes=["x"]), "an object belongs here, not 'x'"),
    ],
)  # fmt: skip
def test_the_sender_is_told_what_is_wrong_and_where(body: bytes, text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        json.decode("traces", body)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"traceId": ""}, "span 'GET': trace_id is missing"),
        ({"traceId": "00" * 16}, "trace_id is zero"),
        ({"spanId": "abcd"}, "span_id has 2 bytes instead of 8"),
        ({"parentSpanId": "abcd"}, "parent_span_id has 2 bytes instead of 8"),
        ({"traceId": "W47/95gDgQPSabYzgT/GDA=="}, "traceId is not hexadecimal: 'W47/95gDgQPSabYzgT/GDA==' (OTLP/JSON has no base64 here)"),
        ({"startTimeUnixNano": None, "endTimeUnixNano": None}, "it has no times"),
        ({"endTimeUnixNano": str(2**63)}, "is after the year 2262"),
    ],
)  # fmt: skip
def test_a_bad_span_is_rejected_by_itself(members: dict[str, Any], text: str) -> None:
    good, bad = standard.loads(span()), standard.loads(span(**members))
    good["resourceSpans"][0]["scopeSpans"][0]["spans"] += bad["resourceSpans"][0]["scopeSpans"][0]["spans"]
    request = json.decode("traces", standard.dumps(good).encode())
    assert [len(group.items) for group in request.groups] == [1]
    assert request.rejected == 1
    assert text in request.problem


def test_what_is_nested_too_deeply_is_cut() -> None:
    document: Any = {"stringValue": "leaf"}
    for _ in range(MAX_DEPTH + 5):
        document = {"arrayValue": {"values": [document]}}
    value = only(attribute(document)).attributes[0].value
    for _ in range(MAX_DEPTH):
        (value,) = value
    assert value == TOO_DEEP
    for nested in (b"[" * 100_000, b'{"resourceSpans":' * 10_000):
        with pytest.raises(MalformedError):
            json.decode("traces", nested)


def test_a_day_is_read_as_it_was_made() -> None:
    for request in samples.requests(300):
        message = official.REQUESTS[request.signal].FromString(samples.encode(request))
        body = official.as_json(message, snake=False, named=False)
        assert json.decode(request.signal, body) == replace(request, size=len(body))


def test_what_is_hostile_is_the_same_in_both_encodings() -> None:
    for request in (hostile.cycle(), hostile.skewed(), hostile.bad_ids(), *hostile.everywhere()):
        first = protobuf.decode(request.signal, samples.encode(request))
        second = json.decode(request.signal, otlp_json.encode(request))
        assert (first.groups, first.rejected, first.problem) == (
            second.groups,
            second.rejected,
            second.problem,
        )
