"""What a call cost, or why nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from otel_kpi.packs.llm.prices.exchange import Exchange
    from otel_kpi.packs.llm.prices.resolution import Resolved

UNKNOWN_PROVIDER: Final = "unknown_provider"
UNKNOWN_MODEL: Final = "unknown_model"
UNKNOWN_TIER: Final = "unknown_tier"
UNKNOWN_PROCESSING: Final = "unknown_processing"
NO_MODEL: Final = "no_model"
NO_USAGE: Final = "no_usage"
NO_RATE: Final = "no_rate"
NO_TABLE: Final = "no_table"
INCONSISTENT_USAGE: Final = "inconsistent_usage"
INCOMPLETE_USAGE: Final = "incomplete_usage"
FAILED: Final = "failed"


class Line(NamedTuple):
    """One line of a bill.

    Attributes:
        unit: What is counted: `input_tokens` that no other line has, `web_searches`, `seconds`.
        quantity: How many.
        rate: The price of `per` of them.
        per: For how many the rate is.
        amount: The price of all, in the native currency.
    """

    unit: str
    quantity: Decimal
    rate: Decimal
    per: int
    amount: Decimal


@dataclass(slots=True, eq=False)  # not frozen: that would take as long as the arithmetic
class Price:
    """What a call cost.

    Attributes:
        amount: In `currency`.
        currency: ISO 4217.
        native_amount: Before it was converted, in `native_currency`.
        missing: Units that were used and for which there is no rate: the amount is without them.
    """

    amount: Decimal
    currency: str
    native_amount: Decimal
    missing: tuple[str, ...]
    _resolved: Resolved = field(repr=False)
    _counts: Mapping[str, Any] = field(repr=False)
    _seconds: float | None = field(repr=False)

    @property
    def source(self) -> Literal["local"]:
        """Who says so: it was worked out here."""
        return "local"

    @property
    def provider(self) -> str | None:
        """The provider, as the table has it; None where the user's file priced the call."""
        return self._resolved.provider

    @property
    def model(self) -> str:
        """The model, as the table or the user's file has it."""
        return self._resolved.model

    @property
    def version(self) -> str:
        """Of the rates, with their date: `genai-prices 0.2.3 2026-11-09`."""
        return self._resolved.version

    @property
    def native_currency(self) -> str:
        """The currency of the rates."""
        return self._resolved.native

    @property
    def exchange(self) -> Exchange | None:
        """With what it was converted, which the user gave; None where it was not."""
        return self._resolved.exchange

    @property
    def lines(self) -> tuple[Line, ...]:
        """What it is made of, in the native currency; worked out when it is asked for."""
        tariff = self._resolved.tariff
        return tariff.lines(self._counts, self._seconds) if tariff is not None else ()


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A call of which nobody knows what it cost.

    Attributes:
        reason: One word: `unknown_provider`, `unknown_model`, `unknown_tier`, `unknown_processing`, `no_model`,
            `no_usage`, `no_rate`, `no_table`, `inconsistent_usage`, `incomplete_usage`, `failed`.
    """

    reason: str


class Pending(Unpriced):
    """A call that came before the user's price file was read; `then` has its price as soon as it is."""

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[Callable[[Price | Unpriced], object]], None]) -> None:
        super().__init__(NO_TABLE)
        object.__setattr__(self, "_wait", wait)

    def then(self, callback: Callable[[Price | Unpriced], object]) -> None:
        """Have `callback` called with the price, on another thread or, where the file has come, at once."""
        self._wait(callback)
