"""What a user says of prices: of models of their own, of gateways, of what they negotiated. Pure."""

from __future__ import annotations

import fnmatch
import functools
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from otel_kpi.packs.llm.prices.exchange import seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from decimal import Decimal

    from otel_kpi.packs.llm.prices.tariff import Rate

ANY_TIER: Final = "*"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which calls a rule is for; what is not said is any.

    Attributes:
        endpoints: Patterns of addresses.
        provider: One word for a provider, as `providers.canonical` gives it.
        models: Patterns of model names, in lower case.
        tiers: Service tiers; empty is the standard one alone, `*` is any.
        processing: `batch`, `*`, or None for what is not in a batch.
    """

    endpoints: tuple[str, ...] = ()
    provider: str | None = None
    models: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    processing: str | None = None

    def takes(
        self,
        address: str | None,
        provider: str | None,
        model: str | None,
        tier: str | None,
        processing: str | None,
    ) -> bool:
        """Whether a call is meant: its address, one word for its provider, its model in lower case."""
        if self.endpoints and (address is None or not any(_leads(each, address) for each in self.endpoints)):
            return False
        if self.provider is not None and self.provider != provider:
            return False
        if self.models and (model is None or not any(_pattern(each).match(model) for each in self.models)):
            return False
        if self.processing not in {ANY_TIER, processing}:
            return False
        return ANY_TIER in self.tiers or (tier in self.tiers if self.tiers else tier is None)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one entry of the user's file says.

    Attributes:
        place: Where it stands: `prices.yaml: prices[2]`.
        selector: Which calls it is for.
        currency: Of its rates.
        rates: By the units' price keys; None where the table's hold.
        per_second: Of the call.
        per_call: Each.
        override: Rates in the place of single ones of the table.
        factor: By which the table's rates are multiplied.
        alias: The provider of the table whose prices hold there.
        model: The model of the table whose prices hold.
        since: First day.
        until: First day on which it holds no more.
        source: Address or words of where the rates come from.
    """

    place: str
    selector: Selector
    currency: str | None = None
    rates: Mapping[str, Rate] | None = None
    per_second: Decimal | None = None
    per_call: Decimal | None = None
    override: Mapping[str, Rate] = field(default_factory=lambda: MappingProxyType({}))
    factor: Decimal | None = None
    alias: str | None = None
    model: str | None = None
    since: date | None = None
    until: date | None = None
    source: str | None = None

    @property
    def own(self) -> bool:
        """Whether it says all that a price takes, so that the table is not asked."""
        return self.rates is not None or self.per_second is not None or self.per_call is not None

    @property
    def begins(self) -> float:
        """Seconds since 1970."""
        return seconds_of(self.since) if self.since is not None else float("-inf")

    @property
    def ends(self) -> float:
        """Seconds since 1970."""
        return seconds_of(self.until) if self.until is not None else float("inf")


def choose(rules: tuple[Rule, ...], taken: list[Rule], at: float) -> Rule | None:
    """The rule that holds.

    Args:
        rules: All, in the order of the file.
        taken: Those of them that are for the call.
        at: When it was made, in seconds since 1970.

    Of rules for the same calls the one that began last; of others the first in the file.
    """
    holding = [rule for rule in taken if rule.begins <= at < rule.ends]
    if not holding:
        return None
    order = {rule.selector: number for number, rule in reversed(list(enumerate(rules)))}
    first = min(order[rule.selector] for rule in holding)
    same = [rule for rule in holding if order[rule.selector] == first]
    return max(same, key=lambda rule: rule.begins)


@functools.lru_cache(maxsize=1024)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _leads(pattern: str, address: str) -> bool:
    """Whether an address is a pattern's or below it; a pattern without a scheme is for both."""
    seen = address if "://" in pattern else address.partition("://")[2]
    pattern = pattern.rstrip("/")
    return any(_pattern(each).match(seen.rstrip("/")) is not None for each in (pattern, f"{pattern}/*"))
