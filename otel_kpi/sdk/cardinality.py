"""How many series one instrument may have: what would make ever new ones is counted as `other`.

Each value of each attribute of a metric is a series that the process, the Collector and Prometheus keep. A user's
id, a mail address or a raw path in an attribute makes one for each user. So each attribute of an instrument has a
budget of distinct values; what comes after is recorded all the same, in the series whose value is `other`: sums and
counts stay right. Values that have the shape of an identifier have a small budget, addresses of persons none.
An instrument as a whole has at most so many attribute sets; what comes after goes into the series
`otel.metric.overflow=true` (https://opentelemetry.io/docs/specs/otel/metrics/sdk/#overflow-attribute).

A verdict never changes: a value that has its own series keeps it. No lock is taken, since a signal handler or a
callback may come here again in the same thread; two threads in the same moment may exceed a budget by one.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from otel_kpi.redaction import redact_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_logger = logging.getLogger("otel_kpi.metrics")

OTHER: Final = "other"
OVERFLOW: Final[Mapping[str, Any]] = MappingProxyType({"otel.metric.overflow": True})

Shape = Literal["value", "identifier", "mail address"]

_LARGE: Final = 5
"""Times the general budget for names whose values the program's own text bounds, though there may be many."""
_LARGE_NAMES: Final = frozenset((
    "http.route", "url.template", "db.collection.name", "db.query.summary", "db.stored_procedure.name", "rpc.method",
    "code.function.name", "graphql.operation.name", "messaging.destination.template",
))  # fmt: skip
_MOST_NAMES: Final = 64
"""Attribute names of one instrument; an identifier may stand in the name, too."""
_MOST_PASSED: Final = 4
"""Times the series of an instrument: the same set comes in several orders, or with what a view takes out."""
_LONG: Final = 128
"""Characters from which a text is taken for free text."""
_LONG_NUMBER: Final = 1_000_000
"""Seven digits: no status, port or bucket."""

_MAIL_ADDRESS: Final = r"[^\s@/:=]@[\w\-]+\.[\w\-.]*\w"
# A UUID anywhere. Hexadecimal with a digit in it, numbers and ULIDs as a part of their own: `-` does not part, since
# names of models and versions end in a date (`claude-3-5-sonnet-20241022`).
_IDENTIFIER: Final = (
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?<![\w\-.+])(?:(?:0x)?(?=[a-fA-F]*\d)[0-9a-fA-F]{16,}|\d{7,}|[0-7][0-9A-HJKMNP-TV-Z]{25})(?![\w\-.])"
)


class Limits(NamedTuple):
    """Distinct values that one attribute of one instrument may have, and how many of them of which shape."""

    values: int
    identifiers: int
    mail_addresses: int


@dataclass(frozen=True, slots=True)
class Budget:
    """How many distinct values and series there may be.

    Attributes:
        values: Distinct values of one attribute of one instrument.
        identifiers: Those of them that have the shape of an identifier.
        series: Attribute sets of one instrument.
        exceptions: Distinct values, whatever their shape, by attribute or by `instrument:attribute`.
    """

    values: int = 200
    identifiers: int = 10
    series: int = 2_000
    exceptions: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, instrument: str, attribute: str) -> Limits:
        """The limits of one attribute of one instrument."""
        exception = self.exceptions.get(f"{instrument}:{attribute}", self.exceptions.get(attribute))
        if exception is not None:
            return Limits(exception, exception, exception)
        values = self.values * _LARGE if attribute in _LARGE_NAMES else self.values
        return Limits(values, min(self.identifiers, values), 0)


def shape_of(value: Any) -> Shape:
    """Say what a value looks like: a mail address, an identifier, or an ordinary value."""
    if isinstance(value, str):
        if len(value) > _LONG:
            return "identifier"
        # Compiled by `re` when the first text comes, and kept there: starting a process does not wait for that.
        if "@" in value and re.search(_MAIL_ADDRESS, value) is not None:
            return "mail address"
        return "identifier" if re.search(_IDENTIFIER, value) is not None else "value"
    if isinstance(value, int):
        return "identifier" if not -_LONG_NUMBER < value < _LONG_NUMBER else "value"
    if isinstance(value, list | tuple):
        for each in cast("list[Any]", value):
            shape = shape_of(each)
            if shape != "value":
                return shape
    return "value"


