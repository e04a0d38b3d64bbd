"""Single calls of language models, each with the way to its span."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from otel_kpi.dev.store.reading.spans import texts
from otel_kpi.dev.telemetry import ERROR

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence


@dataclass(slots=True)
class Call:
    """One call, and where its span is.

    Attributes:
        span: Row in the store.
        cost: None where nobody knows.
        unpriced: Why.
        first_chunk_ns: Nanoseconds to the first part of the answer; None of one that did not stream.
    """

    span: int
    trace_id: str
    span_id: str
    start_ns: int
    duration_ns: int
    failed: bool
    operation: str
    provider: str
    model: str
    feature: str
    tenant: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    first_chunk_ns: int | None
    cost: Decimal | None
    currency: str
    unpriced: str


def amount(text: str | None) -> Decimal | None:
    """An amount as the store has it; what is no number is not known."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def calls_of(reader: sqlite3.Connection, spans: Sequence[int]) -> list[Call]:
    """Calls by the rows of their spans, in this order."""
    marks = ",".join("?" * len(spans))
    rows = {
        row[0]: row
        for row in reader.execute(
            "SELECT c.span, t.trace_id, s.span_id, c.start_ns, c.dur_ns, c.status, c.operation, c.provider, c.model,"  # noqa: S608 - marks alone
            " c.feature, c.tenant, c.input_tokens, c.output_tokens, c.cached_tokens, c.first_chunk_ns, c.cost,"
            " c.currency, c.unpriced FROM llm_call c JOIN span s ON s.id = c.span JOIN trace t ON t.id = s.trace"
            f" WHERE c.span IN ({marks})",
            list(spans),
        )
    }
    names = texts(reader, {number for row in rows.values() for number in row[6:11]})
    name: Callable[[int | None], str] = lambda number: names.get(number, "") if number is not None else ""  # noqa: E731 - short
    return [
        Call(
            span=row[0],
            trace_id=row[1].hex(),
            span_id=row[2].hex(),
            start_ns=row[3],
            duration_ns=row[4],
            failed=row[5] == ERROR,
            operation=name(row[6]),
            provider=name(row[7]),
            model=name(row[8]),
            feature=name(row[9]),
            tenant=name(row[10]),
            input_tokens=row[11],
            output_tokens=row[12],
            cached_tokens=row[13],
            first_chunk_ns=row[14],
            cost=amount(row[15]),
            currency=row[16] or "",
            unpriced=row[17] or "",
        )
        for row in (rows.get(span) for span in spans)
        if row is not None
    ]
