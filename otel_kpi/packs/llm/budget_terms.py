"""Budgets as a person writes them, `day=50 EUR; tenant acme month=1000 EUR`. Pure.

An entry is what it is for, a period and an amount:

    day=50 EUR                       all calls of a day
    month=1000 EUR                   all calls of a month
    tenant acme day=10 EUR           those of one tenant
    tenant "acme corp" day=10 EUR    the same, of a name with a space
    tenant * month=200 EUR           those of each tenant that has no entry of its own

Entries are separated by semicolons or line breaks. Days and months are those of UTC.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Period = Literal["day", "month"]

EACH: Final = "*"
"""Stands for every tenant that has no budget of its own."""
_ENTRY: Final = re.compile(
    r"""(?: tenant \s+ (?: "(?P<quoted>[^"]+)" | (?P<plain>[^\s="]+) ) \s+ )? (?P<period>\w+) \s* = \s* (?P<amount>.*)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_PARTS: Final = re.compile(r"""(?:"[^"\n]*"|[^;\n])+""")
_MONEY: Final = re.compile(r"(?P<amount>\d{1,15}(?:\.\d{1,9})?)\s*(?P<currency>[A-Za-z]{3})", re.ASCII)
_SIGNS: Final = {"€": "EUR", "£": "GBP", "₹": "INR", "$": "USD, CAD, AUD, …", "¥": "JPY or CNY"}
_PERIODS: Final = ("day", "month")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount and its currency.

    Attributes:
        amount: More than 0.
        currency: ISO 4217.
    """

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent in a period before somebody is told.

    Attributes:
        period: `day` or `month`, of UTC.
        limit: How much.
        tenant: For whom; None is all calls, `*` each tenant that has no budget of its own.
    """

    period: Period
    limit: Money
    tenant: str | None = None

    @property
    def scope(self) -> str:
        """`overall` or `tenant`."""
        return "overall" if self.tenant is None else "tenant"

    def __str__(self) -> str:
        whose = "" if self.tenant is None else f"tenant {self.tenant} "
        return f"{whose}{self.period}={self.limit}"


def money(text: str) -> Money:
    """Read an amount, `0.50 USD`.

    Raises:
        ValueError: It is none; the message says what to write.
    """
    stripped = text.strip()
    found = _MONEY.fullmatch(stripped)
    if found is None:
        raise ValueError(_what_to_write(stripped))
    amount = Decimal(found["amount"])
    if not amount:
        raise ValueError("a budget of nothing is crossed by every call: write an amount above 0")
    return Money(amount, found["currency"].upper())


def _what_to_write(text: str) -> str:
    for sign, code in _SIGNS.items():
        if sign in text:
            return f"write the currency as its code ({code}): 50 EUR"
    if re.fullmatch(r"[\d.]+", text):
        return f"an amount has a currency: {text} EUR, {text} USD"
    if "," in text:
        return "write the amount with a point and without separators: 1000.50 EUR"
    return "write an amount above 0 and the code of its currency: 50 EUR"


def parse(text: str) -> tuple[tuple[Budget, ...], tuple[str, ...]]:
    """Read entries; what cannot be read is named, and the others count.

    Returns:
        The budgets, and a sentence for each entry that is not used.
    """
    budgets: dict[tuple[str | None, str], Budget] = {}
    problems: list[str] = []
    for part in _PARTS.findall(text):
        entry = " ".join(part.split())
        if not entry:
            continue
        try:
            budget = _read(entry)
        except ValueError as error:
            problems.append(f"{entry!r} is not used: {error}")
            continue
        if (budget.tenant, budget.period) in budgets:
            problems.append(f"{entry!r} is not used: there is one for the same {budget.period} before it")
            continue
        budgets[budget.tenant, budget.period] = budget
    return tuple(budgets.values()), tuple(problems)


def _read(entry: str) -> Budget:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise ValueError("write day=50 EUR, month=1000 EUR or tenant acme day=10 EUR")
    tenant: str | None = found["quoted"] or found["plain"]
    limit = money(found["amount"])
    match found["period"].lower():
        case "day":
            return Budget("day", limit, tenant)
        case "month":
            return Budget("month", limit, tenant)
        case other:
            raise ValueError(f"{other!r} is no period: {' and '.join(_PERIODS)} are")
