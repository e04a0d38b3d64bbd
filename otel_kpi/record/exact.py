"""Counters of money: the total of a series is a Decimal, however many amounts it is made of.

Ten thousand amounts of 0.0000375 that are added as doubles are off in the tenth digit, and by another amount in each
order. A total here is what a person gets on paper; only what is exported is the nearest double.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation

from otel_kpi.model import Counter
from otel_kpi.record.handle import Handle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from otel_kpi.record.handle import Label

_MOST: Final = Decimal(2**53)
_ZERO: Final = Decimal(0)
# The application's own context may round to six digits.
_EXACT: Final = Context(prec=60)


class ExactCounterHandle(Handle[Counter]):
    """Adds up decimals; made by `exact_counter()`."""

    def add(self, amount: Decimal, *values: Label) -> None:
        """Add to the series of these attribute values.

        Args:
            amount: In the instrument's unit, 0 or more; below 2^53.
            *values: Of the attributes, in the order in which they are declared. None leaves one out that may be.
        """
        try:
            if type(amount) is not Decimal or not amount.is_finite() or not _ZERO <= amount < _MOST:
                self._dropped(float(amount))
                return
            cell = self._came.get(values) or self._find(values)
            if cell is None:
                return
            with self._lock:
                cell.value = _EXACT.add(cell.value, amount)
        except Exception:
            self._failed(amount)

    def _readings(self, _options: CallbackOptions) -> Iterable[Observation]:
        for cell in self.cells():
            yield Observation(float(cell.value), cell.attributes)

    def _begin(self) -> None:
        for values in self.declaration.initial:
            self.add(_ZERO, *values)

    def _make(self, meter: Meter, name: str) -> Any:
        return meter.create_observable_counter(
            name, [self._readings], self.declaration.unit, self.declaration.brief
        )
