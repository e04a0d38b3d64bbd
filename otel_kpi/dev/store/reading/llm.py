"""Calls of language models, from the store's `llm_call`: spent by whom, how long, and of which nobody knows the price.

Money is decimal and never added across currencies. A call without an amount is not free: it is counted as unpriced,
with the reason that its sender gave.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar

from otel_kpi.dev.store.reading.spans import texts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_kpi.dev.store.reading.spans import Row

Dimension = Literal["model", "feature", "tenant", "provider"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("model", "feature", "tenant", "provider")
"""What calls are counted by, and can be chosen by."""
NONE: Final = "-"
"""Stands for calls that name none."""
NO_AMOUNT: Final = "no_amount"
"""Why a call is unpriced whose span has neither an amount nor a reason: its sender prices nothing."""
ERROR: Final = 2
MOST: Final = 50_000
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
        by: By dimension, those that were asked for; the dearest first, then the most frequent.
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


# A row as it is counted: numbers of texts, and at last its amount as a decimal. Tuples, for their making takes longest.
_SPAN, _START, _DURATION, _STATUS, _PROVIDER, _MODEL, _FEATURE, _TENANT = range(8)
_SENT, _MADE, _CACHED, _FIRST_CHUNK, _COST, _CURRENCY, _UNPRICED, _AMOUNT = range(8, 16)
_PLACES: Final[Mapping[Dimension, int]] = {
    "provider": _PROVIDER, "model": _MODEL, "feature": _FEATURE, "tenant": _TENANT,
}  # fmt: skip
_Key = TypeVar("_Key")


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


def spending(  # noqa: PLR0913 - what is asked
    reader: sqlite3.Connection,
    chosen: Chosen,
    step_ns: int,
    *,
    by: Sequence[Dimension] = DIMENSIONS,
    listed: int = 10,
    most: int = MOST,
) -> Spending:
    """Count the calls of a time.

    Args:
        reader: A connection to the store.
        chosen: Which.
        step_ns: Length of a step of `over_time`.
        by: What they are counted by; by model they are always.
        listed: How many of the dearest and slowest are given.
        most: How many are read, the newest.
    """
    where, values = _where(reader, chosen)
    found = reader.execute(
        "SELECT span, start_ns, dur_ns, status, provider, model, feature, tenant, input_tokens, output_tokens,"  # noqa: S608 - what is put in are columns of ours
        f" cached_tokens, first_chunk_ns, cost, currency, unpriced FROM llm_call WHERE {where}"
        " ORDER BY start_ns DESC LIMIT ?",
        (*values, most + 1),
    ).fetchall()
    rows: list[Row] = [(*row, amount(row[_COST])) for row in found[:most]]
    names = texts(reader, {row[place] for place in _PLACES.values() for row in rows})
    total = Counts()
    over_time: dict[int, Counts] = {}
    by_time: dict[str, dict[int, Counts]] = {}
    models: dict[str, Counts] = {}
    cells = _grouped(rows, lambda row: (row[_MODEL], row[_START] - row[_START] % step_ns))
    for (number, step), group in cells.items():
        counts, model = _counted(group), _name(names, number)
        by_time.setdefault(model, {})[step] = counts
        for into in (total, over_time.setdefault(step, Counts()), models.setdefault(model, Counts())):
            into.add(counts)
    shares: dict[Dimension, list[Share]] = {"model": _ordered(models)}
    for dimension in by:
        if dimension != "model":
            groups = _grouped(rows, itemgetter(_PLACES[dimension]))
            shares[dimension] = _ordered(
                {_name(names, number): _counted(group) for number, group in groups.items()}
            )
    return Spending(
        total=total,
        by=shares,
        over_time=over_time,
        by_time=by_time,
        unpriced=_unpriced(rows, names),
        dearest={
            currency: calls_of(reader, [row[_SPAN] for row in _dearest(rows, currency, listed)])
            for currency in sorted(total.cost)
        },
        slowest=calls_of(
            reader, [row[_SPAN] for row in heapq.nlargest(listed, rows, key=itemgetter(_DURATION))]
        ),
        truncated=len(found) > most,
    )


def _name(names: Mapping[int, str], number: int | None) -> str:
    return NONE if number is None else names.get(number, NONE)


def _grouped(rows: Iterable[Row], key: Callable[[Row], _Key]) -> dict[_Key, list[Row]]:
    found: defaultdict[_Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def _counted(rows: Sequence[Row]) -> Counts:
    """Column by column: row by row it takes three times as long."""
    counts = Counts(
        calls=len(rows),
        errors=[row[_STATUS] for row in rows].count(ERROR),
        input_tokens=sum([row[_SENT] or 0 for row in rows]),
        output_tokens=sum([row[_MADE] or 0 for row in rows]),
        cached_tokens=sum([row[_CACHED] or 0 for row in rows]),
        untold=[(row[_SENT], row[_MADE]) for row in rows].count((None, None)),
        durations=[row[_DURATION] for row in rows],
        first_chunks=[row[_FIRST_CHUNK] for row in rows if row[_FIRST_CHUNK] is not None],
    )
    for currency in {row[_CURRENCY] for row in rows if row[_AMOUNT] is not None}:
        counts.cost[currency or ""] = sum(
            [row[_AMOUNT] for row in rows if row[_CURRENCY] == currency and row[_AMOUNT] is not None], _ZERO
        )
    counts.unpriced.update(
        Counter(reason for row in rows if row[_AMOUNT] is None and (reason := _reason(row)))
    )
    return counts


def _reason(row: Row) -> str:
    """Why a call has no amount; a failed one that says no more has used nothing that anybody knows of."""
    return row[_UNPRICED] or ("" if row[_STATUS] == ERROR else NO_AMOUNT)


def _unpriced(rows: Sequence[Row], names: Mapping[int, str]) -> list[Unpriced]:
    found = Counter(
        (_name(names, row[_MODEL]), _name(names, row[_PROVIDER]), reason)
        for row in rows
        if row[_AMOUNT] is None and (reason := _reason(row))
    )
    return [
        Unpriced(*key, calls) for key, calls in sorted(found.items(), key=lambda each: (-each[1], each[0]))
    ]


def _dearest(rows: Sequence[Row], currency: str, listed: int) -> list[Row]:
    priced = [row for row in rows if row[_AMOUNT] is not None and (row[_CURRENCY] or "") == currency]
    return heapq.nlargest(listed, priced, key=itemgetter(_AMOUNT))


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
