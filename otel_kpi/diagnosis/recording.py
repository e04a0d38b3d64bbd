"""What the process has recorded with its packs, what it lost, and where it goes: numbers, for a health page."""

from __future__ import annotations

import sys
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from otel_kpi.record import DROPPED_VALUES, OVERFLOWED_VALUES
from otel_kpi.record.holdings import tallies as tallies_now

if TYPE_CHECKING:
    from otel_kpi.model import Pack
    from otel_kpi.record.holdings import Tally


def instrumentation_health() -> dict[str, Any]:
    """How telemetry itself is doing, in what JSON can say; never raises, asks nobody, takes no measurement.

    Returns:
        `status`: `healthy`; `degraded` when a value or an item was lost, or a destination takes nothing;
        `unconfigured` when nothing of this process goes anywhere. `packs`: for each that was imported, how many of
        its instruments have recorded and in how many series. `dropped_values` and `overflowed_values` by instrument.
        `exporters`: for each signal and destination what was sent, waits and was lost, and whether it is failing.
    """
    try:
        return _health(tallies_now(), _exporters())
    except Exception as error:
        return {"status": "degraded", "error": type(error).__name__}


def _health(tallies: list[Tally], exporters: list[dict[str, Any]] | None) -> dict[str, Any]:
    dropped = _by_instrument(tallies, DROPPED_VALUES.name)
    overflowed = _by_instrument(tallies, OVERFLOWED_VALUES.name)
    degraded = dropped or overflowed or any(each["lost"] or each["failing"] for each in exporters or ())
    return {
        "status": "unconfigured" if exporters is None else "degraded" if degraded else "healthy",
        "packs": {pack.name: _of_pack(pack, tallies) for pack in _imported_packs()},
        "series": sum(tally.series for tally in tallies),
        "dropped_values": dropped,
        "overflowed_values": overflowed,
        "exporters": exporters or [],
    }


def _imported_packs() -> list[Pack]:
    """The packs whose instruments this process has; to look at the others would import them."""
    # Copied at once: another thread may be importing, and have a module half made.
    modules = sorted(sys.modules.copy().items(), key=itemgetter(0))
    instruments = (
        module
        for name, module in modules
        if name.startswith("otel_kpi.packs.") and name.endswith(".instruments")
    )
    return [module.PACK for module in instruments if hasattr(module, "PACK")]


def _of_pack(pack: Pack, tallies: list[Tally]) -> dict[str, Any]:
    names = {each.name for each in pack.instruments}
    own = [tally for tally in tallies if tally.declaration.name in names]
    return {
        "recorded": any(tally.recorded for tally in own),
        "instruments": len(pack.instruments),
        "instruments_recorded": sum(tally.recorded for tally in own),
        "series": sum(tally.series for tally in own),
    }


def _by_instrument(tallies: list[Tally], name: str) -> dict[str, dict[str, int]]:
    """The values of a counter of losses: its first attribute is the instrument, its second says what."""
    found: dict[str, dict[str, int]] = {}
    for tally in tallies:
        if tally.declaration.name == name:
            for attributes, value in tally.values:
                instrument, what = (str(each) for each in (*attributes.values(), "other", "other")[:2])
                found.setdefault(instrument, {})[what] = int(value)
    return found


def _exporters() -> list[dict[str, Any]] | None:
    """What became of what was handed over; None where there is no pipeline."""
    process = sys.modules.get("otel_kpi.process")
    state = process.configured() if process is not None else None
    if state is None or state.pipeline is None:
        return None
    return [
        {
            "signal": channel.signal,
            "destination": channel.exporter.destination,
            "sent": channel.tally.sent,
            "waiting": channel.waiting(),
            "lost": dict(channel.tally.lost),
            "failing": channel.failing,
        }
        for worker in state.pipeline.workers
        for channel in worker.channels
    ]
