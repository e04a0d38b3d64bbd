"""Rates between currencies, which only the user gives: nothing is fetched, nothing is assumed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY: Final = 86_400
_WRITTEN = re.compile(r"([A-Za-z]{3}):([A-Za-z]{3})=([0-9.]+)(?:@(\d{4}-\d{2}-\d{2}))?")
_CURRENCY = re.compile(r"[A-Z]{3}")
ACCEPTS: Final = "FROM:TO=rate, with @YYYY-MM-DD from when: USD:EUR=0.92@2026-11-01"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One unit of `native` is `rate` of `currency`.

    Attributes:
        native: The currency of the price.
        currency: That into which it is converted.
        rate: By which the amount is multiplied.
        since: From which day on; None is always.
    """

    native: str
    currency: str
    rate: Decimal
    since: date | None = None

    @property
    def begins(self) -> float:
        """Seconds since 1970."""
        return seconds_of(self.since) if self.since is not None else float("-inf")

    def __str__(self) -> str:
        since = f" since {self.since}" if self.since is not None else ""
        return f"1 {self.native} = {self.rate} {self.currency}{since}"


def seconds_of(day: date) -> float:
    """The first second of a day, UTC, since 1970."""
    return float((day.toordinal() - date(1970, 1, 1).toordinal()) * DAY)


def currency_of(written: str) -> str:
    """A currency by its code of ISO 4217.

    Raises:
        ValueError: It is not three letters.
    """
    code = written.strip().upper()
    if _CURRENCY.fullmatch(code) is None:
        raise ValueError(f"{written!r} is no currency; write its three letters, for example EUR")
    return code


def read(written: str) -> Exchange:
    """Read `USD:EUR=0.92@2026-11-01`.

    Raises:
        ValueError: It is not written like that, or the rate is not above 0.
    """
    found = _WRITTEN.fullmatch(written.strip())
    if found is None:
        raise ValueError(f"{written!r} is no exchange rate; write {ACCEPTS}")
    native, currency, rate, since = found.groups()
    try:
        value = Decimal(rate)
    except InvalidOperation:
        raise ValueError(f"{written!r} is no exchange rate; write {ACCEPTS}") from None
    if value <= 0:
        raise ValueError(f"{written!r}: the rate of an exchange is above 0")
    return Exchange(native.upper(), currency.upper(), value, date.fromisoformat(since) if since else None)


def in_force(exchanges: Iterable[Exchange], native: str, currency: str, at: float) -> Exchange | None:
    """The exchange between two currencies that began last; of two that began together the later in the list."""
    found = [
        each
        for each in exchanges
        if each.native == native and each.currency == currency and each.begins <= at
    ]
    return max(reversed(found), key=lambda each: each.begins, default=None)
