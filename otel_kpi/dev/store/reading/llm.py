"""Calls of language models, from the store's `llm_call`: spent by whom, how long, and of which nobody knows the price.

Money is decimal and never added across currencies. A call without an amount is not free: it is counted as unpriced,
with the reason that its sender gave.

The database counts; a hundred thousand calls as rows of Python would take seconds, and hold up what comes meanwhile. It
gives times as one text for a group, so that quantiles are values that there were.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson

from otel_kpi.dev.store.facts import PLACES
from otel_kpi.dev.store.reading.calls import Call, amount, calls_of
from otel_kpi.dev.store.reading.spans import one_moment, texts
from otel_kpi.dev.telemetry import ERROR

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

Dimension = Literal["model", "feature", "tenant", "provider"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("model", "feature", "tenant", "provider")
"""What calls are counted by, and can be chosen by."""
NONE: Final = "-"
"""Stands for calls that name none."""
NO_AMOUNT: Final = "no_amount"
"""Why a call is unpriced whose span has neither an amount nor a reason: its sender prices nothing."""
_ZERO: Final = Decimal(0)
# The context of a thread rounds to 28 digits.
_EXACT: Final = Context(prec=80)
_MODELS: Final = 1 << 32
"""More than there are texts: by it a step and a model are one integer, which is sorted in two thirds of the time."""
_REASON: Final = f"coalesce(nullif(unpriced, ''), CASE status WHEN {ERROR} THEN '' ELSE '{NO_AMOUNT}' END)"
"""Why a call has no amount; a failed one that says no more has used nothing that anybody knows of."""
_COUNTED: Final = (
    f"currency, count(*), sum(status = {ERROR}), sum(input_tokens), sum(output_tokens), sum(cached_tokens),"
    " sum(input_tokens IS NULL AND output_tokens IS NULL), count(cost), sum(cost_pico),"
    " group_concat(CASE WHEN cost_pico IS NULL THEN cost END), group_concat(dur_ns), group_concat(first_chunk_ns)"
)
"""What is asked of each group, for `_counts`; the groups are by the currency, too."""


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
        unpriced: Calls without an amount, by the reason; of a step they are not counted.
        durations: Nanoseconds, of all calls; in order once a quantile was asked for.
        first_chunks: Nanoseconds to the first part of the answer, of the calls that streamed; the same.
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
    def told(self) -> bool:
        """Whether any of the calls told its tokens: where none did, their number is not 0."""
        return self.untold < self.calls

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
        for currency, cost in other.cost.items():
            self.cost[currency] = _EXACT.add(self.cost.get(currency, _ZERO), cost)
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
class Spending:
    """What a page of calls shows.

    Attributes:
        total: Of all of them.
        by: By dimension, those that were asked for; the dearest first, then the most frequent.
        over_time: By the begin of a step, nanoseconds; a step without calls is not there.
        by_time: What each model cost in a step, by currency.
        unpriced: The most frequent first.
        dearest: Of each currency, the dearest first.
        slowest: The slowest first.
    """

    total: Counts
    by: dict[Dimension, list[Share]]
    over_time: dict[int, Counts]
    by_time: dict[str, dict[int, dict[str, Decimal]]]
    unpriced: list[Unpriced]
    dearest: dict[str, list[Call]]
    slowest: list[Call]


def quantile(values: list[int], share: float) -> int | None:
    """The value at a share of one, by nearest rank; None of nothing. The values are put in order."""
    if not values:
        return None
    # What was put together of parts that are in order is merged, and what is in order is only looked at.
    values.sort()
    return values[max(0, math.ceil(share * len(values)) - 1)]


def extent(reader: sqlite3.Connection) -> tuple[int, int] | None:
    """When the oldest call began and the newest one, nanoseconds; None where there is none."""
    # Each alone is one step in the index; both in one statement would read all of it.
    oldest = reader.execute("SELECT min(start_ns) FROM llm_call").fetchone()[0]
    newest = reader.execute("SELECT max(start_ns) FROM llm_call").fetchone()[0]
    return None if oldest is None else (oldest, newest)


def spending(
    reader: sqlite3.Connection,
    chosen: Chosen,
    step_ns: int,
    *,
    by: Sequence[Dimension] = DIMENSIONS,
    listed: int = 10,
) -> Spending:
    """Count the calls of a time.

    Args:
        reader: A connection to the store.
        chosen: Which.
        step_ns: Length of a step of `over_time`.
        by: What they are counted by; by model they are always.
        listed: How many of the dearest and slowest are given.
    """
    with one_moment(reader):
        return _spending(reader, chosen, step_ns, by, listed)


def _spending(
    reader: sqlite3.Connection, chosen: Chosen, step_ns: int, by: Sequence[Dimension], listed: int
) -> Spending:
    where, values = _where(reader, chosen)
    oldest, _ = extent(reader) or (0, 0)
    begin = max(chosen.start_ns, oldest)
    begin -= begin % step_ns
    over_time: dict[int, Counts] = {}
    by_time: dict[str, dict[int, dict[str, Decimal]]] = {}
    models: dict[str, Counts] = {}
    key = f"(start_ns - ?) / ? * {_MODELS} + ifnull(model, 0)"
    cells = _groups(reader, key, (begin, step_ns), where, values)
    names = _names(reader, (cell % _MODELS or None for cell, _ in cells))
    for cell, counts in cells:
        model, step = names[cell % _MODELS or None], begin + cell // _MODELS * step_ns
        # What is put together of parts that are in order is put in order again in a fraction of the time.
        counts.durations.sort()
        counts.first_chunks.sort()
        by_time.setdefault(model, {}).setdefault(step, {}).update(counts.cost)
        models.setdefault(model, Counts()).add(counts)
        over_time.setdefault(step, Counts()).add(counts)
    total = Counts()
    for counts in models.values():
        counts.durations.sort()
        counts.first_chunks.sort()
        total.add(counts)
    found: dict[Dimension, dict[str, Counts]] = {"model": models}
    for dimension in by:
        if dimension != "model":
            found[dimension] = _by(reader, dimension, where, values)
    return Spending(
        total=total,
        unpriced=_unpriced(reader, where, values, total, found),
        by={dimension: _ordered(shares) for dimension, shares in found.items()},
        over_time=over_time,
        by_time=by_time,
        dearest={
            currency: _dearest(reader, currency, where, values, listed) for currency in sorted(total.cost)
        },
        slowest=_first(reader, where, values, "dur_ns DESC", listed),
    )


def shares(reader: sqlite3.Connection, chosen: Chosen, dimension: Dimension) -> list[Share]:
    """What each value of a dimension had in a time, the dearest first."""
    with one_moment(reader):
        where, values = _where(reader, chosen)
        found = _by(reader, dimension, where, values)
        _unpriced(reader, where, values, Counts(), {dimension: found})
    return _ordered(found)


def _by(
    reader: sqlite3.Connection, dimension: Dimension, where: str, values: Sequence[object]
) -> dict[str, Counts]:
    groups = _groups(reader, dimension, (), where, values)
    names = _names(reader, (number for number, _ in groups))
    found: dict[str, Counts] = {}
    for number, counts in groups:
        found.setdefault(names[number], Counts()).add(counts)
    return found


def _groups(
    reader: sqlite3.Connection, key: str, key_values: Sequence[object], where: str, values: Sequence[object]
) -> list[tuple[Any, Counts]]:
    """What was counted of each group, by its key; the same key comes again with another currency."""
    rows = reader.execute(
        f"SELECT {key}, {_COUNTED} FROM llm_call WHERE {where} GROUP BY 1, 2",  # noqa: S608 - columns of ours
        (*key_values, *values),
    )
    return [(row[0], _counts(*row[1:])) for row in rows]


def _counts(  # noqa: PLR0913, PLR0917 - the columns of `_COUNTED`
    currency: str | None,
    calls: int,
    errors: int,
    sent: int | None,
    made: int | None,
    cached: int | None,
    untold: int,
    priced: int,
    places: int | None,
    amounts: str | None,
    durations: str,
    first_chunks: str | None,
) -> Counts:
    counts = Counts(
        calls=calls,
        errors=errors,
        input_tokens=sent or 0,
        output_tokens=made or 0,
        cached_tokens=cached or 0,
        untold=untold,
        durations=orjson.loads(f"[{durations}]"),
        first_chunks=orjson.loads(f"[{first_chunks}]") if first_chunks else [],
    )
    if priced:
        added = Decimal(places or 0).scaleb(-PLACES)
        for text in amounts.split(",") if amounts else ():
            added = _EXACT.add(added, amount(text) or _ZERO)
        counts.cost[currency or ""] = added
    return counts


def _names(reader: sqlite3.Connection, numbers: Iterable[int | None]) -> dict[int | None, str]:
    wanted = set(numbers)
    known = texts(reader, wanted)
    return {number: NONE if number is None else known.get(number, NONE) for number in wanted}


def _unpriced(
    reader: sqlite3.Connection,
    where: str,
    values: Sequence[object],
    total: Counts,
    found: Mapping[Dimension, Mapping[str, Counts]],
) -> list[Unpriced]:
    """Count the calls without an amount, and have the total and the shares know of them, too."""
    columns = list(dict.fromkeys(("model", "provider", *found)))
    numbers = ", ".join(str(place) for place in range(1, len(columns) + 2))
    rows = reader.execute(
        f"SELECT {', '.join(columns)}, {_REASON} AS reason, count(*) FROM llm_call"  # noqa: S608 - columns of ours
        f" WHERE cost IS NULL AND {where} GROUP BY {numbers} HAVING reason != ''",
        values,
    ).fetchall()
    names = _names(reader, (number for row in rows for number in row[:-2]))
    unpriced: Counter[tuple[str, str, str]] = Counter()
    for *of, reason, calls in rows:
        named = {column: names[number] for column, number in zip(columns, of, strict=True)}
        unpriced[named["model"], named["provider"], reason] += calls
        for counts in (total, *(by[named[dimension]] for dimension, by in found.items())):
            counts.unpriced[reason] = counts.unpriced.get(reason, 0) + calls
    return [
        Unpriced(*key, calls) for key, calls in sorted(unpriced.items(), key=lambda each: (-each[1], each[0]))
    ]


def _dearest(
    reader: sqlite3.Connection, currency: str, where: str, values: Sequence[object], listed: int
) -> list[Call]:
    found = _first(
        reader,
        f"cost IS NOT NULL AND ifnull(currency, '') = ? AND {where}",
        (currency, *values),
        "CAST(cost AS REAL) DESC",
        listed,
    )
    return sorted(found, key=lambda call: call.cost or _ZERO, reverse=True)


def _first(
    reader: sqlite3.Connection, where: str, values: Sequence[object], order: str, listed: int
) -> list[Call]:
    rows = reader.execute(
        f"SELECT span FROM llm_call WHERE {where} ORDER BY {order}, start_ns DESC LIMIT ?",  # noqa: S608 - columns of ours
        (*values, listed),
    )
    return calls_of(reader, [row[0] for row in rows])


def _ordered(shares: Mapping[str, Counts]) -> list[Share]:
    """By what is dearest in whatever currency; amounts of two currencies have no order, calls have."""
    return sorted(
        (Share(name, counts) for name, counts in shares.items()),
        key=lambda each: (-max(each.counts.cost.values(), default=_ZERO), -each.counts.calls, each.name),
    )


def _where(reader: sqlite3.Connection, chosen: Chosen) -> tuple[str, list[object]]:
    known = extent(reader)
    # By its index each call is looked up alone: where all are wanted, the table is read from end to end.
    time = "+start_ns" if known and chosen.start_ns <= known[0] and known[1] < chosen.end_ns else "start_ns"
    parts, values = [f"{time} >= ? AND {time} < ?"], list[object]((chosen.start_ns, chosen.end_ns))
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
