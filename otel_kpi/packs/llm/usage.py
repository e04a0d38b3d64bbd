"""What a call used, as its provider reported it, and the classes of tokens that follow from it. Pure.

The keys are the units of genai-prices, which name everything that any provider bills: `input_tokens` with all that was
sent, `cache_read_tokens` and `input_audio_tokens` as parts of it, `output_tokens` with `output_reasoning_tokens` as a
part, `web_searches`. Providers that leave the cached tokens out of the input are put right where they are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MOST: Final = 2**53
"""Beyond it no count and no amount is one; it would not fit into what is exported either."""
FAULTS: Final = frozenset({"negative", "not_a_number", "inconsistent"})
"""Why a report cannot be true."""
_MODALITIES: Final = ("audio", "image", "video", "text")
"""Text last: what a provider leaves without a modality, as most do of what is cached, is text."""

_PARTS: Final = MappingProxyType(
    {
        "input_tokens": ("cache_read_tokens", "cache_write_tokens", "input_tool_tokens"),
        "output_tokens": ("output_reasoning_tokens", "output_citation_tokens"),
    }
)
"""Of what a whole is made beside its plain rest; each token is in one part."""

_WHOLES: Final = tuple(_PARTS.items())

_CLASSES: Final = MappingProxyType(
    {
        "input_tokens": "input",
        "cache_read_tokens": "cache_read",
        "cache_write_tokens": "cache_write",
        "input_tool_tokens": "tool",
        "output_tokens": "output",
        "output_reasoning_tokens": "reasoning",
        "output_citation_tokens": "citation",
    }
)


def _of_modality(key: str, modality: str) -> str:
    """`cache_read_tokens` of `audio` is `cache_audio_read_tokens`."""
    before, _, after = key.partition("_")
    return f"{before}_{modality}_{after}"


_BY_MODALITY: Final = MappingProxyType(
    {key: tuple((each, _of_modality(key, each)) for each in _MODALITIES) for key in _CLASSES}
)

_OF_A_MODALITY: Final = frozenset(part for pairs in _BY_MODALITY.values() for _, part in pairs)

_DETAILS: Final = (
    *((key, tuple(part for _, part in pairs)) for key, pairs in _BY_MODALITY.items()),
    ("cache_write_tokens", ("cache_write_5m_tokens", "cache_write_1h_tokens")),
    # What is cached of a modality and the modality are told side by side, and are no sum.
    *(
        (_of_modality(whole, modality), (_of_modality(part, modality),))
        for whole, parts in _WHOLES
        for part in parts
        for modality in _MODALITIES
    ),
)
"""Parts that few report: those of one line are together no more than their whole."""
_DETAILED: Final = frozenset(part for _, parts in _DETAILS for part in parts)
_IN_FRACTIONS: Final = "_seconds"
"""How units end of which there are fractions; of all others there are whole ones only."""


@dataclass(slots=True)  # not frozen: that would take as long as the reading
class Usage:
    """What a call used.

    Attributes:
        counts: By unit; only what the provider reported. Whole numbers, but of seconds.
        fault: Why the report cannot be true: `negative`, `not_a_number`, `inconsistent` (a part is more than its
            whole); None where it can.
    """

    counts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fault: str | None = None

    @classmethod
    def read(cls, counts: Mapping[str, Any]) -> Usage:
        """Read a report; what is None in it was not reported. Never raises."""
        read: dict[str, Any] = {}
        for key, value in counts.items():
            if value is None:
                continue
            if type(value) is not int:
                value = _number(key, value)  # noqa: PLW2901 - the same number
                if value is None:
                    return cls(fault="not_a_number")
            if not 0 <= value < MOST:
                return cls(fault="negative" if value < 0 else "not_a_number")
            read[key] = value
        if not _fit(read, _WHOLES) or not (_DETAILED.isdisjoint(read) or _fit(read, _DETAILS)):
            return cls(fault="inconsistent")
        return cls(read)

    def classes(self) -> Iterator[tuple[str, str, int]]:
        """Give the class, the modality and the number of tokens, each token once and no class of none.

        What is cached and of which modality is often reported side by side: then the part of the cache comes first,
        and the modality has what is left.
        """
        counts = self.counts
        plain = _OF_A_MODALITY.isdisjoint(counts)
        for whole, parts in _WHOLES:
            rest = counts.get(whole)
            if rest is None:
                continue
            taken: dict[str, int] = {}
            for part in parts:
                if total := counts.get(part, 0):
                    rest -= total
                    if plain:
                        # As most are: no modality, nothing to share out.
                        yield _CLASSES[part], "unknown", total
                    else:
                        yield from self._shares(part, total, taken)
            if not plain:
                yield from self._shares(whole, rest, taken)
            elif rest > 0:
                yield _CLASSES[whole], "unknown", rest

    def _shares(self, key: str, total: int, taken: dict[str, int]) -> Iterator[tuple[str, str, int]]:
        """Share out `total` tokens of a unit among the modalities; `taken` is what parts before had of each."""
        for modality, part in _BY_MODALITY[key]:
            amount = min(self.counts.get(part, 0) - (taken.get(modality, 0) if key in _PARTS else 0), total)
            if amount > 0:
                total -= amount
                taken[modality] = taken.get(modality, 0) + amount
                yield _CLASSES[key], modality, amount
        if total > 0:
            yield _CLASSES[key], "unknown", total

    def of(self, key: str) -> int | None:
        """The count of a unit; None where it was not reported."""
        return self.counts.get(key)

    def by_modality(self, key: str) -> Iterator[tuple[str, int]]:
        """Give the modalities of a unit of tokens with their number; what nobody says is `unknown`."""
        rest = self.counts.get(key, 0)
        for modality, part in _BY_MODALITY[key]:
            if amount := min(self.counts.get(part, 0), rest):
                rest -= amount
                yield modality, amount
        if rest:
            yield "unknown", rest


def as_reported(counts: Mapping[str, Any]) -> str:
    """Give a report in words, cut to what an attribute of a span may be: of one that cannot be true nothing else is kept."""
    told = ", ".join(f"{key} {value!r:.64}" for key, value in counts.items() if value is not None)
    return told[:512]


def _number(key: str, value: Any) -> Any:
    """Give what is no `int` as a number that a unit may have; None where it is none."""
    if key.endswith(_IN_FRACTIONS):
        # As it came: the arithmetic takes a float by its shortest spelling, which is what a provider wrote.
        return value if type(value) is float or (type(value) is Decimal and value.is_finite()) else None
    # Some APIs have whole numbers as `12.0`; a boolean is not a count.
    return int(value) if type(value) is float and value.is_integer() else None


def _fit(read: Mapping[str, Any], wholes: Iterable[tuple[str, tuple[str, ...]]]) -> bool:
    """Say whether no whole is less than the sum of its parts."""
    for whole, parts in wholes:
        rest = read.get(whole)
        if rest is not None:
            for part in parts:
                rest -= read.get(part, 0)
            if rest < 0:
                return False
    return True
