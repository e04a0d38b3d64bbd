"""Instrumentors of libraries: a table, import hooks that load its rows, and our own instrumentors.

Nothing here imports a framework, a driver or an instrumentor when it is armed: what it costs is paid when the
application imports the library.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.loader import Loader
from otel_kpi.instrumentation.table import TABLE, Instrumented, Row

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TABLE", "Instrumented", "Row", "guard", "install", "owned_names", "report", "uninstall"]

_LOADER: Final = Loader(TABLE)


def install(
    *, disabled: frozenset[str] = frozenset(), options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> None:
    """Arm the import hooks of every row; what is imported already is instrumented now. Idempotent, never raises.

    Args:
        disabled: Names of rows to leave out, as in `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`; `"*"` is all of them.
        options: By a row's name, keyword arguments of its `instrument()` that settings decide.
    """
    _LOADER.install(disabled, options)


def uninstall() -> None:
    """Undo what `install()` did, as far as the instrumentors can. For tests and shutdown."""
    _LOADER.uninstall()


def owned_names() -> frozenset[str]:
    """Names of upstream's entry points that the table takes over; the distro does not load these."""
    return frozenset(row.name for row in TABLE)


def guard(module: str, name: str) -> None:
    """Keep errors of an instrumentor that is not in the table from the application.

    Args:
        module: The instrumentor's module; imported now or later.
        name: Its name in the log and in `otel_kpi.instrumentation.errors`.
    """
    _LOADER.guard(module, name)


def report() -> tuple[Instrumented, ...]:
    """Say of every row what became of it."""
    return _LOADER.report()
