"""What every handle does: find the series of attribute values, within the budgets of the declaration."""

from __future__ import annotations

import logging
import math
import os
import re
import threading
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import Observation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from otel_kpi.model import Attribute, Instrument

    Label = str | int | bool | None

_logger = logging.getLogger("otel_kpi.record")

OTHER: Final = "other"
"""What is recorded for a value that is beyond the budget or not among the members."""
UNKNOWN: Final = "unknown"
"""What is recorded for a value that is required and missing."""
_OVERFLOW: Final = {"otel.metric.overflow": True}
MOST: Final = 2**53
"""Above it neighbouring whole numbers are one double: nothing that is counted one by one gets there."""
_LONGEST: Final = 128
"""Characters of an attribute's value; what is longer is text, not a value."""

I_co = TypeVar("I_co", bound="Instrument", covariant=True)


class Sums(Protocol):
    """Takes many values of a histogram at once."""

    def takes(self, histogram: Any, bounds: Sequence[float]) -> bool:
        """Whether a histogram of opentelemetry-api has these buckets, and sums that can be added to."""
        ...

    def add(
        self, histogram: Any, attributes: Mapping[str, Any], values: tuple[Sequence[int], float, float, float]
    ) -> None:
        """Add the counts of the buckets, the sum, the least and the greatest value to a series."""
        ...


class Choices:
    """Which provider the handles record with, and which compatibility series there are."""

    def __init__(self) -> None:
        self.provider: MeterProvider | None = None
        self.compatibility = os.environ.get("OTEL_KPI_COMPATIBILITY_SERIES", "true").lower() != "false"
        self.prefixes: dict[str, str] = {}
        self.sums: Sums | None = None
        self.followed: frozenset[str] = frozenset()

    def name_of(self, declaration: Instrument) -> str | None:
        """The name under which an instrument is recorded; None when it is not."""
        if declaration.compatibility and not self.compatibility:
            return None
        domain = re.match(r"\{(\w+)\}", declaration.name)
        if domain is None:
            return declaration.name
        prefix = self.prefixes.get(domain[1]) or os.environ.get(f"OTEL_KPI_{domain[1].upper()}_PREFIX", "")
        if not re.fullmatch(r"[A-Za-z][\w.]*", prefix, re.ASCII):
            return None
        return prefix + declaration.name[domain.end() :]


class Losses:
    """Where what was not recorded is counted; nowhere until there are handles for it."""

    def __init__(self) -> None:
        self.dropped: Callable[[str, str], None] = lambda _instrument, _reason: None
        self.overflowed: Callable[[str, str], None] = lambda _instrument, _attribute: None


CHOICES: Final = Choices()
HANDLES: Final[list[Handle[Any]]] = []
LOSSES: Final = Losses()


class Cell:
    """One series: its attributes as OpenTelemetry takes them, and what was counted."""

    __slots__ = ("attributes", "value")

    def __init__(self, attributes: Mapping[str, Any], value: Any = 0) -> None:
        self.attributes = attributes
        self.value = value


