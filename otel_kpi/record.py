"""Handles of declared instruments: tallies in Python, which OpenTelemetry reads when it collects.

A measurement of opentelemetry-sdk takes 6 to 8 µs; adding to a number that a callback reports takes a fraction of
one. So counters and gauges are kept here, by the values of their attributes, and reported through observable
instruments of opentelemetry-api: one report for each series and collection, whatever was counted. Histograms go
through the API one by one, since a distribution cannot be observed and its exemplars lead to traces.

A handle never raises and never waits. Values that make no sense are dropped and counted in
`otel_kpi.dropped_values`; attribute values beyond their budget are recorded as `other`, counted in
`otel_kpi.overflowed_values` and named once in the log. A forked child begins with empty tallies, and so does
whoever calls `clear()`. Without an SDK the tallies are kept all the same, and go out if one is set later.
"""

from __future__ import annotations

import logging
import math
import os
import re
import threading
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from otel_kpi.model import Attribute, Counter, Gauge, Histogram, UpDownCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from otel_kpi.model import Instrument

    Label = str | int | bool | None
    Reading = tuple[Any, ...]
    """A value, then the values of the attributes in declared order."""

_logger = logging.getLogger("otel_kpi.record")

OTHER: Final = "other"
"""What is recorded for a value that is beyond the budget or not among the members."""
UNKNOWN: Final = "unknown"
"""What is recorded for a value that is required and missing."""
_OVERFLOW: Final = {"otel.metric.overflow": True}
_MOST: Final = 2**53
"""Above it neighbouring whole numbers are one double: nothing that is counted one by one gets there."""
_LONGEST: Final = 128
"""Characters of an attribute's value; what is longer is text, not a value."""

DROPPED_VALUES: Final = Counter(
    name="otel_kpi.dropped_values",
    unit="{value}",
    brief="Values that were not recorded, since they make no sense for their instrument.",
    attributes=(
        Attribute(
            name="instrument",
            brief="Name of the instrument.",
            budget=200,
            examples=("kpi.etl.quality_score",),
        ),
        Attribute(
            name="reason",
            brief="What was wrong with the value.",
            members=("not_a_number", "not_finite", "negative", "out_of_range", "too_large", "error"),
        ),
    ),
    source="STYLE: the one place where an error is swallowed counts it",
    series=500,
)
OVERFLOWED_VALUES: Final = Counter(
    name="otel_kpi.overflowed_values",
    unit="{value}",
    brief="Values that were recorded under `other`, since their attribute has no room for more, or no such member.",
    attributes=(
        Attribute(
            name="instrument",
            brief="Name of the instrument.",
            budget=200,
            examples=("kpi.etl.quality_score",),
        ),
        Attribute(name="attribute", brief="Name of the attribute.", budget=100, examples=("model_name",)),
    ),
    source="E4",
    series=500,
)

I_co = TypeVar("I_co", bound="Instrument", covariant=True)


class _Choices:
    """Which provider the handles record with, and which compatibility series there are."""

    def __init__(self) -> None:
        self.provider: MeterProvider | None = None
        self.compatibility = os.environ.get("OTEL_KPI_COMPATIBILITY_SERIES", "true").lower() != "false"
        self.prefixes: dict[str, str] = {}

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


_choices = _Choices()
_handles: list[_Handle[Any]] = []


class _Cell:
    """One series: its attributes as OpenTelemetry takes them, and what was counted."""

    __slots__ = ("attributes", "value")

    def __init__(self, attributes: Mapping[str, Any], value: Any = 0) -> None:
        self.attributes = attributes
        self.value = value


