"""Counters and gauges: numbers in Python, which a callback reports at each collection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation

from otel_kpi.model import Counter, Gauge, UpDownCounter
from otel_kpi.record.handle import Cell, Handle
from otel_kpi.record.number import MOST, number

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter

    from otel_kpi.model import Instrument
    from otel_kpi.record.handle import Label

    Reading = tuple[Any, ...]
    """A value, then the values of the attributes in declared order."""


class CounterHandle(Handle[Counter]):
    """Counts; made by `counter()`."""

    def add(self, amount: float, *values: Label) -> None:
        """Add to the series of these attribute values.

        Args:
            amount: In the instrument's unit, 0 or more; below 2^53.
            *values: Of the attributes, in the order in which they are declared. None leaves one out that may be.
        """
        try:
            if type(amount) is not int and type(amount) is not float:
                amount = number(amount)
            if 0 <= amount < MOST:
                try:
                    cell = self._came.get(values)
                except Exception:  # a value without a hash
                    cell = None
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                with self._lock:
                    cell.value += amount
            else:
                self._dropped(amount)
        except Exception:
            self._failed(amount)

    def bind(self, *values: Label) -> BoundCounter:
        """A handle for one series."""
        return BoundCounter(self, values)

    def _begin(self) -> None:
        for values in self.declaration.initial:
            self.add(0, *values)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_counter(
            name, [self._readings], self.declaration.unit, self.declaration.brief
        )


class UpDownCounterHandle(Handle[UpDownCounter]):
    """Counts up and down; made by `up_down_counter()`."""

    def add(self, amount: float, *values: Label) -> None:
        """Add to the series of these attribute values; a negative amount takes away.

        Args:
            amount: In the instrument's unit; less than 2^53 either way.
            *values: Of the attributes, in the order in which they are declared.
        """
        try:
            if type(amount) is not int and type(amount) is not float:
                amount = number(amount)
            if -MOST < amount < MOST:
                try:
                    cell = self._came.get(values)
                except Exception:  # a value without a hash
                    cell = None
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                with self._lock:
                    cell.value += amount
            else:
                self._dropped(amount)
        except Exception:
            self._failed(amount)

    def _begin(self) -> None:
        for values in self.declaration.initial:
            self.add(0, *values)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_up_down_counter(
            name, [self._readings], self.declaration.unit, self.declaration.brief
        )


_MOST_LATER: Final = 1000


class GaugeHandle(Handle[Gauge]):
    """Keeps the last reading; made by `gauge()`."""

    def __init__(self, declaration: Gauge, scope: str) -> None:
        # Neither NaN nor infinity is between two finite numbers.
        self._least = max(declaration.minimum, -sys.float_info.max)
        self._most = min(declaration.maximum, sys.float_info.max)
        super().__init__(declaration, scope)

    def set(self, value: float, *values: Label) -> None:
        """Set the reading of the series of these attribute values.

        Args:
            value: In the instrument's unit, within its range.
            *values: Of the attributes, in the order in which they are declared.
        """
        try:
            if type(value) is not int and type(value) is not float:
                value = number(value)
            if self._least <= value <= self._most:
                try:
                    cell = self._came.get(values)
                except Exception:  # a value without a hash
                    cell = None
                if cell is None:
                    cell = self._find(values)
                    if cell is None:
                        return
                cell.value = value
            else:
                self._dropped(value)
        except Exception:
            self._failed(value)

    def set_later(self, key: Hashable, readings: Callable[[], Iterable[Reading]]) -> None:
        """Have readings worked out when somebody collects, and set then: of those with the same key the newest.

        Args:
            key: Whose readings they are.
            readings: Gives a value, then the values of the attributes, any number of times; must not wait.
        """
        try:
            self._later[key] = readings
            if len(self._later) > _MOST_LATER:
                self._set_now()
        except Exception:
            self._failed()

    def cells(self) -> tuple[Cell, ...]:
        """Every series, as it is now."""
        self._set_now()
        return super().cells()

    def _set_now(self) -> None:
        while self._later:
            try:
                _, readings = self._later.popitem()
            except KeyError:
                return  # another thread was quicker
            try:
                for value, *values in readings():
                    self.set(value, *values)
            except Exception:
                self._failed()

    def _empty(self) -> None:
        super()._empty()
        self._later: dict[Hashable, Callable[[], Iterable[Reading]]] = {}

    def remove(self, *values: Label) -> None:
        """Say no more of the series of these attribute values: what it told of is gone."""
        try:
            cell = self._series.get(self._known_as(values))
            if cell is not None:
                cell.value = None
        except Exception:
            self._failed()

    def _cell(self, attributes: Mapping[str, Any]) -> Cell:
        return Cell(attributes, None)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_gauge(
            name, [self._readings], self.declaration.unit, self.declaration.brief
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


class ObservedHandle(Handle["Instrument"]):
    """Asks a callback at each collection; made by `observe()`."""

    def __init__(
        self, declaration: Instrument, callback: Callable[[], Iterable[Reading]], scope: str
    ) -> None:
        self._callback = callback
        nothing_less = 0.0 if declaration.kind == "counter" else -sys.float_info.max
        self._least = max(getattr(declaration, "minimum", nothing_less), -sys.float_info.max)
        self._most = min(getattr(declaration, "maximum", sys.float_info.max), sys.float_info.max)
        super().__init__(declaration, scope)

    def _readings(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        readings: list[Observation] = []
        try:
            for value, *values in self._callback():
                reading = self._reading(value, tuple(values))
                if reading is not None:
                    readings.append(reading)
        except Exception:
            self._failed()
        return readings

    def _reading(self, value: Any, values: tuple[Any, ...]) -> Observation | None:
        try:
            value = number(value)
            if not self._least <= value <= self._most:
                self._dropped(value)
                return None
            cell = self._find(values)
            return None if cell is None else Observation(value, cell.attributes)
        except Exception:
            self._failed(value)
            return None

    def _make(self, meter: Meter, name: str) -> Any:
        declared = self.declaration
        create = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }[declared.kind]
        return create(name, [self._readings], declared.unit, declared.brief)
