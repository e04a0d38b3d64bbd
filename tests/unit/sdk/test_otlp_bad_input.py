"""Whatever an application hands over, a request comes out that a receiver can read."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import uuid
from collections import OrderedDict, UserList
from types import MappingProxyType
from typing import Any, NoReturn, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState
from unit.sdk import otlp_messages as otlp

from otel_kpi.sdk import otlp_protobuf
from otel_kpi.sdk.otlp import Encoded, Encoding, encode_logs, encode_spans
from otel_kpi.sdk.otlp_values import CYCLE, MAX_DEPTH, MAX_NODES, TOO_DEEP, TOO_MANY
from otel_kpi.sdk.otlp_writer import Memory

READERS: dict[Encoding, Any] = {Encoding.PROTOBUF: otlp.from_protobuf, Encoding.JSON: otlp.from_json}
both = pytest.mark.parametrize("encoding", Encoding)


def span(**changes: Any) -> ReadableSpan:
    facts: dict[str, Any] = {
        "name": "work",
        "context": SpanContext(1, 2, is_remote=False),
        "resource": Resource.get_empty(),
        "start_time": 1,
        "end_time": 2,
    }
    return ReadableSpan(**facts | changes)


def read_spans(encoded: Encoded, encoding: Encoding) -> list[Any]:
    request = READERS[encoding]("traces", encoded)
    return [
        item for resource in request.resource_spans for scope in resource.scope_spans for item in scope.spans
    ]


def written(value: object, encoding: Encoding) -> Any:
    """What a receiver reads where an application set an attribute to this value."""
    (message,) = read_spans(encode_spans([span(attributes={"key": value})], encoding), encoding)
    return otlp.python_attributes(message.attributes)["key"]


class Angry:
    def __str__(self) -> NoReturn:
        raise RuntimeError("no")

    __repr__ = __str__


class AngryMapping(dict[str, Any]):
    def items(self) -> NoReturn:
        raise RuntimeError("no")


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(enum.StrEnum):
    ANNA = "anna"


class Shouting(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "SHOUTING"

    def encode(self, *_: object) -> NoReturn:  # type: ignore[override] # looser than the stub, on purpose
        raise RuntimeError("no")


VALUES: list[tuple[object, object]] = [
    (decimal.Decimal("1.10"), "1.10"),
    (fractions.Fraction(1, 3), "1/3"),
    (dt.date(2026, 11, 21), "2026-11-21"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Colour.RED, "Colour.RED"),
    (Level.HIGH, 3),
    (Name.ANNA, "anna"),
    (Shouting("quiet"), "quiet"),
    (1 << 63, str(1 << 63)),
    (-(1 << 63) - 1, str(-(1 << 63) - 1)),
    ((1 << 63) - 1, (1 << 63) - 1),
    (-(1 << 63), -(1 << 63)),
    (10**5000, hex(10**5000)),
    (1j, "1j"),
    ({1}, "{1}"),
    (bytearray(b"ab"), b"ab"),
    (memoryview(b"ab"), b"ab"),
    (range(3), [0, 1, 2]),
    (UserList([1, None]), [1, None]),
    (OrderedDict(a=(1, "x")), {"a": [1, "x"]}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    ({1: 2, None: 3}, {"1": 2, "None": 3}),
    ([], []),
    ({}, {}),
    (None, None),
    (Angry(), "<unprintable Angry>"),
    ([Angry(), 1], ["<unprintable Angry>", 1]),
    (AngryMapping(a=1), "<unprintable AngryMapping>"),
    (int, "<class 'int'>"),
]


@both
@pytest.mark.parametrize(("value", "expected"), VALUES, ids=range(len(VALUES)))
def test_a_value_of_any_type_arrives_as_what_it_says(
    value: object, expected: object, encoding: Encoding
) -> None:
    assert otlp.exact(written(value, encoding)) == otlp.exact(expected)


@both
def test_a_true_is_no_one_and_a_one_is_no_true(encoding: Encoding) -> None:
    for value in (True, 1, 1.0, "1", b"1", False, 0, 0.0, "", b""):
        assert otlp.exact(written(value, encoding)) == otlp.exact(value)


@both
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\udc80b", "a\ufffdb"),
        ("\ud800", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("grün\udfff日本", "grün\ufffd日本"),
    ],
)
def test_text_that_is_not_utf8_is_replaced_wherever_it_stands(
    value: str, expected: str, encoding: Encoding
) -> None:
    broken = span(
        name=value,
        attributes={"key": value, value: "key", "list": [value], "map": {value: value}},
        events=(Event(value, {value: value}, 1),),
        status=Status(StatusCode.ERROR, value),
        resource=Resource({value: value}, value),
        instrumentation_scope=InstrumentationScope(value, value, value, {value: value}),
    )
    encoded = encode_spans([broken], encoding)
    assert (encoded.items, encoded.skipped) == (1, 0)
    (message,) = read_spans(encoded, encoding)
    assert message.name == message.status.message == message.events[0].name == expected
    assert otlp.python_attributes(message.attributes) == {
        "key": expected,
        expected: "key",
        "list": [expected],
        "map": {expected: expected},
    }
    record = ReadWriteLogRecord(LogRecord(observed_timestamp=1, body=value, event_name=value))
    logs = READERS[encoding]("logs", encode_logs([record], encoding))
    assert logs.resource_logs[0].scope_logs[0].log_records[0].body.string_value == expected


@both
@pytest.mark.parametrize("size", [0, 1, 123, 124, 125, 126, 127, 128, 129, 16383, 16384, 1 << 20])
@pytest.mark.parametrize("letter", ["x", "ü", '"'])
def test_a_text_of_any_size_arrives_whole(size: int, letter: str, encoding: Encoding) -> None:
    assert written(letter * size, encoding) == letter * size
    (message,) = read_spans(encode_spans([span(name=letter * size)], encoding), encoding)
    assert message.name == letter * size


@both
@pytest.mark.parametrize("number", [0, 1, 127, 128, 200, 16383, 16384, 65536, -1, (1 << 31), (1 << 63) - 1])
def test_an_integer_of_any_size_arrives_whole(number: int, encoding: Encoding) -> None:
    assert written(number, encoding) == number
    assert written(-number, encoding) == -number


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@both
def test_absurd_nesting_is_cut_at_a_mark(encoding: Encoding) -> None:
    found = written(deep(100_000), encoding)
    for _ in range(MAX_DEPTH):
        (found,) = found
    assert found == TOO_DEEP


@both
def test_a_value_that_contains_itself_is_cut_at_a_mark(encoding: Encoding) -> None:
    cyclic: dict[str, Any] = {"name": "a"}
    cyclic["self"] = [cyclic]
    assert written(cyclic, encoding) == {"name": "a", "self": [CYCLE]}
    shared = [1]
    assert written([shared, shared], encoding) == [[1], [1]]


@both
def test_branches_that_multiply_are_cut_at_a_mark(encoding: Encoding) -> None:
    laughs: list[Any] = ["ha"] * 10
    for _ in range(12):
        laughs = [laughs] * 10
    encoded = encode_spans([span(attributes={"key": laughs})], encoding)
    assert (encoded.items, encoded.skipped) == (1, 0)
    assert len(encoded.body) < MAX_NODES * 50
    assert TOO_MANY.encode() in encoded.body


BROKEN: list[ReadableSpan] = [
    span(context=None),
    span(context=SpanContext(1 << 128, 2, is_remote=False)),
    span(context=SpanContext(1, -2, is_remote=False)),
    span(start_time=-1),
    span(end_time=1 << 64),
    span(start_time="now"),
    span(kind="server"),
    span(status=None),
    span(events=(Event("e", {}, cast("Any", "now")),)),
    span(links=(cast("Any", "link"),)),
    cast("ReadableSpan", object()),
    cast("ReadableSpan", None),
]


@both
@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_span_is_skipped_and_counted_and_the_others_arrive(
    broken: ReadableSpan, encoding: Encoding
) -> None:
    encoded = encode_spans([span(name="before"), broken, span(name="after")], encoding)
    assert (encoded.items, encoded.skipped) == (2, 1)
    assert [message.name for message in read_spans(encoded, encoding)] == ["before", "after"]


@both
def test_a_name_of_wrong_type_is_no_reason_to_lose_the_span(encoding: Encoding) -> None:
    for name in (None, 7, b"x", Angry(), Shouting("quiet")):
        (message,) = read_spans(encode_spans([span(name=name)], encoding), encoding)
        assert message.name in {"None", "7", "b'x'", "<unprintable Angry>", "quiet"}


@both
def test_a_span_that_has_not_ended_arrives_with_what_it_has(encoding: Encoding) -> None:
    (message,) = read_spans(encode_spans([span(end_time=None)], encoding), encoding)
    assert (message.start_time_unix_nano, message.end_time_unix_nano) == (1, 0)


@both
def test_a_broken_record_is_skipped_and_counted_and_the_others_arrive(encoding: Encoding) -> None:
    good = ReadWriteLogRecord(LogRecord(observed_timestamp=1, body="good"))
    late = ReadWriteLogRecord(LogRecord(timestamp=-1, observed_timestamp=1, body="bad"))
    batch: list[Any] = [late, good, None, ReadWriteLogRecord(LogRecord(observed_timestamp=1 << 64))]
    encoded = encode_logs(batch, encoding)
    assert (encoded.items, encoded.skipped) == (1, 3)
    request = READERS[encoding]("logs", encoded)
    assert request.resource_logs[0].scope_logs[0].log_records[0].body.string_value == "good"


@both
def test_a_body_of_any_type_arrives_as_what_it_says(encoding: Encoding) -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    for body, expected in (
        (ValueError("no"), "no"),
        ({"a": [1, {"b": None}], "c": b"x"}, {"a": [1, {"b": None}], "c": b"x"}),
        (cyclic, [CYCLE]),
        (Angry(), "<unprintable Angry>"),
        ("", ""),
        (0, 0),
    ):
        record = ReadWriteLogRecord(LogRecord(observed_timestamp=1, body=cast("Any", body)))
        request = READERS[encoding]("logs", encode_logs([record], encoding))
        message = request.resource_logs[0].scope_logs[0].log_records[0]
        assert otlp.exact(otlp.python_value(message.body)) == otlp.exact(expected)


@both
def test_trace_state_of_a_span_and_its_links_arrives(encoding: Encoding) -> None:
    state = TraceState([("vendor", "a"), ("other", "b")])
    context = SpanContext(1, 2, is_remote=True, trace_state=state)
    (message,) = read_spans(encode_spans([span(context=context, links=(Link(context),))], encoding), encoding)
    assert message.trace_state == message.links[0].trace_state == "vendor=a,other=b"


def test_ids_in_json_are_hexadecimal_and_kinds_are_numbers() -> None:
    context = SpanContext(0xABC, 0xDEF, is_remote=False)
    body = encode_spans([span(context=context, kind=SpanKind.SERVER)], Encoding.JSON).body
    assert b'"traceId":"00000000000000000000000000000abc"' in body
    assert b'"spanId":"0000000000000def"' in body
    assert b'"kind":2' in body


@both
@otlp.quickly
@given(st.dictionaries(st.text(st.characters()), st.text(st.characters()) | otlp.values, max_size=5))
def test_no_dictionary_of_attributes_loses_its_span(encoding: Encoding, attributes: dict[str, Any]) -> None:
    encoded = encode_spans([span(attributes=attributes)], encoding)
    (message,) = read_spans(encoded, encoding)
    assert len(message.attributes) == len(attributes)


def test_what_is_remembered_is_bounded() -> None:
    writer = otlp_protobuf.ProtobufWriter()
    memory = writer._memory
    field = otlp_protobuf.Field(9, "attributes")
    for number in range(Memory.ENTRIES * 2):
        writer.attributes(field, {f"key-{number}": "value", "path": f"/{number}", "m" * 1000: "n" * 1000})
        assert len(memory.keys) <= Memory.ENTRIES
    assert len(memory.keys["path"][1]) <= Memory.VALUES_OF_A_KEY
    assert "m" * 1000 not in memory.keys
