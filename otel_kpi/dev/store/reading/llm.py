"""Calls of language models, from the store's `llm_call`: spent by whom, how long, and of which nobody knows the price.

Money is decimal and never added across currencies. A call without an amount is not free: it is counted as unpriced,
with the reason that its sender gave.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from otel_kpi.dev.store.reading.spans import texts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_kpi.dev.store.reading.spans import Row

    _Cell = tuple[int | None, int | None, int | None, int | None, int]
    """Provider, model, feature and tenant, as numbers of texts, and the begin of a step."""

Dimension = Literal["model", "feature", "tenant", "provider"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("model", "feature", "tenant", "provider")
"""What calls are counted by, and can be chosen by."""
NONE: Final = "-"
"""Stands for calls that name none."""
NO_AMOUNT: Final = "no_amount"
"""Why a call is unpriced whose span has neither an amount nor a reason: its sender prices nothing."""
ERROR: Final = 2
MOST: Final = 200_000
"""Calls that are read for a page, the newest; beyond it the page says so."""
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which calls.

    Attributes:
        start_ns: From this moment on.
        end_ns: Before this one.
        only: Values of dimensions; `-` is those that name none.
        failed: Only those that ended in an error.
    """

    start_ns: int
    end_ns: int
    only: Mapping[Dimension, str] = field(default_factory=dict["Dimension", str])
    failed: bool = False


@dataclass(slots=True)
class Counts:
    """What was counted of some calls.

    Attributes:
        calls: How many.
        errors: Of them, those that failed.
        input_tokens: All that was sent, cached tokens too.
        output_tokens: All that was made.
        cached_tokens: The part of the input that came out of a cache.
        untold: Calls that did not tell their tokens.
        cost: By currency.
        unpriced: Calls without an amount, by the reason.
        durations: Nanoseconds, of all calls.
        first_chunks: Nanoseconds to the first part of the answer, of the calls that streamed.
    """

    calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    untold: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    unpriced: dict[str, int] = field(default_factory=dict[str, int])
    durations: list[int] = field(default_factory=list[int])
    first_chunks: list[int] = field(default_factory=list[int])

    @property
    def tokens(self) -> int:
        """Sent and made."""
        return self.input_tokens + self.output_tokens

    @property
    def all_unpriced(self) -> int:
        """Calls without an amount, for whatever reason."""
        return sum(self.unpriced.values())

    @property
    def errors_share(self) -> float | None:
        """Of one; None where there was no call."""
        return self.errors / self.calls if self.calls else None

    def duration(self, share: float) -> int | None:
        """The time within which so many of the calls had ended, of one; None where there was none."""
        return quantile(self.durations, share)

    def first_chunk(self, share: float) -> int | None:
        """The same of the time to the first part of an answer."""
        return quantile(self.first_chunks, share)

    def add(self, other: Counts) -> None:
        """Count what another counted, too."""
        self.calls += other.calls
        self.errors += other.errors
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.untold += other.untold
        for currency, amount in other.cost.items():
            self.cost[currency] = self.cost.get(currency, _ZERO) + amount
        for reason, calls in other.unpriced.items():
            self.unpriced[reason] = self.unpriced.get(reason, 0) + calls
        self.durations += other.durations
        self.first_chunks += other.first_chunks


class Share(NamedTuple):
    """What one value of a dimension had."""

    name: str
    counts: Counts


class Unpriced(NamedTuple):
    """Calls of which nobody knows the price."""

    model: str
    provider: str
    reason: str
    calls: int


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


@dataclass(slots=True)
class Spending:
    """What a page of calls shows.

    Attributes:
        total: Of all of them.
        by: By dimension; the dearest first, then the most frequent.
        over_time: By the begin of a step, nanoseconds; a step without calls is not there.
        by_time: The same, by model.
        unpriced: The most frequent first.
        dearest: Of each currency, the dearest first.
        slowest: The slowest first.
        truncated: There are more than were read.
    """

    total: Counts
    by: dict[Dimension, list[Share]]
    over_time: dict[int, Counts]
    by_time: dict[str, dict[int, Counts]]
    unpriced: list[Unpriced]
    dearest: dict[str, list[Call]]
    slowest: list[Call]
    truncated: bool = False


def quantile(values: Sequence[int], share: float) -> int | None:
    """The value at a share of one, by nearest rank; None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def amount(text: str | None) -> Decimal | None:
    """An amount as the store has it; what is no number is not known."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def extent(reader: sqlite3.Connection) -> tuple[int, int] | None:
    """When the oldest call began and the newest one, nanoseconds; None where there is none."""
    # Each alone is one step in the index; both in one statement would read all of it.
    oldest = reader.execute("SELECT min(start_ns) FROM llm_call").fetchone()[0]
    newest = reader.execute("SELECT max(start_ns) FROM llm_call").fetchone()[0]
    return None if oldest is None else (oldest, newest)


