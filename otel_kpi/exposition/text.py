"""Prometheus's text format 0.0.4, and OpenMetrics 1.0 with exemplars.

https://prometheus.io/docs/instrumenting/exposition_formats/,
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from otel_kpi.exposition.exponential import Exponential
from otel_kpi.exposition.families import Distribution, said_once
from otel_kpi.exposition.labels import bound_text

if TYPE_CHECKING:
    from otel_kpi.exposition.families import Family, Number, Sample, Value
    from otel_kpi.exposition.totals import Totals

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_HISTOGRAM_SUFFIXES = ("", "_bucket", "_sum", "_count", "_created")
_COUNTER_SUFFIXES = ("", "_total", "_created")


def wants_openmetrics(accept: str | None) -> bool:
    """Whether an `Accept` header asks for OpenMetrics before plain text."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for each in (accept or "").split(","):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        if kind in best and _known(kind, parameters):
            best[kind] = max(best[kind], _quality(parameters))
    return best["application/openmetrics-text"] > best["text/plain"]


def written(totals: Totals, *, openmetrics: bool) -> bytes:
    """All families in the order of their names, and the series of each in the order of their labels."""
    lines: list[str] = []
    if totals.targets:
        shown, kind = ("target", "info") if openmetrics else ("target_info", "gauge")
        lines += _head(shown, kind, "Target metadata", "", openmetrics=openmetrics)
        lines += [f"target_info{{{labels}}} 1" for labels in totals.targets]
    taken: dict[str, str] = {"target": "", "target_info": ""}
    for _, family in sorted(totals.families.items()):
        if _has_place(family, taken):
            _write(lines, family, openmetrics=openmetrics, taken=taken)
    if openmetrics:
        lines.append("# EOF")
    return ("\n".join(lines) + "\n").encode("utf-8", "replace") if lines else b""


def _known(kind: str, parameters: list[str]) -> bool:
    versions = [part.partition("=")[2].strip('" ') for part in parameters if part.startswith("version")]
    return not versions or versions[0] in ({"0.0.4"} if kind == "text/plain" else {"0.0.1", "1.0.0"})


def _quality(parameters: list[str]) -> float:
    for part in parameters:
        name, _, value = part.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _has_place(family: Family, taken: dict[str, str]) -> bool:
    """Whether the names of a family's lines are not another's: a reader could not tell them apart."""
    suffixes = _HISTOGRAM_SUFFIXES if family.kind == "histogram" else ("",)
    names = [family.name + suffix for suffix in suffixes]
    for name in names:
        if name in taken:
            said_once(f"{family.name} is left out of the text: {name} is a line of {taken[name] or 'target'}")
            return False
    taken |= dict.fromkeys(names, family.name)
    return True


def _write(lines: list[str], family: Family, *, openmetrics: bool, taken: dict[str, str]) -> None:
    name, kind = family.name, family.kind
    shown, described = name, "gauge" if kind == "updowncounter" else str(kind)
    if openmetrics and kind == "counter":
        base = name.removesuffix("_total")
        free = not any(base + suffix in taken for suffix in _COUNTER_SUFFIXES if base + suffix != name)
        # OpenMetrics names the family without `_total`, where no other family is called that.
        shown, described = (base, "counter") if free and base != name else (name, "unknown")
        taken |= dict.fromkeys((base,) if free else (), name)
    unit = family.unit if openmetrics and family.unit and shown.endswith(f"_{family.unit}") else ""
    lines += _head(shown, described, family.brief, unit, openmetrics=openmetrics)
    for labels, value in sorted(family.series.items()):
        exemplars = family.exemplars.get(labels, {}) if openmetrics and described != "unknown" else {}
        if isinstance(value, Distribution | Exponential):
            _write_histogram(lines, name, labels, value, exemplars, openmetrics=openmetrics)
        elif described != "counter" or not openmetrics or value >= 0:  # OpenMetrics has no NaN here
            braces = f"{{{labels}}}" if labels else ""
            mark = _exemplar(exemplars.get(0)) if exemplars and kind == "counter" else ""
            lines.append(f"{name}{braces} {_number(value)}{mark}")


def _write_histogram(  # noqa: PLR0913 - the parts of its lines
    lines: list[str],
    name: str,
    labels: str,
    value: Distribution | Exponential,
    exemplars: dict[int, Sample],
    *,
    openmetrics: bool,
) -> None:
    start = f'{name}_bucket{{{labels}{"," if labels else ""}le="'
    negative = False
    if isinstance(value, Distribution):
        below = 0
        negative = bool(value.bounds) and value.bounds[0] < 0
        bounds = _bounds(value.bounds, canonical=openmetrics)
        if exemplars:
            for at, (bound, count) in enumerate(zip(bounds, value.counts, strict=True)):
                below += count
                lines.append(f'{start}{bound}"}} {below}{_exemplar(exemplars.get(at))}')
        else:
            for bound, count in zip(bounds, value.counts, strict=True):
                below += count
                lines.append(f'{start}{bound}"}} {below}')
    else:
        negative = bool(value.negative)
        below = value.count()
        for bound, count in value.buckets():
            lines.append(f'{start}{_bound(bound, canonical=openmetrics)}"}} {count}')
        lines.append(f'{start}+Inf"}} {below}')
    braces = f"{{{labels}}}" if labels else ""
    # OpenMetrics has no sum of what may be negative, since it would not only rise, and none that is no number.
    if not openmetrics or (not negative and value.total >= 0):
        lines.append(f"{name}_sum{braces} {_number(value.total)}")
        lines.append(f"{name}_count{braces} {below}")


def _head(name: str, kind: str, brief: str, unit: str, *, openmetrics: bool) -> list[str]:
    lines = [f"# TYPE {name} {kind}"]
    if brief:
        text = brief.replace("\\", "\\\\").replace("\n", "\\n")
        lines.insert(0, f"# HELP {name} " + (text.replace('"', '\\"') if openmetrics else text))
    if unit:
        lines.append(f"# UNIT {name} {unit}")
    return lines


def _exemplar(sample: Sample | None) -> str:
    if sample is None:
        return ""
    labels = f'trace_id="{sample.trace_id}",span_id="{sample.span_id}"' if sample.trace_id else ""
    return f" # {{{labels}}} {_number(sample.value)} {sample.time:.3f}"


def _number(value: Value) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return repr(value)
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    raise TypeError(value)


@lru_cache(maxsize=512)
def _bounds(bounds: tuple[Number, ...], *, canonical: bool) -> tuple[str, ...]:
    return (*(_bound(bound, canonical=canonical) for bound in bounds), "+Inf")


def _bound(bound: float, *, canonical: bool) -> str:
    """A bound; OpenMetrics has `5.0` and `1e+06` where Prometheus has `5` and `1000000`."""
    if not canonical:
        return bound_text(bound)
    value = float(bound)
    text = repr(value)
    if value.is_integer() and abs(value) >= 1e6 and "e" not in text:  # noqa: PLR2004 - from there on Go has an exponent
        digits = str(int(abs(value)))
        mantissa = digits[0] + ("." + digits[1:].rstrip("0") if digits[1:].rstrip("0") else "")
        return f"{'-' if value < 0 else ''}{mantissa}e+{len(digits) - 1:02d}"
    return text
