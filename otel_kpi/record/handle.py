"""What every handle does: find the series of attribute values, within the budgets of the declaration."""

from __future__ import annotations

import logging
import os
import re
import threading
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from otel_kpi.record.number import reason
from otel_kpi.record.postponed import record_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from opentelemetry.trace import SpanContext

    from otel_kpi.model import Attribute, Instrument

    Label = str | int | bool | None
    First = tuple[float, int, SpanContext]
    """A value, when it was recorded in nanoseconds since 1970, and the span in which it was."""

_logger = logging.getLogger("otel_kpi.record")

OTHER: Final = "other"
"""What is recorded for a value that is beyond the budget or not among the members."""
UNKNOWN: Final = "unknown"
"""What is recorded for a value that is required and missing."""
_OVERFLOW: Final = {"otel.metric.overflow": True}
_NUMBERS: Final = frozenset({int, float})
_LARGEST: Final = 2**63
"""OTLP has 64 bits for a whole number."""
_NO_LABEL: Final = object()
_PLAIN: Final = frozenset({str, int, bool, type(None)})
_LONGEST: Final = 128
"""Characters of an attribute's value; what is longer is text, not a value."""

I_co = TypeVar("I_co", bound="Instrument", covariant=True)


class Sums(Protocol):
    """Takes many values of a histogram at once."""

    def takes(self, histogram: Any, bounds: Sequence[float]) -> bool:
        """Whether a histogram of opentelemetry-api has these buckets, and sums that can be added to."""
        ...

    def first(self, histogram: Any, attributes: Mapping[str, Any], first: First) -> None:
        """Record one value, which may become an exemplar."""
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
        self.followed: Mapping[str, Sequence[Instrument]] = {}

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

    def follows(self, name: str) -> bool:
        """Whether something that is recorded follows from each value of an instrument."""
        return any(self.name_of(target) is not None for target in self.followed.get(name, ()))


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


def _is_heard() -> bool:
    """Whether somebody looks at what is recorded: without an SDK a library's helpers are silent."""
    provider = CHOICES.provider or metrics.get_meter_provider()
    return not type(provider).__module__.startswith("opentelemetry.metrics")


