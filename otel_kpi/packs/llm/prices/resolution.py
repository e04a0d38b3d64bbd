"""From what is known of a call to the rates that hold for it: once for each kind of call, and until they change."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.llm.prices import providers
from otel_kpi.packs.llm.prices.amounts import (
    NO_MODEL,
    NO_RATE,
    UNKNOWN_MODEL,
    UNKNOWN_PROCESSING,
    UNKNOWN_PROVIDER,
    UNKNOWN_TIER,
)
from otel_kpi.packs.llm.prices.exchange import DAY, in_force, seconds_of
from otel_kpi.packs.llm.prices.tariff import Rate, Tariff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.packs.llm.prices.exchange import Exchange
    from otel_kpi.packs.llm.prices.rules import Rule
    from otel_kpi.packs.llm.prices.table import Model, Provider, Table
    from otel_kpi.packs.llm.prices.units import Unit

_STANDARD: Final = frozenset({"", "default", "standard", "auto", "on_demand", "on-demand", "standard_only"})
"""Words of providers for the tier whose rates are the plain ones."""

_BATCH: Final = "batch"
_LONGEST: Final = 256  # characters of a name; no model's is longer, and expressions of the data run over it

_LEAST: Final = MappingProxyType(
    {
        ("groq", "whisper-large-v3"): MappingProxyType({"audio_seconds": 10, "input_audio_seconds": 10}),
        ("groq", "whisper-large-v3-turbo"): MappingProxyType(
            {"audio_seconds": 10, "input_audio_seconds": 10}
        ),
    }
)
"""Groq bills ten seconds of audio at least. genai-prices has that in its code (`ModelInfo.calc_price`), not in its data."""

_FREE: Final = ":free"


@dataclass(frozen=True, slots=True)
class Book:
    """All that prices come from.

    Attributes:
        table: The table.
        rules: What the user's file says.
        label: The file's name and day.
        currency: Into which prices are converted; None leaves them.
        exchanges: With what.
    """

    table: Table
    rules: tuple[Rule, ...] = ()
    label: str = ""
    currency: str | None = None
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """What decides the rates of a call, beside its time."""

    provider: str | None
    endpoint: str | None
    model: str | None
    tier: str | None
    processing: str | None


@dataclass(slots=True)
class Resolved:
    """The rates that hold for a kind of call, or why there are none.

    Attributes:
        since: From when, in seconds since 1970.
        until: And until when.
        tariff: The rates; None where there are none.
        reason: Then why.
        provider: As the table has it.
        model: As the table or the user's file has it.
        version: Of the rates.
        native: The currency of the rates.
        exchange: By what the amount is converted.
        sources: Where the rates come from.
        trail: How they were found, for a person.
    """

    since: float = float("-inf")
    until: float = float("inf")
    tariff: Tariff | None = None
    reason: str = ""
    provider: str | None = None
    model: str = ""
    version: str = ""
    native: str = ""
    exchange: Exchange | None = None
    sources: tuple[str, ...] = ()
    trail: list[str] = field(default_factory=list[str])


def resolve(book: Book, kind: Kind, at: float) -> Resolved:
    """Find the rates of a kind of call at a time, in seconds since 1970."""
    return _Resolution(book, kind, at).run()


class _Resolution:
    def __init__(self, book: Book, kind: Kind, at: float) -> None:
        self._book = book
        self._kind = kind
        self._at = at
        self._found = Resolved()
        self._address = providers.address_of(kind.endpoint) if kind.endpoint else None
        self._model = (kind.model or "").lower()
        self._context, self._tier, self._processing = _context(kind.tier, kind.processing)

    def run(self) -> Resolved:
        """Ask the user's file, then the table."""
        found = self._found
        name = self._kind.model or ""
        if max(len(name), len(self._kind.provider or ""), len(self._address or "")) > _LONGEST:
            return self._nothing(UNKNOWN_MODEL, f"a name of more than {_LONGEST} characters")
        provider, model, how = providers.find(
            self._book.table, self._kind.provider, self._address, self._model
        )
        rule = self._rule(provider)
        if rule is not None and rule.own:
            self._own(rule)
        else:
            if rule is not None and rule.alias is not None:
                provider = self._book.table.providers[rule.alias]
                how = f"{rule.place} prices it as {rule.alias}"
            if rule is not None and rule.model is not None:
                model = rule.model.lower()
                found.trail.append(f"model: {rule.place} prices it as {rule.model!r}")
            found.trail.append(f"provider: {provider.id if provider else 'unknown'}, {how}")
            if not model:
                return self._nothing(NO_MODEL, "no model is known")
            if provider is None:
                return self._nothing(UNKNOWN_PROVIDER)
            self._of_table(provider, model, rule)
        if found.tariff is not None:
            self._convert()
        return found

    # --- the user's file

    def _rule(self, provider: Provider | None) -> Rule | None:
        rules = self._book.rules
        if not rules:
            return None
        from otel_kpi.packs.llm.prices.rules import choose  # most have no file, and its import takes 2 ms

        word = provider.id if provider is not None else None
        if word is None and self._kind.provider is not None:
            said = providers.canonical(self._book.table, self._kind.provider)
            # An SDK calls every server that speaks its language by its own provider's name.
            word = said if said not in self._book.table.providers else None
        taken = [
            rule
            for rule in rules
            if rule.selector.takes(self._address, word, self._model or None, self._tier, self._processing)
        ]
        for rule in taken:
            self._changes(rule.begins, rule.ends)
        rule = choose(rules, taken, self._at)
        if rule is not None:
            since = f", since {rule.since}" if rule.since is not None else ""
            self._found.trail.append(f"rule: {rule.place} is for this call{since}")
        return rule

    def _own(self, rule: Rule) -> None:
        found, units = self._found, self._book.table.units
        rates = {units.by_price_key[key]: rate for key, rate in (rule.rates or {}).items()}
        found.tariff = Tariff(
            units, rates, per_second=rule.per_second, per_call=rule.per_call, free=not rates
        )
        found.model = self._kind.model or ""
        found.version = self._book.label
        found.native = rule.currency or ""
        found.sources = (rule.source,) if rule.source else ()
        found.trail.append(f"rates: those of {rule.place}, in {found.native}")

    # --- the table

    def _of_table(self, provider: Provider, name: str, rule: Rule | None) -> None:
        found, book = self._found, self._book
        model, owner, written = providers.find_model(book.table, provider, name)
        if model is None:
            self._nothing(UNKNOWN_MODEL, f"{provider.id} has no model {name!r}")
            return
        lent = f", whose models {provider.id} serves" if owner is not provider else ""
        as_written = f", read as {written!r}" if written != name else ""
        found.trail.append(f"model: {model.id} of {owner.id}{lent}{as_written}")
        found.provider, found.model = provider.id, model.id
        rates = self._standard(model)
        # A tier of the one who made the model is not a tier of the one who serves it.
        unknown = self._vary(model if owner is provider else None, rates, provider, model)
        if rule is not None and rule.override:
            units = book.table.units.by_price_key
            rates.update({units[key]: rate for key, rate in rule.override.items()})
            found.trail.append(f"rates: {', '.join(rule.override)} of {rule.place}")
            unknown = None
        if unknown is not None:
            self._nothing(unknown)
            return
        free = model.id.endswith(_FREE)
        if not rates and not free:
            self._nothing(NO_RATE, "the data have no rate of it")
            return
        if (wrong := book.table.units.uncovered(rates)) is not None:
            self._nothing(NO_RATE, wrong)
            return
        if rule is not None and rule.factor is not None:
            rates = {unit: rate.times(rule.factor) for unit, rate in rates.items()}
            found.trail.append(f"rates: multiplied by {rule.factor}, as {rule.place} says")
        least = _LEAST.get((provider.id, model.id))
        found.tariff = Tariff(book.table.units, rates, least=least, free=free)
        found.version = f"{book.table.label} × {book.label}" if rule is not None else book.table.label
        found.native = book.table.currency
        found.sources = (*((rule.source,) if rule is not None and rule.source else ()), *model.sources)

    def _standard(self, model: Model) -> dict[Unit, Rate]:
        prices = model.prices
        if not prices or not isinstance(prices[0], list):
            return self._read(prices)
        chosen = prices[0]
        for pair in prices:  # the last that is fulfilled
            if self._holds(pair[0]):
                chosen = pair
        if len(prices) > 1:
            self._found.trail.append(f"rates: those {_said(chosen[0])}")
        return self._read(chosen[1])

    def _vary(
        self, model: Model | None, rates: dict[Unit, Rate], provider: Provider, known: Model
    ) -> str | None:
        """Put the rates of a tier in the place of the standard ones; gives the reason where the data have none."""
        needed = {_TIER: self._tier, _PROCESSING: self._processing}
        overrides: dict[Unit, Rate] = {}
        for when, condition, flat in model.variants if model is not None else ():
            if not self._holds(condition):
                continue
            if not all(self._context.get(key) == value for key, value in when.items()):
                continue
            for unit, rate in self._read(flat).items():
                overrides.setdefault(unit, rate)
            for key in when:
                needed.pop(_PROCESSING if key == _PROCESSING else _TIER, None)
            said = ", ".join(f"{key}={value}" for key, value in when.items())
            self._found.trail.append(f"rates: those for {said}, {_said(condition)}")
        rates.update(overrides)
        if needed.get(_TIER) is not None:
            self._found.trail.append(f"{provider.id} has no rates of {known.id} for the tier {self._tier!r}")
            return UNKNOWN_TIER
        if needed.get(_PROCESSING) is not None:
            self._found.trail.append(f"{provider.id} has no rates of {known.id} for {self._processing!r}")
            return UNKNOWN_PROCESSING
        return None

    def _read(self, flat: list[Any]) -> dict[Unit, Rate]:
        units = self._book.table.units.listed
        return {units[flat[place]]: _rate(flat[place + 1]) for place in range(0, len(flat), 2)}

    # --- time

    def _holds(self, condition: Any) -> bool:
        if not condition:
            return True
        if isinstance(condition, str):
            begins = seconds_of(date.fromisoformat(condition))
            self._changes(begins)
            return self._at >= begins
        start, end = (60.0 * minutes for minutes in condition)
        midnight = self._at // DAY * DAY
        self._changes(midnight, midnight + start, midnight + end, midnight + DAY)
        clock = self._at - midnight
        return clock >= start or clock < end if end < start else start <= clock < end

    def _changes(self, *moments: float) -> None:
        """Note when something else may hold."""
        found = self._found
        for moment in moments:
            if found.since < moment <= self._at:
                found.since = moment
            elif self._at < moment < found.until:
                found.until = moment

    # --- the end

    def _convert(self) -> None:
        found, book = self._found, self._book
        if book.currency is None or book.currency == found.native:
            return
        for each in book.exchanges:
            if each.native == found.native and each.currency == book.currency:
                self._changes(each.begins)
        found.exchange = in_force(book.exchanges, found.native, book.currency, self._at)
        if found.exchange is None:
            found.trail.append(f"currency: there is no rate from {found.native} to {book.currency}; it stays")
        else:
            found.trail.append(f"currency: {found.exchange}")

    def _nothing(self, reason: str, why: str | None = None) -> Resolved:
        self._found.reason = reason
        if why is not None:
            self._found.trail.append(why)
        return self._found


