"""What the handles hold, for who looks at it without collecting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from otel_kpi.record.handle import HANDLES, Handle
from otel_kpi.record.tallies import ObservedHandle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.model import Instrument


class Tally(NamedTuple):
    """What a handle holds.

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
    return [_tally(handle) for handle in tuple(HANDLES)]


def _tally(handle: Handle[Any]) -> Tally:
    cells = handle.cells()
    declaration: Instrument = handle.declaration
    if declaration.kind == "histogram" or isinstance(handle, ObservedHandle):
        return Tally(declaration, len(cells), bool(cells), ())
    values = tuple((cell.attributes, cell.value) for cell in cells if cell.value is not None)
    set_once = declaration.kind == "gauge"
    return Tally(declaration, len(values), any(value or set_once for _, value in values), values)


def tallied() -> frozenset[tuple[str, str]]:
    """Scope and name of the instruments that report what was counted here and all of it: to read them calls nobody."""
    return frozenset(
        (handle.scope, handle.name)
        for handle in tuple(HANDLES)
        if handle.name is not None and not handle.shared and not isinstance(handle, ObservedHandle)
    )