class Handle(Generic[I_co]):
    """What every handle does: find the series of attribute values, within the budgets."""

    def __init__(self, declaration: I_co, scope: str = "otel_kpi") -> None:
        self.declaration = declaration
        self.scope = scope
        self._lock = threading.RLock()
        self._made: dict[MeterProvider | None, Any] = {}
        self.name: str | None = None
        self.shared = False
        """Whether others record in the same series, so that what is counted here is not all of it."""
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
        record_waiting()
        return tuple(self._series.values())

    def _empty(self) -> None:
        self._came: dict[tuple[Any, ...], Cell] = {}
        self._series: dict[tuple[Any, ...], Cell] = {}
        self._known: list[set[Any]] = [set() for _ in self.declaration.attributes]

    def _find(self, values: tuple[Any, ...]) -> Cell | None:
        """The series of these values, made if there is room; None when the instrument is not recorded."""
        if self._instrument is None:
            return None
        losses: list[tuple[str, str, int]] = []
        most = self.declaration.most_series
        with self._lock:
            admitted = self._admit(values, losses)
            cell = self._series.get(admitted)
            if cell is None and len(self._series) >= most:
                losses.append(("", "attribute sets", most))
                admitted = ()
                cell = self._series.get(admitted)
                if cell is None:
                    cell = self._series[admitted] = self._cell(_OVERFLOW)
            if cell is None:
                named = zip(self.declaration.attributes, admitted, strict=True)
                attributes = {each.name: value for each, value in named if value is not None}
                cell = self._series[admitted] = self._cell(attributes)
            # What has no room is counted each time that it comes, and objects of the application's are not kept.
            if not losses and len(self._came) < 3 * most and all(map(_is_plain, values)):
                self._came[values] = cell
        for loss in losses:
            self._overflowed(*loss)
        return cell

    def series(self, *values: Label) -> tuple[Any, Mapping[str, Any]] | None:
        """The instrument of opentelemetry-api and the attributes of one series, for who records there by themselves.

        None when the instrument is not recorded.
        """
        cell = self._came.get(values) or self._find(values)
        self.shared = True
        return None if cell is None else (self._instrument, cell.attributes)

    def _cell(self, attributes: Mapping[str, Any]) -> Cell:
        return Cell(attributes)

    def _admit(self, values: tuple[Any, ...], losses: list[tuple[str, str, int]]) -> tuple[Any, ...]:
        declared = self.declaration.attributes
        if len(values) > len(declared):
            losses.append(("", "attribute values", len(declared)))
        given = (*values, *(None,) * len(declared))
        return tuple(
            self._value(attribute, value, known, losses)
            for attribute, value, known in zip(declared, given, self._known, strict=False)
        )

    def _value(
        self, attribute: Attribute, value: Any, known: set[Any], losses: list[tuple[str, str, int]]
    ) -> Label:
        value = _plain(value)
        if value is None or value == "":
            return UNKNOWN if attribute.required else None
        if value is _NO_LABEL:
            losses.append((attribute.name, "texts of 128 characters, numbers and booleans", 0))
            return OTHER
        if value in known or value in (OTHER, UNKNOWN):
            return value
        if attribute.members and value not in attribute.members and not attribute.budget:
            losses.append((attribute.name, f"members ({', '.join(attribute.members)})", 0))
            return OTHER
        if len(known) >= attribute.values:
            losses.append((attribute.name, "values", attribute.values))
            return OTHER
        known.add(value)
        return value

    def _known_as(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """Give the values under which a series is kept, if there is one."""
        declared = self.declaration.attributes
        given = (*map(_plain, values), *(None,) * len(declared))
        return tuple(
            (UNKNOWN if attribute.required else None) if value is None or value == "" else value
            for attribute, value in zip(declared, given, strict=False)
        )

    def _overflowed(self, attribute: str, what: str, most: int) -> None:
        if not self._counts_losses:
            LOSSES.overflowed(self.declaration.name, attribute or "otel.metric.overflow")
        if (attribute, what) not in self._warned and _is_heard():
            self._warned.add((attribute, what))
            where = (
                f"attribute {attribute!r} of {self.declaration.name}" if attribute else self.declaration.name
            )
            bound = f"at most {most} {what}" if most else f"only {what}"
            _logger.warning("%s takes %s; further ones are counted as %r", where, bound, OTHER)

    def _dropped(self, value: Any) -> None:
        """Count a value that was not recorded, and say the first."""
        if not self._counts_losses:
            self._lose(reason(value))

    def _failed(self, value: Any = 0) -> None:
        """Count a value that was not recorded since something raised: it was no number, or the fault is elsewhere."""
        if not self._counts_losses:
            self._lose("error" if type(value) in _NUMBERS else reason(value))

    def _lose(self, why: str) -> None:
        LOSSES.dropped(self.declaration.name, why)
        if ("", why) not in self._warned and _is_heard():
            self._warned.add(("", why))
            _logger.warning(
                "a value of %s was not recorded (%s); further ones are counted in otel_kpi.dropped_values",
                self.declaration.name,
                why,
            )

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
                yield Observation(
                    float(value) if isinstance(value, int) and abs(value) >= _LARGEST else value,
                    cell.attributes,
                )


def _plain(value: Any) -> Any:
    """Give a text or a number of Python's own, None, or `_NO_LABEL`: a subclass may compare and hash as it likes."""
    # By its type and not by `isinstance`, which asks the object.
    if issubclass(type(value), Enum):
        value = value.value
    kind = type(value)
    if value is None or kind is bool:
        return value
    if issubclass(kind, int):
        whole = int.__add__(value, 0)
        return whole if -_LARGEST <= whole < _LARGEST else _NO_LABEL
    if not issubclass(kind, str) or str.__len__(value) > _LONGEST:
        return _NO_LABEL
    # Half a surrogate pair, as names of files have them, can be sent to nobody.
    return str.encode(value, errors="replace").decode()


def _is_plain(value: Any) -> bool:
    """Say whether a value is small, and hashes and compares as Python's own do."""
    return type(value) in _PLAIN or issubclass(type(value), Enum)