class _Handle(Generic[I_co]):
    """What every handle does: find the series of attribute values, within the budgets."""

    def __init__(self, declaration: I_co, scope: str = "otel_kpi") -> None:
        self._declaration = declaration
        self._scope = scope
        self._lock = threading.RLock()
        self._made: dict[MeterProvider | None, Any] = {}
        self._instrument: Any = None
        """That of opentelemetry-api; None when it is not recorded."""
        self._warned: set[tuple[str, str]] = set()
        self._forget()
        _handles.append(self)

    def _forget(self) -> None:
        self._came: dict[tuple[Any, ...], _Cell] = {}
        self._series: dict[tuple[Any, ...], _Cell] = {}
        self._known: list[set[Any]] = [set() for _ in self._declaration.attributes]

    def _find(self, values: tuple[Any, ...]) -> _Cell | None:
        """The series of these values, made if there is room; None when the instrument is not recorded."""
        lines: list[str] = []
        with self._lock:
            if self._instrument is None:
                return None
            admitted = self._admit(values, lines)
            cell = self._series.get(admitted)
            if cell is None and len(self._series) >= self._declaration.most_series:
                self._overflowed("", "attribute sets", self._declaration.most_series, lines)
                admitted = ()
                cell = self._series.get(admitted)
                if cell is None:
                    cell = self._series[admitted] = self._cell(_OVERFLOW)
            if cell is None:
                named = zip(self._declaration.attributes, admitted, strict=True)
                attributes = {each.name: value for each, value in named if value is not None}
                cell = self._series[admitted] = self._cell(attributes)
            # What came and was changed is remembered as far as that is bounded.
            if values == admitted or len(self._came) < 2 * self._declaration.most_series:
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

    def _cell(self, attributes: Mapping[str, Any]) -> _Cell:
        return _Cell(attributes)

    def _admit(self, values: tuple[Any, ...], lines: list[str]) -> tuple[Any, ...]:
        declared = self._declaration.attributes
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
        if self is not _overflowed_values:
            _overflowed_values.add(1, self._declaration.name, attribute or "otel.metric.overflow")
        if (attribute, what) not in self._warned:
            self._warned.add((attribute, what))
            where = (
                f"attribute {attribute!r} of {self._declaration.name}"
                if attribute
                else self._declaration.name
            )
            bound = f"at most {most} {what}" if most else f"only {what}"
            lines.append(f"{where} takes {bound}; further ones are counted as {OTHER!r}")

    def _dropped(self, value: Any) -> None:
        """Count a value that was not recorded."""
        if self is not _dropped_values:
            _dropped_values.add(1, self._declaration.name, _reason(value))

    def _register(self) -> None:
        """Make the instrument of opentelemetry-api.

        At once and not with the first measurement: that may come from a callback, while opentelemetry-sdk holds the
        lock that a new instrument waits for.
        """
        name, provider = _choices.name_of(self._declaration), _choices.provider
        if name is None:
            self._instrument = None
            return
        if provider not in self._made:
            get_meter = metrics.get_meter if provider is None else provider.get_meter
            self._made = {key: made for key, made in self._made.items() if key is None}
            self._made[provider] = self._make(get_meter(self._scope), name)
        self._instrument = self._made[provider]

    def _make(self, meter: Meter, name: str) -> Any:
        raise NotImplementedError

    def _begin(self) -> None:
        """Report what is there from the start."""

    def _readings(self, _options: CallbackOptions) -> Iterable[Observation]:
        for cell in tuple(self._series.values()):
            value = cell.value
            if value is not None:
                # OTLP has 64 bits for a whole number.
                yield Observation(
                    float(value) if isinstance(value, int) and abs(value) >= 2**63 else value, cell.attributes
                )


class CounterHandle(_Handle[Counter]):
    """Counts; made by `counter()`."""

    def add(self, amount: float, *values: Label) -> None:
        """Add to the series of these attribute values.

        Args:
            amount: In the instrument's unit, 0 or more; below 2^53.
            *values: Of the attributes, in the order in which they are declared. None leaves one out that may be.
        """
        try:
            if 0 <= amount < _MOST:
                cell = self._came.get(values)
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                with self._lock:
                    cell.value += amount
            else:
                self._dropped(amount)
        except Exception:
            self._add_what_failed(amount, values)

    def bind(self, *values: Label) -> BoundCounter:
        """A handle for one series."""
        return BoundCounter(self, values)

    def _add_what_failed(self, amount: Any, values: tuple[Any, ...]) -> None:
        try:
            if not isinstance(amount, int | float):
                amount = float(amount)  # a Decimal, a number of numpy's
                if 0 <= amount < _MOST:
                    self.add(amount, *values)
                else:
                    self._dropped(amount)
                return
            cell = self._find(values)  # a value without a hash
            if cell is not None:
                with self._lock:
                    cell.value += amount
        except Exception:
            self._dropped(amount)

    def _begin(self) -> None:
        for values in self._declaration.initial:
            self.add(0, *values)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_counter(
            name, [self._readings], self._declaration.unit, self._declaration.brief
        )


