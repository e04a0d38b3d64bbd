"""The domains: one folder for each, and what other distributions add by the entry point `otel_kpi_pack`.

A running application imports the pack that it uses and no other; `packs()` is for who looks at all of them.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from importlib.metadata import entry_points

from otel_kpi.model import Pack

_logger = logging.getLogger("otel_kpi.packs")

ENTRY_POINT = "otel_kpi_pack"


def own_packs() -> tuple[Pack, ...]:
    """The packs of this distribution, by name."""
    names = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.ispkg)
    return tuple(importlib.import_module(f"{__name__}.{name}.instruments").PACK for name in names)


def packs() -> tuple[Pack, ...]:
    """All packs that are installed: ours by name, then those of others. One that cannot be loaded is one line."""
    found = list(own_packs())
    for entry_point in sorted(entry_points(group=ENTRY_POINT), key=lambda each: each.name):
        try:
            pack = entry_point.load()
            if not isinstance(pack, Pack):
                raise TypeError(f"{entry_point.value} is no otel_kpi.model.Pack")  # noqa: TRY301 - one line for both
        except Exception as error:
            _logger.warning("pack %r is left out: %s", entry_point.name, error)
            continue
        if any(pack.name == each.name for each in found):
            _logger.warning("pack %r is left out: there is one of that name already", entry_point.name)
            continue
        found.append(pack)
    return tuple(found)
