"""What is wrong with declarations: naming, units, budgets, and names that meet in Prometheus.

Pure functions: packs in, sentences out. The rules are those of
https://opentelemetry.io/docs/specs/semconv/general/naming/ and of how Prometheus translates; an instrument whose
name a document fixes says in `exempt` why it breaks one, and an exemption that nothing needs is a problem, too.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from otel_kpi.model.instrument import Counter, Histogram, UpDownCounter
from otel_kpi.model.prometheus import label_name, series_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_kpi.model.attribute import Attribute
    from otel_kpi.model.instrument import Instrument
    from otel_kpi.model.pack import Pack

MOST_VALUES = 200
"""Distinct values of one attribute at most: more than that is an id."""
MOST_SERIES = 2_000
"""Attribute sets at which opentelemetry-sdk overflows."""

_NAME = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
_NAMESPACED = re.compile(rf"(?:\{{[a-z]+\}}|{_NAME})(?:\.{_NAME})+")
_BARE = re.compile(_NAME)
_UNIT_WORDS = frozenset({
    "seconds", "milliseconds", "minutes", "hours", "bytes", "kilobytes", "megabytes", "percent", "ratio", "total",
})  # fmt: skip
_UNITS = re.compile(r"\{[a-z_]+\}|s|By|[A-Z][a-z]*(?:/s)?")
# Prometheus has them on every series, or keeps them for itself.
_RESERVED_LABELS = frozenset({"app", "environment", "instance", "job", "le", "quantile", "version"})
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": (), "gauge": (), "updowncounter": ()}


def problems(packs: Iterable[Pack]) -> list[str]:
    """Everything that is wrong, one sentence each, beginning with the name that it is about."""
    packs = tuple(packs)
    found: list[str] = []
    for pack in packs:
        for instrument in pack.instruments:
            found += [f"{instrument.name}: {each}" for each in _of_instrument(instrument, pack.name)]
        for span in pack.spans:
            found += [f"{span.id}: {each}" for each in _of_text(span.brief, span.source)]
        for event in pack.events:
            found += [f"{event.name}: {each}" for each in _of_text(event.brief, event.source)]
            if not _NAMESPACED.fullmatch(event.name):
                found.append(f"{event.name}: an event's name is lower case, with a namespace")
        names = {each.name for each in pack.instruments}
        found += [f"{each.old}: was renamed and is still there" for each in pack.renamed if each.old in names]
    return [*found, *_of_all(packs)]


def _of_instrument(instrument: Instrument, pack: str) -> Iterator[str]:
    naming = list(_of_name(instrument, pack))
    if instrument.exempt and not naming:
        yield "has an exemption that nothing needs"
    if not instrument.exempt:
        yield from naming
    computed = series_name(instrument.name, instrument.unit, instrument.kind)
    if instrument.prometheus and instrument.prometheus != computed:
        yield f"Prometheus makes {computed} of it, not {instrument.prometheus}"
    if not _UNITS.fullmatch(instrument.unit):
        yield f"unit {instrument.unit!r}: things are counted in {{thing}}, time in s, volume in By"
    yield from _of_text(instrument.brief, instrument.source)
    labels = [label_name(each.name) for each in instrument.attributes]
    if len(set(labels)) < len(labels):
        yield "has two attributes that are one label in Prometheus"
    for attribute in instrument.attributes:
        yield from _of_attribute(attribute)
    if instrument.most_series > MOST_SERIES:
        yield f"may have {instrument.most_series} series; at {MOST_SERIES} OpenTelemetry overflows"
    yield from _of_kind(instrument)


def _of_kind(instrument: Instrument) -> Iterator[str]:
    if isinstance(instrument, Histogram):
        bounds = instrument.buckets
        if not bounds or list(bounds) != sorted(set(bounds)) or not all(map(math.isfinite, bounds)):
            yield "buckets are finite and ascending, and there is at least one"
    if isinstance(instrument, Counter | UpDownCounter):
        for values in instrument.initial:
            yield from _of_initial(values, instrument.attributes)


def _of_name(instrument: Instrument, pack: str) -> Iterator[str]:
    name = instrument.name
    if not _NAMESPACED.fullmatch(name):
        yield "a name is lower case, with a namespace, its words parted by underscores"
    last = name.rpartition(".")[2].split("_")
    if words := _UNIT_WORDS.intersection(last):
        yield f"its name says {', '.join(sorted(words))}, which the unit says"
    if not name.startswith(("kpi.", "otel_kpi.", f"{pack}.")) and "OpenTelemetry" not in instrument.source:
        yield f"is outside of kpi. and {pack}., and no convention of OpenTelemetry"
    for attribute in instrument.attributes:
        # What telemetry says of itself meets nobody else's names.
        if "." not in attribute.name and not attribute.source and not name.startswith("otel_kpi."):
            yield f"attribute {attribute.name} has no namespace and no source that fixes it"


def _of_attribute(attribute: Attribute) -> Iterator[str]:
    if not _NAMESPACED.fullmatch(attribute.name) and not _BARE.fullmatch(attribute.name):
        yield f"attribute {attribute.name!r} is not lower case"
    if label_name(attribute.name) in _RESERVED_LABELS:
        yield f"attribute {attribute.name} is a label that Prometheus gives to every series"
    if attribute.type not in {"string", "int", "boolean"}:
        yield f"attribute {attribute.name} is a {attribute.type}, which no series has"
    if attribute.values <= 0:
        yield f"attribute {attribute.name} has no budget"
    if attribute.values > MOST_VALUES:
        yield f"attribute {attribute.name} may have {attribute.values} values; at most {MOST_VALUES}"
    if not attribute.brief.endswith("."):
        yield f"attribute {attribute.name}: a brief is a sentence"


def _of_text(brief: str, source: str) -> Iterator[str]:
    if not brief.endswith(".") or not brief[:1].isupper() or "\n" in brief:
        yield "a brief is one sentence"
    if not source:
        yield "nobody asked for it: it has no source"


def _of_initial(values: tuple[str, ...], attributes: tuple[Attribute, ...]) -> Iterator[str]:
    if len(values) != len(attributes):
        yield f"initial {values} has {len(values)} values for {len(attributes)} attributes"
        return
    for value, attribute in zip(values, attributes, strict=True):
        if attribute.members and not attribute.budget and value not in attribute.members:
            yield f"initial {value!r} is no member of {attribute.name}"


def _of_all(packs: tuple[Pack, ...]) -> Iterator[str]:
    """What two declarations have against each other."""
    owners: dict[str, list[str]] = defaultdict(list)
    series: dict[str, set[str]] = defaultdict(set)
    for pack in packs:
        for instrument in pack.instruments:
            owners[instrument.name].append(pack.name)
            for suffix in _SUFFIXES[instrument.kind] or ("",):
                series[instrument.series_name + suffix].add(instrument.name)
    for name, those in owners.items():
        if len(those) > 1:
            yield f"{name}: is declared in {' and '.join(those)}"
    for name, those in series.items():
        if len(those) > 1:
            first, *others = sorted(those)
            yield f"{first}: is {name} in Prometheus, as {', '.join(others)} is"
    yield from _of_types(packs)


def _of_types(packs: tuple[Pack, ...]) -> Iterator[str]:
    types: dict[str, dict[str, str]] = defaultdict(dict)
    for pack in packs:
        for where, attribute in _attributes(pack):
            types[attribute.name].setdefault(attribute.type, where)
    for name, places in types.items():
        if len(places) > 1:
            said = ", ".join(f"{kind} in {where}" for kind, where in places.items())
            yield f"{name}: is of several types: {said}"


def _attributes(pack: Pack) -> Iterator[tuple[str, Attribute]]:
    for instrument in pack.instruments:
        yield from ((instrument.name, each) for each in instrument.attributes)
    for span in pack.spans:
        yield from ((span.id, each) for each in span.attributes)
    for event in pack.events:
        yield from ((event.name, each) for each in event.attributes)
