"""What language models cost in a time, by what a person asked for, beside the time before. Pure but for the source."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from otel_kpi.spending.source import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_kpi.spending.period import Period
    from otel_kpi.spending.source import Series, Source

DIMENSIONS: Final = {
    "model": "gen_ai_request_model",
    "tenant": "kpi_tenant",
    "feature": "kpi_feature",
    "provider": "gen_ai_provider_name",
    "app": "app",
    "environment": "environment",
}
"""What can be asked for, and its label."""
TOKEN_CLASSES: Final = ("input", "cache_read", "cache_write", "tool", "output", "reasoning", "citation")
_ANSWERED_BY: Final = "gen_ai_response_model"
_COST: Final = "kpi_llm_cost_total"
_TOKENS: Final = "kpi_llm_tokens_total"
_UNPRICED: Final = "kpi_llm_unpriced_total"
_CALLS: Final = (
    "gen_ai_client_operation_duration_seconds_count",
    "gen_ai_client_inference_duration_seconds_count",
)
"""Of both generations; where both are recorded the first has all calls."""
_CURRENCY: Final = "gen_ai_usage_cost_currency"
_FROM: Final = "kpi_llm_currency_from"
_TO: Final = "kpi_llm_currency_to"
_RATE: Final = "kpi_llm_currency_rate"
_OUTLOOK: Final = ("today", "run_rate1h", "month", "month_projected")
_ZERO: Final = Decimal(0)
_NINE: Final = Decimal("0.000000001")

Key = tuple[str, ...]


@dataclass(slots=True)
class Counts:
    """What was counted under one key in one time.

    Attributes:
        calls: How many; those that failed, too.
        tokens: By class.
        cost: By currency.
        unpriced: Calls of which nobody knows the price, by the reason.
    """

    calls: int = 0
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    cost: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    unpriced: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def all_tokens(self) -> int:
        """Of all classes."""
        return sum(self.tokens.values())

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not (self.calls or self.all_tokens or any(self.cost.values()) or any(self.unpriced.values()))


@dataclass(frozen=True, slots=True)
class Change:
    """Why a cost is another than before; the three add up to the difference.

    Attributes:
        total: The difference.
        calls: Through more or fewer calls.
        tokens: Through more or fewer tokens in a call.
        price: Through another price of a token: other models, tiers, classes, rates.
    """

    total: Decimal
    calls: Decimal
    tokens: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Row:
    """One line.

    Attributes:
        key: The values of what was asked for; `-` where there is none.
        now: What was counted.
        before: The same in the time before.
    """

    key: Key
    now: Counts
    before: Counts

    def change(self, currency: str) -> Change:
        """Why the cost in a currency is another than in the time before."""
        return split(self.before, self.now, currency)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where a currency is going, as the rules in Prometheus say; None is not known.

    Attributes:
        today: Spent since midnight.
        run_rate: Money a day, at the pace of the last hour.
        month: Spent since the month began.
        month_projected: Spent when it ends, at the mean pace of the last 24 hours.
    """

    today: Decimal | None = None
    run_rate: Decimal | None = None
    month: Decimal | None = None
    month_projected: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The answer.

    Attributes:
        by: What was asked for.
        period: When.
        rows: The dearest first.
        total: All of them.
        outlook: By currency.
        rates: Between which currencies amounts were converted, and by what.
        kept: Currencies that were to be converted and have no rate.
    """

    by: tuple[str, ...]
    period: Period
    rows: tuple[Row, ...]
    total: Row
    outlook: Mapping[str, Outlook]
    rates: Mapping[tuple[str, str], Decimal]
    kept: tuple[str, ...]

    def change(self, currency: str) -> Change:
        """Why the sum of a currency is another than before: what the rows say, added up."""
        changes = [row.change(currency) for row in self.rows]
        return Change(
            sum((each.total for each in changes), _ZERO),
            sum((each.calls for each in changes), _ZERO),
            sum((each.tokens for each in changes), _ZERO),
            sum((each.price for each in changes), _ZERO),
        )


def split(before: Counts, now: Counts, currency: str) -> Change:
    """Split a difference of cost into calls, tokens per call and price per token, in this order."""
    cost_before, cost_now = before.cost.get(currency, _ZERO), now.cost.get(currency, _ZERO)
    total = cost_now - cost_before
    # What is new or gone is so by its calls, and so is what costs something without tokens: a tool, a search.
    if not all((cost_before, cost_now, before.calls, now.calls, before.all_tokens, now.all_tokens)):
        return Change(total, total, _ZERO, _ZERO)
    per_call = Decimal(before.all_tokens) / before.calls
    per_token = cost_before / before.all_tokens
    through_calls = ((now.calls - before.calls) * per_call * per_token).quantize(_NINE)
    through_tokens = ((now.all_tokens - now.calls * per_call) * per_token).quantize(_NINE)
    return Change(total, through_calls, through_tokens, total - through_calls - through_tokens)


def report(
    source: Source,
    by: Sequence[str],
    period: Period,
    only: Mapping[str, str],
    currency: str | None = None,
) -> Report:
    """Read what was spent, and what was before.

    Args:
        source: Where.
        by: Of `DIMENSIONS`; none is all in one line.
        period: When.
        only: Values of dimensions, `{"tenant": "acme"}`.
        currency: Into which amounts are converted that have a rate; None leaves them.

    Raises:
        SourceError: It cannot be read.
    """
    labels = {DIMENSIONS[name]: value for name, value in only.items()}
    rates = _rates(source, currency)
    now = _converted(_counted(source, by, period, labels), rates, currency)
    before = _converted(_counted(source, by, period.before, labels), rates, currency)
    rows = [
        Row(key, now.get(key, Counts()), before.get(key, Counts()))
        for key in sorted(now.keys() | before.keys())
    ]
    rows = [row for row in rows if not (row.now.is_empty and row.before.is_empty)]
    # Amounts of two currencies have no order: within each the dearest first, and that with the most lines first.
    rows.sort(key=lambda row: (-max(row.now.cost.values(), default=_ZERO), -row.now.calls, row.key))
    total = Row(("total",), _sum(row.now for row in rows), _sum(row.before for row in rows))
    seen = {each for row in rows for each in (*row.now.cost, *row.before.cost)}
    used = {(given, wanted): rate for (given, wanted), rate in rates.items() if given != wanted}
    kept = tuple(sorted(seen - {currency})) if currency is not None else ()
    return Report(tuple(by), period, tuple(rows), total, _outlook(source, only), used, kept)


def _counted(
    source: Source, by: Sequence[str], period: Period, labels: Mapping[str, str]
) -> dict[Key, Counts]:
    found: defaultdict[Key, Counts] = defaultdict(Counts)
    for each in source.read(Query(_COST, period, labels)):
        cost = found[_key(each, by)].cost
        currency = each.labels.get(_CURRENCY, "")
        cost[currency] = cost.get(currency, _ZERO) + each.value
    for each in source.read(Query(_TOKENS, period, labels)):
        tokens = found[_key(each, by)].tokens
        name = each.labels.get("kpi_llm_token_class", "")
        tokens[name] = tokens.get(name, 0) + _whole(each.value)
    for metric in _CALLS:
        calls = source.read(Query(metric, period, labels))
        for each in calls:
            found[_key(each, by)].calls += _whole(each.value)
        if calls:
            break
    for each in source.read(Query(_UNPRICED, period, labels)):
        unpriced = found[_key(each, by)].unpriced
        reason = each.labels.get("kpi_llm_reason", "")
        if each.value:
            unpriced[reason] = unpriced.get(reason, 0) + _whole(each.value)
    for counts in found.values():
        counts.cost = {currency: cost.quantize(_NINE) for currency, cost in counts.cost.items() if cost}
    return dict(found)


def _key(series: Series, by: Sequence[str]) -> Key:
    labels = series.labels
    # A call that asks for no model, as an agent's or a deployment's may, has the one that answered.
    return tuple(
        labels.get(DIMENSIONS[name]) or (labels.get(_ANSWERED_BY) if name == "model" else None) or "-"
        for name in by
    )


def _whole(value: Decimal) -> int:
    return int(value.to_integral_value())


def _sum(counts: Iterable[Counts]) -> Counts:
    total = Counts()
    for each in counts:
        total.calls += each.calls
        for into, given in ((total.tokens, each.tokens), (total.unpriced, each.unpriced)):
            for name, value in given.items():
                into[name] = into.get(name, 0) + value
        for currency, cost in each.cost.items():
            total.cost[currency] = total.cost.get(currency, _ZERO) + cost
    return total


# --- money


def _rates(source: Source, currency: str | None) -> dict[tuple[str, str], Decimal]:
    if currency is None:
        return {}
    found = source.latest([_RATE], {_TO: currency}).get(_RATE, [])
    return {(each.labels.get(_FROM, ""), currency): each.value for each in found}


def _converted(
    counted: dict[Key, Counts], rates: Mapping[tuple[str, str], Decimal], currency: str | None
) -> dict[Key, Counts]:
    if currency is None:
        return counted
    for counts in counted.values():
        given, counts.cost = counts.cost, {}
        for each, cost in given.items():
            rate = rates.get((each, currency))
            into, amount = (each, cost) if rate is None else (currency, (cost * rate).quantize(_NINE))
            counts.cost[into] = counts.cost.get(into, _ZERO) + amount
    return counted


def _outlook(source: Source, only: Mapping[str, str]) -> dict[str, Outlook]:
    """What the rules say: of all, of a tenant or of a model; of anything else they know nothing."""
    scope = {
        (): "environment",
        ("environment",): "environment",
        ("tenant",): "tenant",
        ("environment", "tenant"): "tenant",
        ("model",): "model",
        ("environment", "model"): "model",
    }.get(tuple(sorted(only)))
    if scope is None:
        return {}
    names = {f"{scope}:kpi_llm_spend:{name}": name for name in _OUTLOOK}
    labels = {DIMENSIONS[name]: value for name, value in only.items()}
    amounts: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    for name, series in source.latest(names, labels).items():
        for each in series:
            of_currency = amounts[each.labels.get(_CURRENCY, "")]
            of_currency[names[name]] = of_currency.get(names[name], _ZERO) + each.value
    return {
        currency: Outlook(*(_rounded(each.get(name)) for name in _OUTLOOK))
        for currency, each in amounts.items()
    }


def _rounded(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(_NINE)