class CardinalityGuard:
    """Decides for each measurement under which attributes it is recorded.

    Args:
        budget: How much there may be.
        kept: Gives the names that the user's views leave on an instrument's series, or `None` for all; what makes
            no series needs no budget.
    """

    def __init__(
        self, budget: Budget, kept: Callable[[Any], frozenset[str] | None] = lambda _instrument: None
    ) -> None:
        self._budget = budget
        self._kept = kept
        self._instruments: dict[Any, _Instrument] = {}
        self.errors = 0
        """Measurements whose attributes were lost to a defect of ours; they are counted without them."""

    def admit(self, instrument: Any, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give the attributes under which a measurement of `instrument` is recorded; never raises.

        Args:
            instrument: The instrument; it has a `name`.
            attributes: As the application gave them, of the types that OpenTelemetry knows.

        Returns:
            `attributes` itself when nothing in it has to change.
        """
        try:
            if (*attributes, *attributes.values()) in self._instruments[instrument].passed:
                return attributes
        except (KeyError, TypeError):  # its first measurement, or a value that has no hash
            pass
        try:
            known = self._instruments.get(instrument)
            if known is None:
                made = _Instrument(instrument.name, self._budget, self._kept(instrument))
                known = self._instruments.setdefault(instrument, made)
            return known.judge(attributes)
        except Exception as error:
            # A defect of ours: the measurement counts, without what could not be looked at.
            self.errors += 1
            if self.errors == 1:
                _logger.warning(
                    "metric %s: attributes could not be looked at: %r", instrument.name, type(error)
                )
            return OVERFLOW

    def recorded(self) -> tuple[Any, ...]:
        """The instruments that had a measurement in this process."""
        return tuple(self._instruments)

    def forget(self) -> None:
        """Begin anew in a forked child, which has series of its own."""
        self._instruments = {}


class _Attribute:
    """The values of one attribute of one instrument that have a series of their own."""

    __slots__ = ("identifiers", "known", "limits", "mail_addresses")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.known: set[Hashable] = set()
        self.identifiers = 0
        self.mail_addresses = 0


class _Instrument:
    """What one instrument has recorded so far."""

    __slots__ = ("_attributes", "_budget", "_kept", "_name", "_sets", "_warned", "passed")

    def __init__(self, name: str, budget: Budget, kept: frozenset[str] | None) -> None:
        self._name = name
        self._budget = budget
        self._kept = kept
        self._attributes: dict[str, _Attribute] = {}
        self._sets: set[Hashable] = set()
        self._warned: dict[str, object] = {}
        self.passed: set[tuple[Any, ...]] = set()
        """Attribute sets that need no second look, as they came: the names, then the values."""

    def judge(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        clean = redact_attributes(attributes)
        changed: dict[str, Any] = {}
        for name, raw in attributes.items():
            value = clean.get(name, OTHER)
            if self._kept is None or name in self._kept:
                if name not in self._attributes and len(self._attributes) >= _MOST_NAMES:
                    self._warn("", "has more than %d attributes; further ones are counted", _MOST_NAMES)
                    return OVERFLOW
                if not self._has_place(name, raw, value):
                    value = OTHER
            if value is not raw:
                changed[name] = value
        result = {**attributes, **changed} if changed else attributes
        if not self._has_series(result):
            return OVERFLOW
        # What a view takes out is not bounded, so it is not remembered.
        if not changed and (self._kept is None or self._kept.issuperset(attributes)):
            self._pass(attributes)
        return result

    def _has_place(self, name: str, raw: Any, value: Any) -> bool:
        """Whether a value has, or gets, a series of its own."""
        attribute = self._attributes.get(name)
        if attribute is None:
            made = _Attribute(self._budget.of(self._name, name))
            attribute = self._attributes.setdefault(name, made)
        if value is None or value == OTHER or isinstance(value, bool):
            return True
        key = _frozen(value)
        if key in attribute.known:
            return True
        # The shape of what came: redaction leaves a hash of some, which no longer tells what it was.
        shape = shape_of(raw)
        limits = attribute.limits
        if shape == "mail address" and attribute.mail_addresses >= limits.mail_addresses:
            self._warn_of_values(name, limits.mail_addresses, "mail addresses")
            return False
        if shape == "identifier" and attribute.identifiers >= limits.identifiers:
            self._warn_of_values(name, limits.identifiers, "identifiers")
            return False
        if len(attribute.known) >= limits.values:
            self._warn_of_values(name, limits.values, "values")
            return False
        attribute.known.add(key)
        attribute.mail_addresses += shape == "mail address"
        attribute.identifiers += shape == "identifier"
        return True

    def _has_series(self, attributes: Mapping[str, Any]) -> bool:
        kept = self._kept
        key = frozenset(
            (name, _frozen(value)) for name, value in attributes.items() if kept is None or name in kept
        )
        if key not in self._sets:
            if len(self._sets) >= self._budget.series:
                self._warn(
                    "",
                    "has more than %d attribute sets (OTEL_KPI_METRIC_SERIES); further ones are counted",
                    self._budget.series,
                )
                return False
            self._sets.add(key)
        return True

    def _pass(self, attributes: Mapping[str, Any]) -> None:
        if len(self.passed) >= self._budget.series * _MOST_PASSED:
            self.passed = set()
        try:
            self.passed.add((*attributes, *attributes.values()))
        except TypeError:
            pass  # a mapping among the values has no hash; it is looked at each time

    def _warn_of_values(self, name: str, most: int, what: str) -> None:
        if self._first(name):
            _logger.warning(
                "metric %s: attribute %.80r has %s; %s counted as %r (OTEL_KPI_METRIC_ATTRIBUTE_BUDGETS)",
                self._name,
                name,
                f"more than {most} {what}" if most else what,
                "further ones are" if most else "they are",
                OTHER,
            )

    def _warn(self, kind: str, what: str, most: int) -> None:
        if self._first(kind):
            _logger.warning(f"metric %s {what} under otel.metric.overflow", self._name, most)  # noqa: G004 - the text is ours

    def _first(self, about: str) -> bool:
        mine = object()
        return self._warned.setdefault(about, mine) is mine


def _frozen(value: Any) -> Hashable:
    """Something with a hash that is equal for equal values, and with the type where equal values are two series."""
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        return (dict, *sorted((str(key), repr(each)) for key, each in mapping.items()))
    if isinstance(value, list | tuple):
        return (tuple, *(_frozen(each) for each in cast("list[Any]", value)))
    return (type(value), value)