class UpDownCounterHandle(_Handle[UpDownCounter]):
    """Counts up and down; made by `up_down_counter()`."""

    def add(self, amount: float, *values: Label) -> None:
        """Add to the series of these attribute values; a negative amount takes away.

        Args:
            amount: In the instrument's unit; less than 2^53 either way.
            *values: Of the attributes, in the order in which they are declared.
        """
        try:
            if -_MOST < amount < _MOST:
                cell = self._came.get(values)
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                with self._lock:
                    cell.value += amount
            else:
                self._dropped(amount)
        except Exception:
            self._dropped(amount)

    def _begin(self) -> None:
        for values in self._declaration.initial:
            self.add(0, *values)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_up_down_counter(
            name, [self._readings], self._declaration.unit, self._declaration.brief
        )


class GaugeHandle(_Handle[Gauge]):
    """Keeps the last reading; made by `gauge()`."""

    def set(self, value: float, *values: Label) -> None:
        """Set the reading of the series of these attribute values.

        Args:
            value: In the instrument's unit, within its range.
            *values: Of the attributes, in the order in which they are declared.
        """
        try:
            # What comes is of any type, whatever the signature says: a Decimal, a number of numpy's.
            if not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
                value = float(value)
            if self._declaration.minimum <= value <= self._declaration.maximum and math.isfinite(value):
                cell = self._came.get(values)
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                cell.value = value
            else:
                self._dropped(value)
        except Exception:
            self._dropped(value)

    def remove(self, *values: Label) -> None:
        """Say no more of the series of these attribute values: what it told of is gone."""
        with self._lock:
            cell = self._came.get(values)
            if cell is not None:
                cell.value = None

    def _cell(self, attributes: Mapping[str, Any]) -> _Cell:
        return _Cell(attributes, None)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_gauge(
            name, [self._readings], self._declaration.unit, self._declaration.brief
        )


class HistogramHandle(_Handle[Histogram]):
    """Records a distribution; made by `histogram()`."""

    def record(self, value: float, *values: Label) -> None:
        """Record one value in the series of these attribute values.

        Args:
            value: In the instrument's unit, within its range.
            *values: Of the attributes, in the order in which they are declared.
        """
        try:
            # What comes is of any type, whatever the signature says: a Decimal, a number of numpy's.
            if not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
                value = float(value)
            if self._declaration.minimum <= value <= self._declaration.maximum and math.isfinite(value):
                cell = self._came.get(values)
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                cell.value(value, cell.attributes)
            else:
                self._dropped(value)
        except Exception:
            self._dropped(value)

    def bind(self, *values: Label) -> BoundHistogram:
        """A handle for one series."""
        return BoundHistogram(self, values)

    def _cell(self, attributes: Mapping[str, Any]) -> _Cell:
        return _Cell(attributes, self._instrument.record)

    def _make(self, meter: Meter, name: str) -> Any:
        declared = self._declaration
        return meter.create_histogram(
            name, declared.unit, declared.brief, explicit_bucket_boundaries_advisory=declared.buckets
        )


class BoundCounter:
    """A counter with its attribute values."""

    __slots__ = ("_handle", "_values")

    def __init__(self, handle: CounterHandle, values: tuple[Label, ...]) -> None:
        self._handle = handle
        self._values = values

    def add(self, amount: float = 1) -> None:
        """Add to the series."""
        self._handle.add(amount, *self._values)


class BoundHistogram:
    """A histogram with its attribute values."""

    __slots__ = ("_handle", "_values")

    def __init__(self, handle: HistogramHandle, values: tuple[Label, ...]) -> None:
        self._handle = handle
        self._values = values

    def record(self, value: float) -> None:
        """Record one value in the series."""
        self._handle.record(value, *self._values)


class ObservedHandle(_Handle["Instrument"]):
    """Asks a callback at each collection; made by `observe()`."""

    def __init__(
        self, declaration: Instrument, callback: Callable[[], Iterable[Reading]], scope: str
    ) -> None:
        self._callback = callback
        super().__init__(declaration, scope)

    def _readings(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        readings: list[Observation] = []
        try:
            for value, *values in self._callback():
                cell = self._came.get(tuple(values)) or self._find(tuple(values))
                if cell is not None and math.isfinite(value):
                    readings.append(Observation(value, cell.attributes))
        except Exception:
            self._dropped(None)
        return readings

    def _make(self, meter: Meter, name: str) -> Any:
        declared = self._declaration
        create = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }[declared.kind]
        return create(name, [self._readings], declared.unit, declared.brief)


def tallied() -> frozenset[tuple[str, str]]:
    """Scope and name of the instruments that report what was counted here: to read them calls nobody."""
    return frozenset(
        (handle._scope, handle._name)  # noqa: SLF001 - the module's own
        for handle in _handles
        if handle._name is not None and not isinstance(handle, ObservedHandle)  # noqa: SLF001
    )


