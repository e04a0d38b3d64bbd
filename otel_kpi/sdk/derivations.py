"""Series that follow from the measurements of other instruments, under the names that a document fixes.

Whoever instruments a server records `http.server.request.duration`. A `Derivation` has each of its measurements
recorded once more, with other labels, so that no instrumentor knows of it and no request is counted twice. It is
added up by the handles of `otel_kpi.record`, and an exemplar leads to the same trace.

What is derived is not followed itself: there are no chains and no circles. Observable instruments are followed when
they are read. Nothing is imported and nothing made before the first measurement.
"""

from __future__ import annotations

import threading
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_kpi.model import Derivation, Instrument

    Recorder = Callable[[Any], Any]
    """Takes a measurement and records what follows from it, or gives it as a measurement."""

_SCOPE: Final = "otel_kpi.derived"
_MOST_KNOWN: Final = 8_000
"""Attribute sets of a source that are remembered: those of two thousand series, in several orders."""

_VALUE: Final = attrgetter("value")


def _one(_measurement: Any) -> int:
    return 1


class Derivations:
    """Records what follows from a measurement.

    Args:
        load: Gives the derivations; called at the first measurement.
        failed: Is told of errors; they cost what is derived and nothing else.
    """

    def __init__(
        self,
        load: Callable[[], Iterable[Derivation]],
        failed: Callable[[str, BaseException], None] = lambda _part, _error: None,
    ) -> None:
        self._load = load
        self._failed = failed
        self._followed: dict[str, list[Derivation]] | None = None
        self._sources: dict[Any, _Source | None] = {}

    def follow(self, measurement: Any) -> None:
        """Record what follows from a measurement of a synchronous instrument; never raises."""
        try:
            source = self._sources[measurement.instrument]
        except KeyError:
            source = self._begin(measurement.instrument, observed=False)
        if source is not None:
            self._recorded(source, measurement)

    def derived(self, measurement: Any) -> Sequence[Any]:
        """The measurements that follow from one of an observable instrument; never raises."""
        try:
            source = self._sources[measurement.instrument]
        except KeyError:
            source = self._begin(measurement.instrument, observed=True)
        return () if source is None else self._recorded(source, measurement)

    def forget(self) -> None:
        """Begin anew in a forked child, where the budgets of the series are unused."""
        global _making
        self._sources = {}
        _making = threading.Lock()  # a thread of the parent may have held it

    def _recorded(self, source: _Source, measurement: Any) -> Sequence[Any]:
        try:
            return [recorder(measurement) for recorder in source.recorders(measurement.attributes or {})]
        except Exception as error:
            self._failed(f"derived from {measurement.instrument.name}", error)
            return ()

    def _loaded(self) -> dict[str, list[Derivation]]:
        """The derivations by the name of their source; whole before anybody else sees them, or none."""
        followed: dict[str, list[Derivation]] = {}
        try:
            for each in self._load():
                followed.setdefault(each.source, []).append(each)
        except Exception as error:
            self._failed("derivations", error)
            return {}
        # Our own handles add values up before the SDK sees them, and then nothing would follow.
        record.use(followed={name: [each.target for each in group] for name, group in followed.items()})
        return followed

    def _begin(self, instrument: Any, *, observed: bool) -> _Source | None:
        """What is known of an instrument from now on; None when nothing follows from it."""
        source: _Source | None = None
        try:
            if self._followed is None:
                self._followed = self._loaded()
            derivations = self._followed.get(instrument.name, ())
            if derivations and instrument.instrumentation_scope.name != _SCOPE:
                _check_unit(instrument, derivations)
                source = _Source([(each, _handle(each.target)) for each in derivations], observed=observed)
        except Exception as error:
            self._failed(f"derived from {instrument.name}", error)
        return self._sources.setdefault(instrument, source)


def _check_unit(instrument: Any, derivations: Iterable[Derivation]) -> None:
    """Refuse an instrument that only has the name of the source: milliseconds are no seconds.

    Raises:
        ValueError: It has another unit than the values that follow. One without a unit is taken for the source.
    """
    units = {
        each.target.unit
        for each in derivations
        if each.amount == "value" and each.target.unit and not each.target.unit.startswith("{")
    }
    if instrument.unit and units and instrument.unit not in units:
        raise ValueError(f"its unit is {instrument.unit!r} and not {' or '.join(sorted(units))}")


_handles: dict[Instrument, Any] = {}
"""One for each target, however many derivations lead to it: two would report its series twice."""
_making = threading.Lock()


def _handle(target: Instrument) -> Any:
    with _making:
        handle = _handles.get(target)
        if handle is None:
            make: Any = {
                "counter": record.counter,
                "updowncounter": record.up_down_counter,
                "gauge": record.gauge,
                "histogram": record.histogram,
            }[target.kind]
            handle = _handles[target] = make(target, _SCOPE)
        return handle


class _Source:
    """An instrument from which others follow, and what is to be done for each of its attribute sets."""

    __slots__ = ("_derivations", "_known", "_observed")

    def __init__(self, derivations: list[tuple[Derivation, Any]], *, observed: bool) -> None:
        self._derivations = derivations
        self._observed = observed
        self._known: dict[tuple[Any, ...], list[Recorder]] = {}

    def recorders(self, attributes: Mapping[str, Any]) -> list[Recorder]:
        """What records each target; those that come again cost a look into a dict."""
        try:
            return self._known[(*attributes, *attributes.values())]
        except (KeyError, TypeError):  # it comes for the first time, or has a value without a hash
            pass
        made = [
            recorder
            for derivation, handle in self._derivations
            if _applies(derivation, attributes)
            and (recorder := _recorder(derivation, handle, attributes, observed=self._observed)) is not None
        ]
        try:
            if len(self._known) < _MOST_KNOWN:
                self._known[(*attributes, *attributes.values())] = made
        except TypeError:
            pass  # the same
        return made


def _applies(derivation: Derivation, attributes: Mapping[str, Any]) -> bool:
    return all(_has(attributes, name, values) for name, values in derivation.where.items()) and not any(
        _has(attributes, name, values) for name, values in derivation.unless.items()
    )


def _has(attributes: Mapping[str, Any], name: str, values: tuple[str, ...]) -> bool:
    return attributes.get(name) is not None and (not values or str(attributes[name]) in values)


def _values(derivation: Derivation, attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """The target's attribute values, in its order; None where the source says nothing."""
    found: list[Any] = []
    for places in derivation.attributes:
        given = (place[1:] if place[:1] == "=" else attributes.get(place) for place in places)
        found.append(next((value for value in given if value is not None), None))
    return tuple(found)


def _recorder(
    derivation: Derivation, handle: Any, attributes: Mapping[str, Any], *, observed: bool
) -> Recorder | None:
    amount = _one if derivation.amount == "one" else _VALUE
    values = _values(derivation, attributes)
    if observed:
        return _read(handle, values, amount)
    if isinstance(handle, record.HistogramHandle):

        def distribute(measurement: Any) -> None:
            handle.record(amount(measurement), *values, context=measurement.context)

        return distribute
    tally = handle.set if isinstance(handle, record.GaugeHandle) else handle.add

    def count(measurement: Any) -> None:
        tally(amount(measurement), *values)

    return count


def _read(handle: Any, values: tuple[Any, ...], amount: Callable[[Any], Any]) -> Recorder | None:
    """A reading of the target for a reading of the source, in the same collection."""
    series = handle.series(*values)
    if series is None:
        return None
    instrument, admitted = series

    def read(measurement: Any) -> Any:
        return _compat.derived_measurement(measurement, amount(measurement), instrument, admitted)

    return read
