"""What pages and APIs show of traces, whoever keeps them: our own store, or a Jaeger elsewhere. Pure data.

Times are nanoseconds since 1970, ids are lower-case hexadecimal text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_kpi.dev.telemetry import Value

Status = Literal["unset", "ok", "error"]
SpanKind = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
STATUSES: tuple[Status, ...] = ("unset", "ok", "error")
"""By OTLP's numbers."""
KINDS: tuple[SpanKind, ...] = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""By OTLP's numbers."""


@dataclass(slots=True)
class EventView:
    """An event of a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Value]


@dataclass(slots=True)
class LinkView:
    """A link to another span."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, Value]


@dataclass(slots=True)
class SpanView:
    """A span as it is shown.

    Attributes:
        parent_id: Empty of a root; it may name a span that never came.
        row: Number in the store, in the order of arrival; 0 where another system keeps it.
    """

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: SpanKind
    status: Status
    status_message: str
    start_ns: int
    duration_ns: int
    attributes: Mapping[str, Value]
    events: Sequence[EventView] = ()
    links: Sequence[LinkView] = ()
    scope: str = ""
    scope_version: str = ""
    resource: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    trace_state: str = ""
    row: int = 0


@dataclass(slots=True)
class LogView:
    """A log record as it is shown.

    Attributes:
        severity: OTLP's number, 1 to 24; 0 is unknown.
        body: As text; JSON of what is none.
    """

    row: int
    time_ns: int
    severity: int
    severity_text: str
    service: str
    body: str
    attributes: Mapping[str, Value]
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""
    scope: str = ""


@dataclass(slots=True)
class ServiceCount:
    """A service in a trace."""

    service: str
    spans: int
    errors: int


@dataclass(slots=True)
class TraceSummary:
    """A row of the list of traces.

    Attributes:
        row: Where it stands in the order of arrival; lists go on before it (`before=`).
        root_name: Name of the root, or of the earliest span while no root has come.
        root_missing: No span without a parent has come.
        cost: What its calls of language models cost, by currency; empty where there were none that were priced.
        statements: Statements of databases.
    """

    row: int
    trace_id: str
    root_name: str
    root_service: str
    start_ns: int
    duration_ns: int
    spans: int
    errors: int
    services: Sequence[ServiceCount]
    root_missing: bool = False
    llm_calls: int = 0
    cost: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    statements: int = 0


@dataclass(slots=True)
class TraceView:
    """A whole trace: spans in the order of their start, and the log records that belong to it."""

    trace_id: str
    spans: Sequence[SpanView]
    logs: Sequence[LogView] = ()
    truncated: bool = False


@dataclass(slots=True, frozen=True)
class TraceQuery:
    """What is asked of a search; None and empty ask for nothing.

    Attributes:
        attributes: Each must be on one and the same span, as text.
        text: Words that must be in a span's name, attributes, events or status.
        before: Only what stands before this row.
    """

    service: str | None = None
    operation: str | None = None
    status: Status | None = None
    kind: SpanKind | None = None
    min_duration_ns: int | None = None
    max_duration_ns: int | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    text: str = ""
    limit: int = 50
    before: int | None = None


@dataclass(slots=True)
class Found:
    """What a search found.

    Attributes:
        capped: Searching was ended after a bounded time; there may be more.
    """

    traces: Sequence[TraceSummary]
    more: bool = False
    capped: bool = False


@dataclass(slots=True)
class Dependency:
    """Calls from one service to another."""

    parent: str
    child: str
    calls: int
    errors: int = 0


class Traces(Protocol):
    """Where the trace pages read: our store, or Jaeger's API. All of it is called on a worker thread."""

    def services(self) -> Sequence[str]:
        """Names of the services, sorted."""
        ...

    def operations(self, service: str, kind: SpanKind | None = None) -> Sequence[tuple[str, SpanKind]]:
        """Names and kinds of the spans of a service, sorted."""
        ...

    def search(self, query: TraceQuery) -> Found:
        """The newest traces that fit."""
        ...

    def trace(self, trace_id: str) -> TraceView | None:
        """A trace; None of one that is not here."""
        ...

    def dependencies(self, start_ns: int, end_ns: int) -> Sequence[Dependency]:
        """Who calls whom."""
        ...
