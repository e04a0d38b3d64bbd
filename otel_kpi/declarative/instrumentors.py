"""Instrumentors that the file names and our table does not know: loaded with what the file tells them."""

from __future__ import annotations

import logging
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger("otel_kpi.instrumentation")

_done: set[str] = set()


def instrument_declared(options: Mapping[str, Mapping[str, Any]], disabled: frozenset[str]) -> None:
    """Load each one once; one that fails takes no other with it.

    Args:
        options: By name, the keyword arguments of `instrument()`.
        disabled: Names that stay off.
    """
    for name, given in options.items():
        if name in _done or name in disabled or "*" in disabled:
            continue
        _done.add(name)
        found = next(iter(entry_points(group="opentelemetry_instrumentor", name=name)), None)
        if found is None:
            _logger.warning("instrumentation/development.python.%s: no such instrumentor is installed", name)
            continue
        try:
            instrumentor = found.load()()
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument(**given)
        except ModuleNotFoundError:
            continue  # its library is not there
        except Exception as error:
            _logger.warning("the instrumentor %r failed and is left out: %s", name, error)
