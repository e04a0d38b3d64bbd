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
    if name[:1].isdigit():
        return f"key_{name}"
    # Names with two are Prometheus's own.
    return f"key{name}" if name.startswith("_") and not name.startswith("__") else name


def series_name(name: str, unit: str, kind: str) -> str:
    """The name of a series; of a histogram without `_bucket`, `_sum`, `_count`.

    Args:
        name: The instrument's.
        unit: In UCUM; annotations in braces vanish.
        kind: `counter`, `updowncounter`, `gauge` or `histogram`.
    """
    parts = [part for part in re.split(r"[^0-9a-zA-Z:]+", name) if part]
    # A unit that the name has anywhere stays where it is; `total` and `ratio` move to the end.
    main, per = _unit_suffixes(unit)
    if main in parts:
        main = ""
    if per == "per_":
        per = ""
    per = per.removesuffix("_")
    if per in parts:
        per = ""
    if per:
        main = main.removesuffix("_")
    parts += [suffix for suffix in (main, per) if suffix]
    last = "total" if kind == "counter" else "ratio" if kind == "gauge" and unit == "1" else ""
    if last:
        parts = [*(part for part in parts if part != last), last]
    joined = "_".join(parts)
    return f"_{joined}" if joined[:1].isdigit() else joined


def unit_name(unit: str) -> str:
    """The unit in Prometheus's metadata: `seconds`, `bytes_per_second`; empty for things that are counted."""
    return "_".join(suffix for suffix in _unit_suffixes(unit) if suffix).strip("_")


def _unit_suffixes(unit: str) -> tuple[str, str]:
    main, _, per = unit.partition("/")
    main, per = _without_annotation(main), _without_annotation(per)
    return _word(_UNITS.get(main, main)), _word(f"per_{_PER.get(per, per)}") if per else ""


def _without_annotation(unit: str) -> str:
    return "" if "{" in unit or "}" in unit else unit.strip()


def _word(unit: str) -> str:
    return re.sub(r"__+", "_", re.sub(r"[^0-9a-zA-Z:]", "_", unit)).removeprefix("_")