def spending(
    reader: sqlite3.Connection, chosen: Chosen, step_ns: int, *, listed: int = 10, most: int = MOST
) -> Spending:
    """Count the calls of a time.

    Args:
        reader: A connection to the store.
        chosen: Which.
        step_ns: Length of a step of `over_time`.
        listed: How many of the dearest and slowest are given.
        most: How many are read, the newest.
    """
    where, values = _where(reader, chosen)
    rows = reader.execute(
        "SELECT span, start_ns, dur_ns, status, provider, model, feature, tenant, input_tokens, output_tokens,"  # noqa: S608 - what is put in are columns of ours
        f" cached_tokens, first_chunk_ns, cost, currency, unpriced FROM llm_call WHERE {where}"
        " ORDER BY start_ns DESC LIMIT ?",
        (*values, most + 1),
    ).fetchall()
    truncated = len(rows) > most
    del rows[most:]
    cells, dear = _counted(rows, step_ns)
    names = texts(reader, {number for key in cells for number in key[:4]})
    total, unpriced = Counts(), dict[tuple[str, str, str], int]()
    by: dict[Dimension, dict[str, Counts]] = {each: {} for each in DIMENSIONS}
    over_time: dict[int, Counts] = {}
    by_time: dict[str, dict[int, Counts]] = {}
    for key, counts in cells.items():
        provider, model, feature, tenant = (
            NONE if number is None else names.get(number, NONE) for number in key[:4]
        )
        step = key[4]
        total.add(counts)
        for dimension, name in zip(DIMENSIONS, (model, feature, tenant, provider), strict=True):
            by[dimension].setdefault(name, Counts()).add(counts)
        over_time.setdefault(step, Counts()).add(counts)
        by_time.setdefault(model, {}).setdefault(step, Counts()).add(counts)
        for reason, calls in counts.unpriced.items():
            unpriced[model, provider, reason] = unpriced.get((model, provider, reason), 0) + calls
    return Spending(
        total=total,
        by={each: _ordered(shares) for each, shares in by.items()},
        over_time=over_time,
        by_time=by_time,
        unpriced=[
            Unpriced(*key, calls)
            for key, calls in sorted(unpriced.items(), key=lambda each: (-each[1], each[0]))
        ],
        dearest={
            currency: calls_of(reader, [row[0] for _, row in heapq.nlargest(listed, known, key=_first)])
            for currency, known in sorted(dear.items())
        },
        slowest=calls_of(reader, [row[0] for row in heapq.nlargest(listed, rows, key=lambda row: row[2])]),
        truncated=truncated,
    )


def _first(pair: tuple[Decimal, Row]) -> Decimal:
    return pair[0]


def _counted(
    rows: Iterable[Row], step_ns: int
) -> tuple[dict[_Cell, Counts], dict[str, list[tuple[Decimal, Row]]]]:
    """Counts by provider, model, feature, tenant and step, and the priced calls by currency."""
    cells: dict[_Cell, Counts] = {}
    dear: dict[str, list[tuple[Decimal, Row]]] = {}
    for row in rows:
        (
            _, start, duration, status, provider, model, feature, tenant, sent, made, cached, first_chunk,
            cost, currency, reason,
        ) = row  # fmt: skip
        key = (provider, model, feature, tenant, start - start % step_ns)
        counts = cells.get(key)
        if counts is None:
            counts = cells[key] = Counts()
        counts.calls += 1
        counts.durations.append(duration)
        if status == ERROR:
            counts.errors += 1
        if sent is None and made is None:
            counts.untold += 1
        counts.input_tokens += sent or 0
        counts.output_tokens += made or 0
        counts.cached_tokens += cached or 0
        if first_chunk is not None:
            counts.first_chunks.append(first_chunk)
        value = amount(cost)
        if value is not None:
            code = currency or ""
            counts.cost[code] = counts.cost.get(code, _ZERO) + value
            dear.setdefault(code, []).append((value, row))
        elif reason or status != ERROR:
            # A call that failed and says no more about it has used nothing that anybody knows of.
            reason = reason or NO_AMOUNT
            counts.unpriced[reason] = counts.unpriced.get(reason, 0) + 1
    return cells, dear


def _ordered(shares: Mapping[str, Counts]) -> list[Share]:
    """By what is dearest in whatever currency; amounts of two currencies have no order, calls have."""
    return sorted(
        (Share(name, counts) for name, counts in shares.items()),
        key=lambda each: (-max(each.counts.cost.values(), default=_ZERO), -each.counts.calls, each.name),
    )


def _where(reader: sqlite3.Connection, chosen: Chosen) -> tuple[str, list[object]]:
    parts, values = ["start_ns >= ? AND start_ns < ?"], list[object]((chosen.start_ns, chosen.end_ns))
    for dimension, name in chosen.only.items():
        if dimension not in DIMENSIONS:
            continue
        if name == NONE:
            parts.append(f"{dimension} IS NULL")
            continue
        row = reader.execute("SELECT id FROM str WHERE s = ?", (name,)).fetchone()
        parts.append(f"{dimension} = ?")
        values.append(-1 if row is None else row[0])
    if chosen.failed:
        parts.append("status = ?")
        values.append(ERROR)
    return " AND ".join(parts), values


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
