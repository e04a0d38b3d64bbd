"""Counters of money: the total of a series is a Decimal, however many amounts it is made of.

Ten thousand amounts of 0.0000375 that are added as doubles are off in the tenth digit, and by another amount in each
order. A total here is what a person gets on paper; only what is exported is the nearest double.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation

from otel_kpi.model import Counter
from otel_kpi.record.handle import OTHER, Handle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from otel_kpi.record.handle import Cell, Label

_MOST: Final = Decimal(2**53)
_ZERO: Final = Decimal(0)
# The application's own context may round to six digits.
_EXACT: Final = Context(prec=60)
OVERFLOW: Final = "otel.metric.overflow"


def _fault(amount: Any) -> str | None:
    """Why an amount is none; None of one that is."""
    if type(amount) is not Decimal:
        return "not_a_number"
    if not amount.is_finite():
        return "not_finite"
    if amount < _ZERO:
        return "negative"
    return None if amount < _MOST else "too_large"


class ExactCounterHandle(Handle[Counter]):
    """Adds up decimals; made by `exact_counter()`."""

    def __init__(self, declaration: Counter, scope: str) -> None:
        names = [each.name for each in declaration.attributes]
        self._currency = names.index(declaration.exact)
        super().__init__(declaration, scope)

    def add(self, amount: Decimal, *values: Label) -> None:
        """Add to the series of these attribute values.

        Args:
            amount: In the instrument's unit, 0 or more; below 2^53.
            *values: Of the attributes, in the order in which they are declared. None leaves one out that may be.
        """
        try:
            if (fault := _fault(amount)) is not None:
                self._lose(fault)
                return
            cell = self._came.get(values) or self._find(values)
            if cell is None:
                return
            kept = cell.attributes.get(self.declaration.exact)
            if kept is None:
                cell = self._beyond(values[self._currency])
            elif kept == OTHER:
                self._lose("currency_beyond_budget")
                return
            with self._lock:
                cell.value = _EXACT.add(cell.value, amount)
        except Exception:
            self._failed(amount)

    def _beyond(self, currency: Label) -> Cell:
        """The series of a currency for what has no room of its own."""
        key = (OVERFLOW, currency)
        with self._lock:
            cell = self._series.get(key)
            if cell is None:
                attributes = {OVERFLOW: True, self.declaration.exact: currency}
                cell = self._series[key] = self._cell(attributes)
        return cell

    def _readings(self, _options: CallbackOptions) -> Iterable[Observation]:
        for cell in self.cells():
            # What has no room is in a series of its currency's, and in none where the currency has no room either.
            if cell.attributes.get(self.declaration.exact, OTHER) != OTHER:
                yield Observation(float(cell.value), cell.attributes)

    def _begin(self) -> None:
        for values in self.declaration.initial:
            self.add(_ZERO, *values)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_counter(
            name, [self._readings], self.declaration.unit, self.declaration.brief
        )
