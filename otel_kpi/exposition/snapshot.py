"""What a process has measured, as a file: written by one, read by those who add up.

A file is taken for what it says only after every part of it was looked at: it may be cut off, of another version, or
somebody else's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from otel_kpi.exposition.exponential import Exponential
from otel_kpi.exposition.families import Distribution, Families, Family, Kind
from otel_kpi.exposition.labels import is_label_text
from otel_kpi.exposition.totals import Identity, Member

if TYPE_CHECKING:
    from otel_kpi.exposition.families import Value

FORMAT: Final = "otel-kpi exposition 1"
LARGEST: Final = 32 * 1024 * 1024
"""Bytes of a file; 10,000 series have about two million."""
_KINDS: Final = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file.

    Attributes:
        parts: One of the process that wrote it; of those that have ended one for each identity.
        folded: Keys of the processes that are in it, whose own files may still be there.
    """

    parts: tuple[Member, ...]
    folded: frozenset[str] = frozenset()


def encode(snapshot: Snapshot) -> bytes:
    """Write a snapshot."""
    bounds: dict[tuple[float, ...], int] = {}
    parts = [
        {
            "instance": part.identity.instance,
            "labels": part.identity.labels,
            "target": part.identity.target,
            "time": part.time,
            "families": [
                [
                    family.name,
                    family.kind,
                    family.brief,
                    family.unit,
                    {text: _plain(value, bounds) for text, value in family.series.items()},
                ]
                for family in part.families.values()
            ],
        }
        for part in snapshot.parts
    ]
    document = {"format": FORMAT, "folded": sorted(snapshot.folded), "parts": parts, "bounds": list(bounds)}
    return json.dumps(document, separators=(",", ":")).encode()


def decode(body: bytes) -> Snapshot:
    """Read a snapshot.

    Raises:
        ValueError: It is not one; says why.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})"[:100]) from None
    try:
        if document["format"] != FORMAT:
            raise ValueError("it is of another version")
        bounds = [tuple(_number(bound) for bound in each) for each in document["bounds"]]
        folded = frozenset(_text(key) for key in document["folded"])
        return Snapshot(tuple(_member(part, bounds) for part in document["parts"]), folded)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"a part of it is missing or of another kind ({error})"[:100]) from None


def _plain(value: Value, bounds: dict[tuple[float, ...], int]) -> Any:
    match value:
        case Distribution():
            at = bounds.setdefault(value.bounds, len(bounds))
            return [at, value.total, value.counts]
        case Exponential():
            return {
                "scale": value.scale,
                "zero": value.zero,
                "positive": value.positive,
                "negative": value.negative,
                "total": value.total,
            }
        case _:
            return value


def _member(part: Any, bounds: list[tuple[float, ...]]) -> Member:
    identity = Identity(_text(part["instance"]), _labels(part["labels"]), _labels(part["target"]))
    families: Families = {}
    for name, kind, brief, unit, series in part["families"]:
        if kind not in _KINDS or not _is_name(name):
            raise ValueError(f"it has a family {name!r} of kind {kind!r}"[:100])
        values = {
            _labels(text): _value(value, bounds, kind)
            for text, value in cast("dict[str, Any]", series).items()
        }
        families[name] = Family(name, kind, _text(brief), _text(unit), values)
    return Member(identity, families, _number(part["time"]))


def _value(value: Any, bounds: list[tuple[float, ...]], kind: str) -> Value:
    if kind != "histogram":
        return _number(value)
    if isinstance(value, list):
        at, total, counts = cast("list[Any]", value)
        found = bounds[_count(at)]
        if len(counts) != len(found) + 1:
            raise ValueError("it has a histogram with too few or too many buckets")
        return Distribution(found, tuple(_count(count) for count in counts), _number(total))
    return Exponential(
        _whole(value["scale"]),
        _count(value["zero"]),
        tuple((_whole(index), _count(count)) for index, count in value["positive"]),
        tuple((_whole(index), _count(count)) for index, count in value["negative"]),
        _number(value["total"]),
    )


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.replace(":", "_").isidentifier() and name.isascii()


def _labels(text: Any) -> str:
    if not is_label_text(_text(text)):
        raise ValueError("it has a series whose labels cannot be read")
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of text")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} instead of a number")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{type(value).__name__} instead of a whole number")
    return value


def _count(value: Any) -> int:
    if _whole(value) < 0:
        raise ValueError("it has a count below zero")
    return value
