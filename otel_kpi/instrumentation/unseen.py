"""A library that is used and that nobody instruments is one line, when the process first imports it.

Nothing is looked up before: at start there is one import hook for each library of the catalogue. Workers that are
forked share a page of memory in which it is marked who has spoken, so that a library is named once for all of them;
programs that are started inherit the names in a variable.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
from typing import TYPE_CHECKING, Any

from otel_kpi import _compat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_kpi.instrumentation.catalogue import Instrumentable

_logger = logging.getLogger("otel_kpi.instrumentation")

_SAID = "_OTEL_KPI_NAMED"
"""Not a setting: what a parent process has said already."""

_SIZE = 256  # libraries; the catalogue has some forty


class _Said:
    """Which libraries were named by this process, its forked relatives and its parents."""

    def __init__(self) -> None:
        self._page: mmap.mmap | None = None
        self._numbers: dict[str, int] = {}

    def share(self, libraries: Iterable[str]) -> None:
        """Take the page, before any worker is forked."""
        self._numbers = {name: number for number, name in enumerate(libraries) if number < _SIZE}
        try:
            self._page = mmap.mmap(-1, _SIZE)
        except (OSError, ValueError):
            self._page = None  # each process then speaks for itself

    def first(self, library: str) -> bool:
        """Whether nobody has named it; from now on somebody has."""
        named = [name for name in os.environ.get(_SAID, "").split(",") if name]
        if library in named:
            return False
        os.environ[_SAID] = ",".join([*named, library])
        number = self._numbers.get(library)
        if self._page is None or number is None:
            return True
        if self._page[number]:
            return False
        self._page[number] = 1
        return True


_said = _Said()
_watched = False


def watch(disabled: frozenset[str], imported_before: frozenset[str]) -> None:
    """Name each library that is imported from now on, or was before telemetry, and has no instrumentor.

    Args:
        disabled: Names of instrumentors that are not wanted; `*` is all of them.
        imported_before: Modules that the application had imported before telemetry was configured.
    """
    global _watched
    if _watched or "*" in disabled:
        return
    _watched = True
    from otel_kpi.instrumentation.catalogue import LEFT_OUT, catalogue

    off = {name.lower().replace("-", "_") for name in disabled}
    wanted = [entry for entry in catalogue() if entry.name not in off and entry.library not in LEFT_OUT]
    _said.share(entry.library for entry in wanted)
    by_module: dict[str, list[Instrumentable]] = {}
    for entry in wanted:
        by_module.setdefault(entry.module, []).append(entry)
    for module, entries in by_module.items():
        if module in imported_before:
            _name(entries)
        elif module not in sys.modules:  # else our own exporter has imported it
            _compat.after_import(module, _hook(entries))


def _hook(entries: list[Instrumentable]) -> Callable[[Any], None]:
    def hook(_module: Any) -> None:
        # An exception here would make the application's own import fail.
        try:
            if not _compat.suppressed():  # else the export thread imports it for itself
                _name(entries)
        except Exception:
            _logger.debug("a library was not looked up", exc_info=True)

    return hook


def _name(entries: list[Instrumentable]) -> None:
    """One line for the library that was imported; several distributions may bring the same module."""
    for entry in entries:
        version = entry.version()
        if version is None or entry.is_there():
            continue
        if not _said.first(entry.library):
            continue
        if entry.covers(version):
            _logger.warning(
                "%s %s is not instrumented: %s is not installed; type: otel-kpi bootstrap --install",
                entry.library,
                version,
                entry.instrumentor,
            )
        else:
            _logger.warning(
                "%s %s is not instrumented: %s is for %s",
                entry.library,
                version,
                entry.instrumentor,
                entry.specifier,
            )
