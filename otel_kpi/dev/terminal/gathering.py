"""Gathers the spans of a trace until it has come to rest. Pure: time comes in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.statements import Repeat, repeats, statement_of
from otel_kpi.dev.store import facts
from otel_kpi.dev.telemetry import ERROR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_kpi.dev.telemetry import Request, Span

REST: Final = 0.4
"""Seconds without another span after which a trace that has its root is shown."""
REST_WITHOUT_ROOT: Final = 2.0
LONGEST_WAIT: Final = 20.0
"""Seconds after which a trace is shown, whether more comes or not."""
MOST_TRACES: Final = 2_000
MOST_SPANS: Final = 400
"""Spans of a trace that are drawn; more are counted."""


@dataclass(slots=True)
class Drawn:
    """A span of a tree, with what is said of it; `to` is whom a call by HTTP went to."""

    service: str
    span: Span
    statement: str | None = None
    cost: tuple[Decimal, str] | None = None
    to: str = ""


@dataclass(slots=True)
class Gathered:
    """A trace as far as it has come.

    Attributes:
        count: All of its spans.
        more: It was shown before, and this has come since.
        first: When its first span came, s.
        last: When its last span came, s.
    """

    trace_id: str
    first: float
    last: float
    spans: list[Drawn] = field(default_factory=list[Drawn])
    count: int = 0
    errors: int = 0
    statements: int = 0
    llm_calls: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    asked: Counter[tuple[bytes, str]] = field(default_factory=Counter[tuple[bytes, str]])
    start_ns: int = 0
    end_ns: int = 0
    root: Drawn | None = None
    more: bool = False

    @property
    def repeats(self) -> list[Repeat]:
        """Statements that were made again and again below of one span."""
        return repeats(self.asked.elements())

    @property
    def head(self) -> Drawn:
        """The root, or the earliest span where none has come."""
        return self.root or min(self.spans, key=lambda drawn: drawn.span.start_ns)

    def take(self, service: str, span: Span) -> None:
        """One more span of it."""
        attributes: dict[str, Any] = {attribute.key: attribute.value for attribute in span.attributes}
        drawn = Drawn(service, span, statement_of(span.name, attributes), _cost(attributes), _to(attributes))
        self.start_ns = min(self.start_ns, span.start_ns) if self.count else span.start_ns
        self.end_ns = max(self.end_ns, span.end_ns)
        self.count += 1
        self.errors += span.status == ERROR
        self.llm_calls += facts.is_call(attributes)
        if drawn.statement is not None:
            self.statements += 1
            self.asked[span.parent_id, drawn.statement] += 1
        if drawn.cost is not None:
            amount, currency = drawn.cost
            self.cost[currency] = self.cost.get(currency, Decimal(0)) + amount
        if not span.parent_id and self.root is None:
            self.root = drawn
        if len(self.spans) < MOST_SPANS or drawn is self.root:
            self.spans.append(drawn)


def _to(attributes: dict[str, Any]) -> str:
    return str(attributes.get("server.address", "")) if "http.request.method" in attributes else ""


def _cost(attributes: dict[str, Any]) -> tuple[Decimal, str] | None:
    amount, currency = facts.price(attributes) if facts.is_call(attributes) else (None, None)
    return None if amount is None else (Decimal(amount), currency or "")


class Gathering:
    """The traces that are still coming.

    Attributes:
        passed: Traces that were not shown because too many came at once.
        missed: Commits that never came here, for the same reason.
    """

    def __init__(self) -> None:
        self._waiting: dict[bytes, Gathered] = {}
        self._shown: dict[bytes, None] = {}
        self.passed = 0
        self.missed = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self, requests: Iterable[Request[Any]], now: float) -> None:
        """What has been committed."""
        for request in requests:
            if request.signal == "traces":
                for group in request.groups:
                    for span in group.items:
                        self._trace(span.trace_id, now).take(group.resource.service, span)

    def due(self, now: float) -> list[Gathered]:
        """The traces that have come to rest, in the order in which they began."""
        found = [trace_id for trace_id, trace in self._waiting.items() if _rests(trace, now)]
        traces = [self._waiting.pop(trace_id) for trace_id in found]
        self._remember(found)
        return sorted(traces, key=lambda trace: trace.start_ns)

    def _trace(self, trace_id: bytes, now: float) -> Gathered:
        trace = self._waiting.get(trace_id)
        if trace is None:
            if len(self._waiting) >= MOST_TRACES:
                oldest = next(iter(self._waiting))
                del self._waiting[oldest]
                self.passed += 1
            trace = self._waiting[trace_id] = Gathered(trace_id.hex(), now, now, more=trace_id in self._shown)
        trace.last = now
        return trace

    def _remember(self, trace_ids: list[bytes]) -> None:
        self._shown.update(dict.fromkeys(trace_ids))
        for trace_id in list(self._shown)[: max(0, len(self._shown) - MOST_TRACES)]:
            del self._shown[trace_id]


def _rests(trace: Gathered, now: float) -> bool:
    rest = REST if trace.root is not None or trace.more else REST_WITHOUT_ROOT
    return now - trace.last >= rest or now - trace.first >= LONGEST_WAIT
