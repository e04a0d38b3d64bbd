"""What a call of a language model costs, from the data of genai-prices and from what the user says.

`price()` answers in microseconds, from a table that travels with this package; nothing is fetched. What is not known
has no price and says why: an unknown model is never free.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi.packs.llm.prices.amounts import FAILED, Line, Pending, Price, Unpriced
from otel_kpi.packs.llm.prices.book import CURRENT, Prices, bill
from otel_kpi.packs.llm.prices.exchange import Exchange, currency_of
from otel_kpi.packs.llm.prices.exchange import read as read_exchange

if TYPE_CHECKING:
    from collections.abc import Iterable
    from decimal import Decimal

    from otel_kpi.packs.llm.usage import Usage

__all__ = [
    "Exchange",
    "Line",
    "Pending",
    "Price",
    "Unpriced",
    "convert",
    "current",
    "prepare",
    "price",
    "use",
]

_logger = logging.getLogger("otel_kpi.packs.llm.prices")

FILE: Final = "OTEL_KPI_PRICES_FILE"
CURRENCY: Final = "OTEL_KPI_CURRENCY"
RATES: Final = "OTEL_KPI_CURRENCY_RATES"

_KEEP: Final[Any] = object()


def price(  # noqa: PLR0913 - what is known of a call
    *,
    provider: str | None,
    endpoint: str | None,
    model: str | None,
    usage: Usage,
    tier: str | None = None,
    processing: str | None = None,
    at: float | None = None,
    seconds: float | None = None,
) -> Price | Unpriced:
    """What a call costs. Never raises, and never waits: 2 µs for a kind of call that was seen before.

    Args:
        provider: `gen_ai.provider.name`; not asked where an endpoint is known.
        endpoint: The address that was called: `https://api.openai.com/v1`. One that no provider has is somebody's
            own, and unknown unless the price file has it.
        model: The model that answered.
        usage: What it used.
        tier: As the provider reports it: `flex`, `priority`, `fast`.
        processing: `batch` for a call by a batch API.
        at: When it was made, in seconds since 1970; now, if it is not said.
        seconds: How long it took, for what is billed by time.

    Returns:
        The price; or `Unpriced` with the reason in one word. `Pending` is the one that will have a price as soon as
        the user's file is read.
    """
    try:
        prices = CURRENT.prices or current()
        if at is None:
            at = time.time()
        resolved = prices.known.get((provider, endpoint, model, tier, processing))
        if resolved is not None and resolved.since <= at < resolved.until:
            return bill(resolved, usage, seconds)
        return prices.price(provider, endpoint, model, usage, tier, processing, at, seconds)
    except Exception as error:
        _failed(error)
        return Unpriced(FAILED)


def convert(
    amount: Decimal, currency: str, *, at: float | None = None
) -> tuple[Decimal, str, Exchange | None]:
    """An amount that somebody else worked out, in the currency of costs. Never raises.

    Args:
        amount: What was charged.
        currency: In which currency.
        at: When, in seconds since 1970; now, if it is not said.

    Returns:
        The amount, its currency, and with what it was converted; where there is no rate they are what they were.
    """
    try:
        return current().convert(amount, currency.upper(), at)
    except Exception as error:
        _failed(error)
        return amount, currency, None


def prepare(*, wait: bool = False) -> None:
    """Read the table, and begin to read the user's file, before the first call. Never raises.

    Args:
        wait: Until the file has been read.
    """
    try:
        current().prepare()
        if wait:
            current().book()
    except Exception as error:
        _failed(error)


def use(
    *,
    file: str | None = _KEEP,
    currency: str | None = _KEEP,
    rates: Iterable[str | Exchange] = _KEEP,
) -> None:
    """Choose where prices come from; what is not given is as the environment says.

    Args:
        file: The user's price file, YAML or JSON (`OTEL_KPI_PRICES_FILE`).
        currency: Into which amounts are converted where there is a rate (`OTEL_KPI_CURRENCY`).
        rates: Rates of exchange, `USD:EUR=0.92@2026-11-01` (`OTEL_KPI_CURRENCY_RATES`).

    What cannot be used is a line in the log.
    """
    environ = os.environ
    given = environ.get(FILE) if file is _KEEP else file
    CURRENT.prices = Prices(
        given or None,
        _currency(environ.get(CURRENCY) if currency is _KEEP else currency),
        _exchanges(environ.get(RATES, "").split(",") if rates is _KEEP else rates),
    )


def current() -> Prices:
    """Where the prices of this process come from."""
    if CURRENT.prices is None:
        use()
    return cast("Prices", CURRENT.prices)


def _currency(written: str | None) -> str | None:
    if not written:
        return None
    try:
        return currency_of(written)
    except ValueError as error:
        _logger.warning("%s: %s; prices stay in their own currency", CURRENCY, error)
        return None


def _exchanges(written: Iterable[str | Exchange]) -> tuple[Exchange, ...]:
    found: list[Exchange] = []
    for each in written:
        if isinstance(each, Exchange):
            found.append(each)
        elif each.strip():
            try:
                found.append(read_exchange(each))
            except ValueError as error:
                _logger.warning("%s: %s; it is not used", RATES, error)
    return tuple(found)


_failures: Final[set[str]] = set()


def _failed(error: Exception) -> None:
    """One line for each kind of failure."""
    kind = type(error).__name__
    if kind not in _failures and len(_failures) < 32:  # noqa: PLR2004 - kinds of errors that are remembered
        _failures.add(kind)
        _logger.warning("a call has no price; the application is not affected", exc_info=error)
