"""What OTLP says, decoded: the same from protobuf and from JSON, and what the store writes. Pure data, no behaviour.

Times are nanoseconds since 1970 as OTLP has them, durations are differences of them. Ids are bytes: 16 of a trace, 8 of a
span, none where there is no parent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Generic, Literal, NamedTuple, TypeVar

Value = str | bool | int | float | bytes | None | list["Value"] | dict[str, "Value"]
"""An `AnyValue` of OTLP."""
Kind = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]
Signal = Literal["traces", "metrics", "logs"]

# As OTLP numbers them.
INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds of a span."""
ERROR: Final = 2
"""Status of a span that failed."""
DELTA, CUMULATIVE = 1, 2
"""Temporalities of a metric."""

Item = TypeVar("Item")


class Attribute(NamedTuple):
    """An attribute, with what is written of it: the same bytes come again and again, and are worked out once.

    Attributes:
        key: Its name.
        value: As OTLP has it.
        json: The value as JSON; bytes are `{"bytes": "<base64>"}`, what JSON has no number for is `{"double": "NaN"}`.
        terms: What the index of words has of it; see `store/terms.py`.
    """

    key: str
    value: Value
    json: str
    terms: str


Attributes = tuple[Attribute, ...]


@dataclass(slots=True)
class Resource:
    """Who sent something; `service` is its `service.name`, `unknown_service` where there is none."""

    attributes: Attributes = ()
    schema_url: str = ""
    service: str = "unknown_service"


@dataclass(slots=True)
class Scope:
    """Which instrumentation made something."""

    name: str = ""
    version: str = ""
    attributes: Attributes = ()
    schema_url: str = ""


@dataclass(slots=True)
class Group(Generic[Item]):
    """What one scope of one resource sent."""

    resource: Resource
    scope: Scope
    items: list[Item]


@dataclass(slots=True)
class Event:
    """An event of a span."""

    name: str
    time_ns: int
    attributes: Attributes = ()
    dropped: int = 0


@dataclass(slots=True)
class Link:
    """A link of a span to another."""

    trace_id: bytes
    span_id: bytes
    attributes: Attributes = ()
    trace_state: str = ""
    flags: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Span:
    """A span.

    Attributes:
        kind: As OTLP numbers them: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
        status: 0 unset, 1 ok, 2 error.
        dropped: Attributes, events and links that the sender left out.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    kind: int
    start_ns: int
    end_ns: int
    attributes: Attributes = ()
    events: list[Event] = field(default_factory=list[Event])
    links: list[Link] = field(default_factory=list[Link])
    status: int = 0
    status_message: str = ""
    trace_state: str = ""
    flags: int = 0
    dropped: tuple[int, int, int] = (0, 0, 0)


@dataclass(slots=True)
class LogRecord:
    """A log record. `time_ns` is 0 where only the time of its observation is known."""

    time_ns: int
    observed_ns: int
    severity_number: int = 0
    severity_text: str = ""
    body: Attribute = Attribute("", None, "null", "")  # noqa: RUF009 - immutable
    attributes: Attributes = ()
    trace_id: bytes = b""
    span_id: bytes = b""
    event_name: str = ""
    flags: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Exemplar:
    """A measurement that stands for others, and the span in which it was made."""

    value: float
    time_ns: int
    trace_id: bytes = b""
    span_id: bytes = b""
    attributes: Attributes = ()


class Buckets(NamedTuple):
    """Half of an exponential histogram."""

    offset: int
    counts: tuple[int, ...]


@dataclass(slots=True)
class Point:
    """A point of a metric: what its kind has, the rest is None or empty.

    Attributes:
        value: Of a gauge or a sum.
        bounds: Upper bounds of a histogram's buckets, one fewer than `counts`.
        quantiles: Of a summary: quantile and value.
        no_value: The sender says that there is no value any more.
    """

    attributes: Attributes
    start_ns: int
    time_ns: int
    value: float | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    scale: int = 0
    zero_count: int = 0
    zero_threshold: float = 0.0
    positive: Buckets = Buckets(0, ())  # noqa: RUF009 - immutable
    negative: Buckets = Buckets(0, ())  # noqa: RUF009 - the same
    quantiles: tuple[tuple[float, float], ...] = ()
    exemplars: list[Exemplar] = field(default_factory=list[Exemplar])
    no_value: bool = False


@dataclass(slots=True)
class Metric:
    """A metric and its points.

    Attributes:
        temporality: 0 unspecified, 1 delta, 2 cumulative.
    """

    name: str
    description: str
    unit: str
    kind: Kind
    points: list[Point]
    temporality: int = 0
    monotonic: bool = False


@dataclass(slots=True)
class Request(Generic[Item]):
    """A request of OTLP, decoded.

    Attributes:
        signal: Which of the three.
        groups: What can be kept.
        rejected: How many spans, points or records of it cannot be.
        problem: Why, of the first of them.
        size: Bytes of its body, decompressed.
    """

    signal: Signal
    groups: list[Group[Item]]
    rejected: int = 0
    problem: str = ""
    size: int = 0


class MalformedError(ValueError):
    """A body that is no OTLP; its text tells the sender what is wrong."""