_TIER: Final = "service_tier"
_SPEED: Final = "speed"
_PROCESSING: Final = "processing"


def _context(tier: str | None, processing: str | None) -> tuple[Mapping[str, str], str | None, str | None]:
    """What the data's variants ask for, the tier and the way of processing.

    A tier is what the provider reports: `flex`, `priority`, Anthropic's `fast`, which the data call a speed; or
    `route=mistral/eu`, a variant by the data's own name.
    """
    tier = (tier or "").strip().lower()
    processing = (processing or "").strip().lower() or None
    if tier == _BATCH:  # as Anthropic reports the results of a batch
        tier, processing = "", processing or _BATCH
    name, equals, value = tier.partition("=")
    context = {name: value} if equals else {_TIER: tier, _SPEED: tier}
    if processing in _STANDARD:
        processing = None
    if processing is not None:
        context[_PROCESSING] = processing
    return context, None if tier in _STANDARD else tier, processing


def _rate(written: Any) -> Rate:
    if isinstance(written, list):
        base, *steps = written
        pairs = ((steps[place], Decimal(steps[place + 1])) for place in range(0, len(steps), 2))
        return Rate(Decimal(base), tuple(pairs))
    return Rate(Decimal(written))


def _said(condition: Any) -> str:
    if not condition:
        return "without a condition"
    if isinstance(condition, str):
        return f"since {condition}"
    start, end = (f"{minutes // 60:02}:{minutes % 60:02}" for minutes in condition)
    return f"from {start} to {end} UTC"