class Handle(Generic[I_co]):
    """What every handle does: find the series of attribute values, within the budgets."""

    def __init__(self, declaration: I_co, scope: str = "otel_kpi") -> None:
        self.declaration = declaration
        self.scope = scope
        self._lock = threading.RLock()
        self._made: dict[MeterProvider | None, Any] = {}
        self.name: str | None = None
        self._instrument: Any = None
        """That of opentelemetry-api; None when it is not recorded."""
        # Those that count losses would count themselves without end.
        self._counts_losses = declaration.name in {"otel_kpi.dropped_values", "otel_kpi.overflowed_values"}
        self._warned: set[tuple[str, str]] = set()
        self._empty()
        HANDLES.append(self)

    def begin(self) -> None:
        """Make the instrument of opentelemetry-api, and report what is there from the start; never raises."""
        try:
            self._register()
            self._begin()
        except Exception:
            _logger.debug("an instrument could not be made", exc_info=True)

    def forget(self) -> None:
        """Begin with nothing counted and unused budgets."""
        with self._lock:
            self._empty()
            self._warned.clear()

    def renew(self) -> None:
        """Begin with nothing counted in a forked child, where the lock may be held for ever."""
        self._lock = threading.RLock()
        self._empty()

    def cells(self) -> tuple[Cell, ...]:
        """Every series, as it is now."""
        return tuple(self._series.values())

    def _empty(self) -> None:
        self._came: dict[tuple[Any, ...], Cell] = {}
        self._series: dict[tuple[Any, ...], Cell] = {}
        self._known: list[set[Any]] = [set() for _ in self.declaration.attributes]

    def _find(self, values: tuple[Any, ...]) -> Cell | None:
        """The series of these values, made if there is room; None when the instrument is not recorded."""
        lines: list[str] = []
        with self._lock:
            if self._instrument is None:
                return None
            admitted = self._admit(values, lines)
            cell = self._series.get(admitted)
            if cell is None and len(self._series) >= self.declaration.most_series:
                self._overflowed("", "attribute sets", self.declaration.most_series, lines)
                admitted = ()
                cell = self._series.get(admitted)
                if cell is None:
                    cell = self._series[admitted] = self._cell(_OVERFLOW)
            if cell is None:
                named = zip(self.declaration.attributes, admitted, strict=True)
                attributes = {each.name: value for each, value in named if value is not None}
                cell = self._series[admitted] = self._cell(attributes)
            # What came and was changed is remembered as far as that is bounded.
            if values == admitted or len(self._came) < 2 * self.declaration.most_series:
                try:
                    self._came[values] = cell
                except TypeError:
                    pass  # something without a hash among them
        for line in lines:
            _logger.warning("%s", line)
        return cell

    def series(self, *values: Label) -> tuple[Any, Mapping[str, Any]] | None:
        """The instrument of opentelemetry-api and the attributes of one series, for who records there by themselves.

        None when the instrument is not recorded.
        """
        cell = self._came.get(values) or self._find(values)
        return None if cell is None else (self._instrument, cell.attributes)

    def _cell(self, attributes: Mapping[str, Any]) -> Cell:
        return Cell(attributes)

    def _admit(self, values: tuple[Any, ...], lines: list[str]) -> tuple[Any, ...]:
        declared = self.declaration.attributes
        if len(values) > len(declared):
            self._overflowed("", "attribute values", len(declared), lines)
        given = (*values, *(None,) * len(declared))
        return tuple(
            self._value(attribute, value, known, lines)
            for attribute, value, known in zip(declared, given, self._known, strict=False)
        )

    def _value(self, attribute: Attribute, value: Any, known: set[Any], lines: list[str]) -> Label:
        if isinstance(value, Enum):
            value = value.value
        if value is None or value == "":
            return UNKNOWN if attribute.required else None
        if not isinstance(value, str | int) or (isinstance(value, str) and len(value) > _LONGEST):
            self._overflowed(attribute.name, "texts of 128 characters, numbers and booleans", 0, lines)
            return OTHER
        if value in known or value in (OTHER, UNKNOWN):
            return value
        if attribute.members and value not in attribute.members and not attribute.budget:
            self._overflowed(attribute.name, f"members ({', '.join(attribute.members)})", 0, lines)
            return OTHER
        if len(known) >= attribute.values:
            self._overflowed(attribute.name, "values", attribute.values, lines)
            return OTHER
        known.add(value)
        return value

    def _overflowed(self, attribute: str, what: str, most: int, lines: list[str]) -> None:
        if not self._counts_losses:
            LOSSES.overflowed(self.declaration.name, attribute or "otel.metric.overflow")
        if (attribute, what) not in self._warned:
            self._warned.add((attribute, what))
            where = (
                f"attribute {attribute!r} of {self.declaration.name}" if attribute else self.declaration.name
            )
            bound = f"at most {most} {what}" if most else f"only {what}"
            lines.append(f"{where} takes {bound}; further ones are counted as {OTHER!r}")

    def _dropped(self, value: Any) -> None:
        """Count a value that was not recorded."""
        if not self._counts_losses:
            LOSSES.dropped(self.declaration.name, _reason(value))

    def _register(self) -> None:
        """Make the instrument of opentelemetry-api.

        At once and not with the first measurement: that may come from a callback, while opentelemetry-sdk holds the
        lock that a new instrument waits for.
        """
        self.name = name = CHOICES.name_of(self.declaration)
        provider = CHOICES.provider
        if name is None:
            self._instrument = None
            return
        if provider not in self._made:
            get_meter = metrics.get_meter if provider is None else provider.get_meter
            self._made = {key: made for key, made in self._made.items() if key is None}
            self._made[provider] = self._make(get_meter(self.scope), name)
        self._instrument = self._made[provider]

    def _make(self, meter: Meter, name: str) -> Any:
        raise NotImplementedError

    def _begin(self) -> None:
        """Report what is there from the start."""

    def _readings(self, _options: CallbackOptions) -> Iterable[Observation]:
        for cell in self.cells():
            value = cell.value
            if value is not None:
                # OTLP has 64 bits for a whole number.
                yield Observation(
                    float(value) if isinstance(value, int) and abs(value) >= 2**63 else value, cell.attributes
                )


def _reason(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not_a_number"
    if not math.isfinite(value):
        return "not_finite"
    return "too_large" if abs(value) >= MOST else "negative" if value < 0 else "out_of_range"