class Tally(NamedTuple):
    """What a handle holds, for who looks at it.

    Attributes:
        declaration: Its instrument's.
        series: Attribute sets.
        recorded: Whether anything but a first 0 was recorded.
        values: The attributes and the value of each series; of a histogram and of what is observed none are here.
    """

    declaration: Instrument
    series: int
    recorded: bool
    values: tuple[tuple[Mapping[str, Any], float], ...]


def tallies() -> list[Tally]:
    """What the handles hold now; nothing is collected for it."""
    return [_tally(handle) for handle in tuple(_handles)]


def _tally(handle: _Handle[Any]) -> Tally:
    cells = tuple(handle._series.values())  # noqa: SLF001 - the module's own
    declaration: Instrument = handle._declaration  # noqa: SLF001
    if declaration.kind == "histogram" or isinstance(handle, ObservedHandle):
        return Tally(declaration, len(cells), bool(cells), ())
    values = tuple((cell.attributes, cell.value) for cell in cells if cell.value is not None)
    set_once = declaration.kind == "gauge"
    return Tally(declaration, len(values), any(value or set_once for _, value in values), values)


def _reason(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not_a_number"
    if not math.isfinite(value):
        return "not_finite"
    return "too_large" if abs(value) >= _MOST else "negative" if value < 0 else "out_of_range"


_Made = TypeVar("_Made", bound=_Handle[Any])


def _begun(handle: _Made) -> _Made:
    try:
        handle._register()  # noqa: SLF001 - the module's own
        handle._begin()  # noqa: SLF001
    except Exception:
        _logger.debug("an instrument could not be made", exc_info=True)
    return handle


def counter(declaration: Counter, scope: str = "otel_kpi") -> CounterHandle:
    """A handle of a counter. `scope` is the instrumentation scope of its series."""
    return _begun(CounterHandle(declaration, scope))


def up_down_counter(declaration: UpDownCounter, scope: str = "otel_kpi") -> UpDownCounterHandle:
    """A handle of an up-down counter."""
    return _begun(UpDownCounterHandle(declaration, scope))


def gauge(declaration: Gauge, scope: str = "otel_kpi") -> GaugeHandle:
    """A handle of a gauge."""
    return _begun(GaugeHandle(declaration, scope))


def histogram(declaration: Histogram, scope: str = "otel_kpi") -> HistogramHandle:
    """A handle of a histogram."""
    return _begun(HistogramHandle(declaration, scope))


def observe(
    declaration: Instrument, callback: Callable[[], Iterable[Reading]], scope: str = "otel_kpi"
) -> ObservedHandle:
    """Have a callback asked at each collection.

    Args:
        declaration: A counter, an up-down counter or a gauge.
        callback: Gives readings: the value, then the values of the attributes in declared order. It is called on the
            thread that exports; what it raises is counted and the readings of that time are missing.
        scope: Instrumentation scope of its series.
    """
    return _begun(ObservedHandle(declaration, callback, scope))


_KEEP: Final[Any] = object()


def use(
    *, provider: MeterProvider | None = _KEEP, compatibility: bool = _KEEP, prefixes: dict[str, str] = _KEEP
) -> None:
    """Choose what the handles record with; what is not given stays.

    Args:
        provider: A MeterProvider; None is that of the process. Tallies begin anew.
        compatibility: Whether compatibility series are recorded.
        prefixes: What stands for `{chat}` in names, by domain.
    """
    if compatibility is not _KEEP:
        _choices.compatibility = compatibility
    if prefixes is not _KEEP:
        _choices.prefixes = dict(prefixes)
    if provider is not _KEEP:
        _choices.provider = provider
        clear()
    else:
        for handle in _handles:
            _begun(handle)


def clear() -> None:
    """Begin with empty tallies and unused budgets; a histogram's past is the SDK's."""
    for handle in _handles:
        with handle._lock:  # noqa: SLF001 - the module's own
            handle._forget()  # noqa: SLF001
            handle._warned.clear()  # noqa: SLF001
    for handle in _handles:
        _begun(handle)


def _after_fork() -> None:
    # A thread of the parent may have held a lock, and what the parent counted is the parent's to tell.
    for handle in _handles:
        handle._lock = threading.RLock()  # noqa: SLF001 - the module's own
        handle._forget()  # noqa: SLF001
    for handle in _handles:
        _begun(handle)


_dropped_values = counter(DROPPED_VALUES)
_overflowed_values = counter(OVERFLOWED_VALUES)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
