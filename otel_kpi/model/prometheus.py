"""What Prometheus makes of OpenTelemetry's names, with the translation `UnderscoreEscapingWithSuffixes`.

Pure functions. The rules: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ and
the library `otlptranslator` that Prometheus uses.
"""

from __future__ import annotations

import re

_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
    "Hz": "hertz", "%": "percent", "1": "",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def label_name(attribute: str) -> str:
    """The label of an attribute: what is not a letter, digit or underscore becomes an underscore."""
    name = re.sub(r"[^0-9a-zA-Z_]", "_", attribute)
    return f"key_{name}" if name[:1].isdigit() else name


def series_name(name: str, unit: str, kind: str) -> str:
    """The name of a series; of a histogram without `_bucket`, `_sum`, `_count`.

    Args:
        name: The instrument's.
        unit: In UCUM; annotations in braces vanish.
        kind: `counter`, `updowncounter`, `gauge` or `histogram`.
    """
    parts = [part for part in re.split(r"[^0-9a-zA-Z:]+", name) if part]
    for suffix in _unit_suffixes(unit):
        if suffix in parts:
            parts.remove(suffix)
        parts.append(suffix)
    if kind == "counter":
        if "total" in parts:
            parts.remove("total")
        parts.append("total")
    if kind == "gauge" and unit == "1":
        if "ratio" in parts:
            parts.remove("ratio")
        parts.append("ratio")
    joined = "_".join(parts)
    return f"_{joined}" if joined[:1].isdigit() else joined


def _unit_suffixes(unit: str) -> list[str]:
    main, _, per = unit.partition("/")
    suffixes: list[str] = []
    main, per = _without_annotation(main), _without_annotation(per)
    if main and (word := _UNITS.get(main, _word(main))):
        suffixes.append(word)
    if per and (word := _PER.get(per, _word(per))):
        suffixes.append(f"per_{word}")
    return suffixes


def _without_annotation(unit: str) -> str:
    return "" if "{" in unit else unit.strip()


def _word(unit: str) -> str:
    return re.sub(r"[^0-9a-zA-Z]+", "_", unit).strip("_")
