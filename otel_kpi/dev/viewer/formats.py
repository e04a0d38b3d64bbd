"""Numbers as a person reads them: durations, counts, tokens, money, values of attributes. Pure functions to text."""

from __future__ import annotations

import base64
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

import orjson

from otel_kpi.dev.viewer.scales import significant

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.dev.telemetry import Value

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
_PARTS: Final = (
    (999.5, 1, "ns"),
    (999.5e3, 1_000, "µs"),
    (999.5e6, 1_000_000, "ms"),
    (59.95e9, 1_000_000_000, "s"),
)
"""Nanoseconds below which a unit fits once they are rounded, how many it has, its name."""
_WHOLES: Final = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))
"""Seconds of a unit, its name, seconds of the smaller one beside it, its name."""
_ROUNDED: Final = ((9.995, 2), (99.95, 1))
"""Below which a number has how many decimals: rounding brings one more digit."""
_MIDDLE: Final = (10, 90)
_ENDS: Final = (0, 100)
_TENTH: Final = 0.1
_NEAR: Final = 0.05
"""Percent from an end that would be rounded to it."""
_LONGEST: Final = 2**64
"""Nanoseconds: OTLP has no time that is later."""
_CENT: Final = Decimal("0.01")
_SIGNIFICANT: Final = 3


def _three(number: float) -> str:
    """Three digits that matter: 1.24, 12.4, 124."""
    decimals = next((decimals for below, decimals in _ROUNDED if number < below), 0)
    return f"{number:.{decimals}f}"


def duration(nanoseconds: float | None, digits: Callable[[float], str] = _three) -> str:
    """A duration with the unit that fits: `870 ns`, `12.4 µs`, `412 ms`, `1.24 s`, `2 min 3 s`, `5 h 12 min`.

    Args:
        nanoseconds: Unknown is a dash, and so is what no clock can have measured.
        digits: How a number of parts of a minute is written.
    """
    if nanoseconds is None or not abs(nanoseconds) <= _LONGEST:  # so that NaN is none, too
        return "–"
    if nanoseconds < 0:
        return f"-{duration(-nanoseconds, digits)}"
    for below, factor, unit in _PARTS:
        if nanoseconds < below:
            return f"{digits(nanoseconds / factor) if factor > 1 else significant(nanoseconds)} {unit}"
    seconds = round(nanoseconds / _PARTS[-1][1])
    size, unit, part, of_part = next(each for each in _WHOLES if seconds >= each[0])
    rest = seconds % size // part
    return f"{seconds // size} {unit}" + (f" {rest} {of_part}" if rest else "")


def elapsed(nanoseconds: float) -> str:
    """A round duration, as an axis names it: `850 µs`, `1.2 s`, `4 min`."""
    return duration(nanoseconds, significant)


def count(number: float | None) -> str:
    """A number in full, with commas; unknown is a dash."""
    if number is None:
        return "–"
    return f"{number:,.6g}" if isinstance(number, float) and not number.is_integer() else f"{int(number):,}"


def several(number: float, what: str) -> str:
    """How many of something: `1 trace`, `2,000 traces`."""
    return f"{count(number)} {what}{'s' * (number != 1)}"


def tokens(number: float | None) -> str:
    """A number in short: `812`, `12.3k`, `4.1M`."""
    if number is None:
        return "–"
    for factor, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if abs(number) >= factor * 0.9995:
            return f"{_three(number / factor)}{letter}"
    return count(number) if float(number).is_integer() else _three(number)


def money(amount: Decimal | None, currency: str = "USD") -> str:
    """An amount in its currency: cents from one cent on, three digits that matter below; unknown is a dash."""
    if amount is None:
        return "–"
    if amount and abs(amount) < _CENT:
        # As many decimals as three digits need, and never an exponent.
        amount = amount.quantize(Decimal(1).scaleb(amount.adjusted() - _SIGNIFICANT + 1), ROUND_HALF_EVEN)
        text = f"{amount:f}".rstrip("0")
    else:
        text = f"{amount:,.2f}"
    symbol = _SYMBOLS.get(currency)
    if symbol is None:
        return f"{text} {currency}"
    return f"-{symbol}{text[1:]}" if text.startswith("-") else f"{symbol}{text}"


def bytes_(number: float | None) -> str:
    """A size: `812 B`, `12.3 kB`, `4.1 MB`."""
    if number is None:
        return "–"
    for factor, unit in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")):
        if number >= factor * 0.9995:
            return f"{_three(number / factor)} {unit}"
    return f"{number:.0f} B"


def percent(share: float | None) -> str:
    """A share of one in percent, with a digit more near the ends: `42 %`, `99.6 %`; none and all are said of nothing else."""
    if share is None:
        return "–"
    number = share * 100
    if _ENDS[0] < number < _NEAR:
        return f"<{_TENTH} %"
    if _ENDS[1] - _NEAR <= number < _ENDS[1]:
        return f">{_ENDS[1] - _TENTH} %"
    whole = _MIDDLE[0] <= number <= _MIDDLE[1] or number in _ENDS
    return f"{number:.0f} %" if whole else f"{number:.1f} %"


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
