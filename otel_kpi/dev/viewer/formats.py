"""Numbers as a person reads them: durations, counts, tokens, money, values of attributes. Pure functions to text."""

from __future__ import annotations

import base64
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Value

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
_MICROSECOND: Final = 1_000
_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_CENT: Final = Decimal("0.01")
_SIGNIFICANT: Final = 3


def _three(number: float) -> str:
    """Three digits that matter: 1.24, 12.4, 124."""
    if number < 9.995:  # noqa: PLR2004 - where rounding brings one more digit
        return f"{number:.2f}"
    return f"{number:.1f}" if number < 99.95 else f"{number:.0f}"  # noqa: PLR2004 - the same


def duration(nanoseconds: float | None) -> str:  # noqa: PLR0911 - one for each unit
    """A duration with the unit that fits: `870 ns`, `12.4 µs`, `412 ms`, `1.24 s`, `2 min 3 s`, `5 h 12 min`."""
    if nanoseconds is None:
        return "–"
    if nanoseconds < 0:
        return f"-{duration(-nanoseconds)}"
    if nanoseconds < _MICROSECOND:
        return f"{nanoseconds:.0f} ns"
    if nanoseconds < 999.5 * _MICROSECOND:
        return f"{_three(nanoseconds / _MICROSECOND)} µs"
    if nanoseconds < 999.5 * _MILLISECOND:
        return f"{_three(nanoseconds / _MILLISECOND)} ms"
    if nanoseconds < 59.95 * _SECOND:
        return f"{_three(nanoseconds / _SECOND)} s"
    seconds = round(nanoseconds / _SECOND)
    if seconds < _HOUR // _SECOND:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < _DAY // _SECOND:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def count(number: float | None) -> str:
    """A number in full, with commas; unknown is a dash."""
    if number is None:
        return "–"
    return f"{number:,.6g}" if isinstance(number, float) and not number.is_integer() else f"{int(number):,}"


def tokens(number: float | None) -> str:
    """A number in short: `812`, `12.3k`, `4.1M`."""
    if number is None:
        return "–"
    for factor, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if abs(number) >= factor * 0.9995:
            return f"{_three(number / factor)}{letter}"
    return count(number)


def money(amount: Decimal | None, currency: str = "USD") -> str:
    """An amount in its currency: cents from one cent on, three digits that matter below; unknown is a dash."""
    if amount is None:
        return "–"
    if amount and abs(amount) < _CENT:
        # As many decimals as three digits need, and never an exponent.
        amount = amount.quantize(Decimal(1).scaleb(amount.adjusted() - _SIGNIFICANT + 1), ROUND_HALF_EVEN)
        text = f"{amount:f}".rstrip("0")
    else:
        text = f"{amount.quantize(_CENT, ROUND_HALF_EVEN):,f}"
    symbol = _SYMBOLS.get(currency)
    if symbol is None:
        return f"{text} {currency}"
    return f"-{symbol}{text[1:]}" if text.startswith("-") else f"{symbol}{text}"


def bytes_(number: float | None) -> str:
    """A size: `812 B`, `12.3 kB`, `4.1 MB`."""
    if number is None:
        return "–"
    for factor, unit in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")):
        if number >= factor:
            return f"{_three(number / factor)} {unit}"
    return f"{number:.0f} B"


def percent(share: float | None) -> str:
    """A share of one in percent, with a digit more near the ends: `42 %`, `99.6 %`, `0.4 %`."""
    if share is None:
        return "–"
    number = share * 100
    return f"{number:.0f} %" if 10 <= number <= 90 or number in {0, 100} else f"{number:.1f} %"  # noqa: PLR2004 - the ends


def value(value: Value) -> str:
    """A value of an attribute as text: text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"bytes {base64.b64encode(value).decode()}"
    if isinstance(value, dict | list):
        return orjson.dumps(value, default=_other, option=orjson.OPT_NON_STR_KEYS).decode()
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _other(value: object) -> str:
    """What JSON has no word for."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
