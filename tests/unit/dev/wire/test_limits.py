"""Whoever sends what they like: the decoders take time and memory in proportion to it, and say what was wrong."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import orjson
import pytest
from unit.dev.wire import official
from unit.dev.wire.official import varint

from otel_kpi.dev.telemetry import MalformedError, Request, Signal
from otel_kpi.dev.wire import accepted, json, memory, protobuf, protobuf_values
from otel_kpi.dev.wire.values import MAX_BUCKETS, MAX_DEPTH, MAX_NODES, TOO_DEEP, TOO_MANY

MEGABYTE = 2**20


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def traces(*spans: bytes) -> bytes:
    return field(1, field(2, b"".join([field(2, each) for each in spans])))


def span(*more: bytes, trace_id: bytes = b"t" * 16) -> bytes:
    times = b"".join([varint(number << 3 | 1) + official.TIME.to_bytes(8, "little") for number in (7, 8)])
    return field(1, trace_id) + field(2, b"s" * 8) + times + b"".join(more)


def attribute(value: bytes) -> bytes:
    return field(9, field(1, b"k") + field(2, value))


def only(body: bytes) -> Any:
    request = protobuf.decode("traces", body)
    assert not request.rejected, request.problem
    return request.groups[0].items[0]


@pytest.mark.parametrize(
    ("name", "signal", "body"),
    [
        ("requests", "traces", b"\x0a\x00" * 20_000),
        ("scopes", "traces", field(1, b"\x12\x00" * 20_000)),
        ("resources", "traces", field(1, b"\x0a\x00" * 20_000)),
        ("spans", "traces", field(1, field(2, b"\x12\x00" * 10_000))),
        ("attributes", "traces", traces(span(b"\x4a\x00" * 20_000))),
        ("events", "traces", traces(span(b"\x5a\x00" * 20_000))),
        ("links", "traces", traces(span(b"\x6a\x00" * 20_000))),
        ("elements", "traces", traces(span(attribute(field(5, b"\x0a\x00" * 20_000))))),
        ("pairs", "traces", traces(span(attribute(field(6, b"\x0a\x00" * 20_000))))),
        ("records", "logs", field(1, field(2, b"\x12\x00" * 20_000))),
        ("metrics", "metrics", field(1, field(2, b"\x12\x00" * 20_000))),
        ("gauges", "metrics", field(1, field(2, field(2, b"\x2a\x00" * 20_000)))),
        ("points", "metrics", field(1, field(2, field(2, field(9, b"\x0a\x00" * 20_000))))),
        ("buckets", "metrics", field(1, field(2, field(2, field(10, field(1, b"\x42\x00" * 20_000)))))),
        ("counts", "metrics", field(1, field(2, field(2, field(10, field(1, field(8, field(2, b"\x01" * 40_000)))))))),
        ("long counts", "metrics", field(1, field(2, field(2, field(10, field(1, field(8, field(2, b"\x80\x01" * 20_000)))))))),
        ("quantiles", "metrics", field(1, field(2, field(2, field(11, field(1, b"\x32\x00" * 20_000)))))),
        ("exemplars", "metrics", field(1, field(2, field(2, field(5, field(1, b"\x2a\x00" * 20_000)))))),
    ],
)  # fmt: skip
def test_many_messages_that_say_nothing_cost_little(name: str, signal: Signal, body: bytes) -> None:
    assert name
    tracemalloc.start()
    try:
        started = time.process_time()
        request = protobuf.decode(signal, body)
        seconds = time.process_time() - started
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 32 * len(body)
    assert seconds < 3  # 40 kB; under the eyes of tracemalloc they take a fifth of one
    assert sum(len(group.items) for group in request.groups) <= 1


def test_a_megabyte_of_text_is_kept_and_not_remembered() -> None:
    known = len(protobuf_values.known)
    found = only(traces(span(attribute(field(1, b"x" * MEGABYTE)))))
    assert found.attributes[0].value == "x" * MEGABYTE
    assert len(found.attributes[0].terms) < 10_000
    assert len(protobuf_values.known) == known


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known = protobuf_values.known
    for limit, value, most in (
        ("MOST", 100, 100),
        ("MOST_BYTES", 1_000, 125),
    ):  # each has eight bytes at least
        monkeypatch.setattr(memory, limit, value)
        known.clear()
        for number in range(1_000):
            assert only(traces(span(attribute(field(1, b"%d" % number))))).attributes[0].value == str(number)
            assert len(known) <= most
        monkeypatch.undo()


def nested(levels: int, number: int) -> bytes:
    value = field(1, b"leaf")
    for _ in range(levels):
        value = field(number, field(1, value if number == 5 else field(2, value)))
    return value


@pytest.mark.parametrize("number", [5, 6])
def test_lists_and_maps_are_cut_where_they_are_nested_too_deeply(number: int) -> None:
    for levels in (MAX_DEPTH, MAX_DEPTH + 1, 1_000):
        value = only(traces(span(attribute(nested(levels, number))))).attributes[0].value
        for _ in range(MAX_DEPTH):
            value = value[0] if number == 5 else value[""]
        assert value == ("leaf" if levels == MAX_DEPTH else TOO_DEEP)


def test_lists_are_cut_where_they_have_too_many_values() -> None:
    value = (
        only(traces(span(attribute(field(5, field(1, field(3, b"")) * 2 * MAX_NODES))))).attributes[0].value
    )
    assert (len(value), value[-1]) == (MAX_NODES + 1, TOO_MANY)


def test_more_items_than_a_request_may_have_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "MAX_ITEMS", 100)
    severe = field(2, varint(2 << 3) + b"\x09")  # a severity, nothing else
    request = protobuf.decode("logs", field(1, field(2, severe * 110)))
    assert (len(request.groups[0].items), request.rejected) == (100, 10)
    assert "more than 100 items" in request.problem


def gauge(content: bytes) -> bytes:
    """A request of one gauge of one point."""
    timed = varint(3 << 3 | 1) + official.TIME.to_bytes(8, "little") + varint(4 << 3 | 1) + bytes(8) + content
    return field(1, field(2, field(2, field(1, b"g") + field(5, field(1, timed)))))


def points(content: bytes) -> Request[Any]:
    """A request of one exponential histogram of one point."""
    timed = varint(3 << 3 | 1) + official.TIME.to_bytes(8, "little") + content
    return protobuf.decode(
        "metrics", field(1, field(2, field(2, field(1, b"h") + field(10, field(1, timed)))))
    )


def test_a_point_of_too_many_buckets_is_rejected() -> None:
    assert points(field(8, field(2, b"\x01" * MAX_BUCKETS))).rejected == 0
    for packed in (field(2, b"\x01" * (MAX_BUCKETS + 1)), b"\x10\x01" * (MAX_BUCKETS + 1)):
        request = points(field(8, packed))
        assert (request.rejected, request.groups) == (1, [])
        assert "metric 'h': a point has 16385 buckets" in request.problem


@pytest.mark.parametrize(
    ("signal", "body"),
    [
        ("traces", traces(span(field(11, field(2, b"e")) * 60_000))),
        ("traces", traces(span(field(13, field(1, b"t" * 16) + field(2, b"s" * 8)) * 40_000))),
        ("metrics", gauge(field(5, varint(3 << 3 | 1) + bytes(8)) * 60_000)),
    ],
    ids=["events", "links", "exemplars"],
)
def test_of_what_is_too_much_for_an_item_no_more_is_read_than_says_so(signal: Signal, body: bytes) -> None:
    tracemalloc.start()
    try:
        request = protobuf.decode(signal, body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (request.rejected, request.groups) == (1, [])
    assert most < 4 * MEGABYTE


def test_invalid_utf8_costs_the_sign_and_not_the_request() -> None:
    found = only(traces(span(field(5, b"caf\xe9"), attribute(field(1, b"\xff\xfe!")))))
    assert (found.name, found.attributes[0].value, found.attributes[0].json) == ("caf�", "��!", '"��!"')


def test_an_end_before_the_start_is_skew_and_no_duration() -> None:
    early = varint(8 << 3 | 1) + (official.TIME - 5).to_bytes(8, "little")
    found = only(traces(span(early)))
    assert found.end_ns == found.start_ns == official.TIME


@pytest.mark.parametrize(
    ("signal", "body", "text"),
    [
        ("traces", b"not protobuf", "the request: byte 1: field 13 has wire type 6, which does not exist"),
        ("traces", b'{"resourceSpans":[]}', "the request: "),
        ("traces", traces(span(), b"\x0a\x50abc"), "resource_spans[0].scope_spans[0].spans[1]: byte "),
        ("traces", traces(span(), b"\x0a\x50abc"), "field 1 goes on for 77 more bytes, but its message ends here"),
        ("traces", traces(span(varint(100 << 3 | 7))), "field 100 has wire type 7, which does not exist"),
        ("traces", traces(span(b"\x02\x00")), "there is no field number 0"),
        ("traces", traces(span(varint(100 << 3 | 4))), "the end of a group 100 that did not begin"),
        ("traces", traces(span(varint(100 << 3 | 3) * 200)), "groups are nested too deeply"),
        ("traces", traces(span(varint(100 << 3) + b"\xff" * 11)), "a number of more than ten bytes"),
        ("logs", field(1, field(2, field(2, b"\x09\x00"))), "resource_logs[0].scope_logs[0].log_records[0]: "),
        ("metrics", field(1, field(2, field(2, field(9, field(1, field(6, b"\x00" * 7)))))), "7 bytes are no numbers of eight each"),
        ("metrics", field(1, field(2, field(2, b"\x0a"))), "the body ends in the middle of it, after 7 bytes"),
    ],
)  # fmt: skip
def test_the_sender_is_told_what_is_wrong_and_where(signal: Signal, body: bytes, text: str) -> None:
    with pytest.raises(MalformedError) as caught:
        protobuf.decode(signal, body)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("trace_id", "text"),
    [
        (b"", "span '': trace_id is missing"),
        (b"t" * 15, "trace_id has 15 bytes instead of 16"),
        (bytes(16), "trace_id is zero"),
    ],
)
def test_a_bad_span_is_rejected_by_itself(trace_id: bytes, text: str) -> None:
    request = protobuf.decode("traces", traces(span(), span(trace_id=trace_id), span()))
    assert [len(group.items) for group in request.groups] == [2]
    assert request.rejected == 1
    assert text in request.problem


def test_no_end_of_a_body_makes_a_decoder_hang_or_fail() -> None:
    body = traces(span(field(5, b"name"), attribute(nested(3, 6)), field(11, field(2, b"event"))))
    for end in range(1, len(body)):
        with pytest.raises(MalformedError):
            protobuf.decode("traces", body[:end])


@pytest.mark.parametrize(("number", "name"), [(9, "attributes"), (11, "events"), (13, "links")])
def test_an_item_of_too_many_parts_is_rejected_and_the_others_are_kept(
    monkeypatch: pytest.MonkeyPatch, number: int, name: str
) -> None:
    monkeypatch.setattr(accepted, "MAX_PARTS", 250)
    content = {"attributes": b"", "events": field(2, b"e"), "links": field(1, b"t" * 16) + field(2, b"s" * 8)}
    parts = field(number, content[name]) * 300
    request = protobuf.decode("traces", traces(span(parts), span()))
    assert (request.rejected, len(request.groups[0].items)) == (1, 1)
    assert "more than 250" in request.problem


def test_a_request_of_too_many_different_attributes_is_refused_before_they_take_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "MAX_NEW", 250)
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"attributes": [{"key": "k", "value": {"stringValue": f"new {number}"}} for number in range(251)]}]}]}]}  # fmt: skip
    for decode, body in (
        (protobuf.decode, traces(span(*[attribute(field(1, b"new %d" % number)) for number in range(251)]))),
        (json.decode, orjson.dumps(document)),
    ):
        with pytest.raises(MalformedError, match="different attributes; send smaller batches"):
            decode("traces", body)
        decode("traces", b"{}" if decode is json.decode else traces(span(attribute(field(1, b"the next")))))


@pytest.mark.parametrize(
    "body", [b'{"x":[' + b"{}," * 800_000 + b"{}]}", b'{"x":[' + b"1," * 4_000_001 + b"1]}"]
)
def test_json_of_nothing_but_containers_is_refused_before_it_is_read(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="send smaller batches"):
            json.decode("traces", body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MEGABYTE


def test_a_body_of_which_nothing_can_be_kept_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepted, "MAX_REJECTED", 100)
    with pytest.raises(
        MalformedError, match="more than 100 items cannot be kept: span '': trace_id is missing"
    ):
        protobuf.decode("traces", field(1, field(2, b"\x12\x00" * 200)))
