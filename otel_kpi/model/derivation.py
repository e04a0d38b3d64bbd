"""A series that follows from the measurements of another instrument, under the names that a document fixes."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.model.instrument import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """One measurement more for each measurement of another instrument.

    Whoever instruments a server records `http.server.request.duration`; a second instrument with the labels of a
    document follows from it, so no server has to know of it.

    Attributes:
        source: Name of the instrument whose measurements are followed, `http.server.request.duration`.
        target: What is recorded besides.
        attributes: For each attribute of the target in its order, the source's attributes of which the first that is
            there gives the value; a text that begins with `=` is the value itself.
        where: Attributes that the measurement must have, with their values; empty is any value.
        unless: Attributes that it must not have, with the values that count; empty is any value.
        amount: What is recorded: the measured `value`, or 1 for each measurement.
    """

    source: str
    target: Instrument
    attributes: tuple[tuple[str, ...], ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    unless: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    amount: Literal["value", "one"] = "value"
