"""Import hooks: load a row's instrumentor at the first harmless moment, each one isolated from the others."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import threading
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat
from otel_kpi._compat.boundaries import SHARED_MODULES, UPSTREAM, guard_instrumentor
from otel_kpi.instrumentation.boundary import Boundary, known_boundary
from otel_kpi.instrumentation.table import Instrumented

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_kpi.instrumentation.table import Row, State

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_placing: Final[ContextVar[str]] = ContextVar("otel_kpi_placing", default="")
"""The row whose `instrument()` runs: one module of upstream's may serve several."""

_OTHER_NAMES: Final = {"psycopg2": ("psycopg2-binary",)}
"""Distributions that carry the same library, by the name in the table."""

_EXTRAS: Final = {"llm": "opentelemetry.util.genai"}
"""A module that each extra brings, by the extra's name."""

_NONE: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})


class _Entry:
    """The state of one row. Guarded by the loader's lock."""

    __slots__ = ("instrumentor", "reason", "row", "state", "version", "yielding")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.state: State = "skipped"
        self.version = ""
        self.reason = "not installed yet"
        self.instrumentor: Any = None
        self.yielding: Any = None
        """Upstream's instrumentor whose `instrument()` the application may still call."""

    def become(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason


class Loader:
    """Loads the rows of a table when their targets are imported.

    Hooks cannot be taken back, so they are registered once and ask here whether their row is armed.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._entries = {row.name: _Entry(row) for row in rows}
        self._lock = threading.RLock()
        self._hooked = False
        self._options: Mapping[str, Mapping[str, Any]] = {}
        # A hook runs inside the import machinery, which takes its mark off the module only afterwards.
        self._ended: set[str] = set()

    def install(self, disabled: frozenset[str], options: Mapping[str, Mapping[str, Any]] = _NONE) -> None:
        """Arm every row that is not in `disabled`. Never raises.

        Args:
            disabled: Names of rows, or `"*"`.
            options: By a row's name, keyword arguments of its `instrument()` that settings decide.
        """
        with self._lock:
            self._options = options
            for entry in self._entries.values():
                if entry.state not in {"skipped", "failed"}:
                    continue
                if "*" in disabled or entry.row.name in disabled:
                    entry.become("skipped", "disabled by setting")
                elif entry.row.when == "never" or not _asked_for(entry.row):
                    entry.become("skipped", entry.row.reason)
                else:
                    entry.become("armed")
            first, self._hooked = not self._hooked, True
        if first:
            self._guard_shared()
        for entry in self._entries.values():
            try:
                if first:
                    self._register(entry)
                elif entry.state == "armed" and self._imported(entry.row):
                    self._reached(entry)
            except Exception as error:
                self._fail(entry, error)

    def uninstall(self) -> None:
        """Undo every row that was loaded. Never raises."""
        with self._lock:
            for entry in self._entries.values():
                instrumentor, entry.instrumentor = entry.instrumentor, None
                yielding, entry.yielding = entry.yielding, None
                was_loaded = entry.state == "loaded"
                entry.become("skipped", "uninstalled")
                if instrumentor is None or not was_loaded:
                    continue
                try:
                    if yielding is not None:
                        vars(yielding).pop("instrument", None)
                    instrumentor.uninstrument()
                except Exception as error:
                    _logger.warning("%s could not be taken back: %r", entry.row.name, error)

    def report(self) -> tuple[Instrumented, ...]:
        """Say of every row what became of it."""
        with self._lock:
            return tuple(_instrumented(entry) for entry in self._entries.values())

    def guard(self, module_name: str, name: str) -> None:
        """Guard what a module's instrumentor puts in place, once the module is imported. Never raises.

        Args:
            module_name: The instrumentor's module.
            name: The instrumentor's name: its errors are counted under it.
        """

        def guarded(wrapper: Callable[..., Any]) -> Callable[..., Any]:
            return Boundary(_placing.get() or name).wrap(wrapper)

        def hook(_module: Any) -> None:
            try:
                from otel_kpi.instrumentation.boundary import servers

                guard_instrumentor(module_name, guarded, Boundary(name), servers)
            except Exception as error:
                _logger.warning("errors of %s are not kept from the application: %r", name, error)

        _compat.after_import(module_name, hook)

    # --- the hooks

    def _guard_shared(self) -> None:
        if any(entry.state == "armed" for entry in self._entries.values()):
            for module in SHARED_MODULES:
                self.guard(module, module.removeprefix(f"{UPSTREAM}.").partition(".")[0])

    def _register(self, entry: _Entry) -> None:
        row = entry.row
        if row.when == "never":
            return
        if entry.state == "armed":
            # Ours may have upstream's inside, which they wait for.
            for module in dict.fromkeys((row.instrumentor.partition(":")[0], *row.waits_for)):
                if module.startswith(f"{UPSTREAM}.") and module not in SHARED_MODULES:
                    self.guard(module, row.name)
        if row.when == "now":
            self._reached(entry)
            return
        # An application may import the instrumentor itself. While that import runs, its first line imports
        # the target, and the target's hook meets a half-made instrumentor: the second hook takes over then.
        for name in (row.target, *row.waits_for):
            if name not in sys.modules:
                _compat.after_import(name, self._hook(name, entry))
        if self._imported(row):
            self._reached(entry)

    def _hook(self, name: str, entry: _Entry) -> Callable[[Any], None]:
        def hook(_module: Any) -> None:
            # An exception here would make the application's own import fail.
            try:
                self._ended.add(name)
                if self._imported(entry.row):
                    self._reached(entry)
            except Exception as error:
                self._fail(entry, error)

        return hook

    def _imported(self, row: Row) -> bool:
        return row.when == "now" or self._import_ended(row.target, absent=False)

    def _import_ended(self, name: str, *, absent: bool) -> bool:
        return name in self._ended or _compat.import_ended(name, absent=absent)

    def _reached(self, entry: _Entry) -> None:
        row = entry.row
        if entry.state != "armed":
            return
        if row.when == "load_middleware":
            from otel_kpi.instrumentation.servers.django import before_first_load_middleware

            before_first_load_middleware(lambda: self._load(entry))
            return
        if not all(self._import_ended(name, absent=True) for name in row.waits_for):
            return
        self._load(entry)

    # --- loading

    def _load(self, entry: _Entry) -> None:
        row = entry.row
        with self._lock:
            if entry.state != "armed":
                return
            # Whatever the instrumentor imports may fire our hooks again.
            entry.become("loaded")
        options = {**row.options, **self._options.get(row.name, {})}
        try:
            entry.version = _version(row)
            if row.specifier is not None and not _within(entry.version, row.specifier):
                self._skip(entry, f"our tests cover {row.specifier}")
                return
            if row.extra and not has_extra(row.extra):
                self._skip(entry, f"it takes: pip install 'otel-kpi[{row.extra}]'", quiet=row.quiet)
                return
            instrumentor = _called(row.instrumentor)
            if instrumentor.is_instrumented_by_opentelemetry:
                entry.become("foreign", "instrumented by the application")
                return
            boundary = known_boundary(row.name)
            if boundary is not None:
                boundary.reset()
            checks: dict[str, Any] = {"skip_dep_check": True}
            if row.specifier is None and row.when == "import":
                checks = {"raise_exception_on_conflict": True}
            if row.prepare:
                _called(row.prepare)
            self._place(row.name, instrumentor.instrument, {**checks, **options})
        except (
            Exception,
            SystemExit,
        ) as error:  # a package that ends the process when it is imported is broken too
            if _compat.is_dependency_conflict(error):
                self._skip(entry, f"upstream's range: {error}")
            else:
                self._fail(entry, error)
            return
        entry.instrumentor = instrumentor
        self._yield_to_the_user(entry)

    def _place(self, name: str, instrument: Callable[..., Any], options: Mapping[str, Any]) -> Any:
        # Without the lock: it imports, and a thread that imports may be waiting for the lock in a hook.
        token = _placing.set(name)
        try:
            return instrument(**options)
        finally:
            _placing.reset(token)

    def _yield_to_the_user(self, entry: _Entry) -> None:
        """Let a later `XInstrumentor().instrument(…)` of the application win, with its options.

        Upstream's instrumentors are singletons which refuse a second call with a warning: the hooks and
        filters that the application asks for would be lost.
        """
        instrumentor = entry.instrumentor
        # One of ours may have upstream's inside; others of ours look for themselves, and say so by `foreign`.
        theirs = instrumentor if _is_upstream(entry.row) else getattr(instrumentor, "upstream", None)
        if theirs is None:
            return

        def instrument(**options: Any) -> Any:
            vars(theirs).pop("instrument", None)
            instrumentor.uninstrument()
            with self._lock:
                entry.instrumentor = entry.yielding = None
                entry.become("foreign", "instrumented by the application")
            return self._place(entry.row.name, theirs.instrument, options)

        entry.yielding = theirs
        theirs.instrument = instrument

    def _skip(self, entry: _Entry, reason: str, *, quiet: bool = False) -> None:
        entry.become("skipped", reason)
        say = _logger.debug if quiet else _logger.warning
        say("%s %s is not instrumented: %s", entry.row.name, entry.version, reason)

    def _fail(self, entry: _Entry, error: BaseException) -> None:
        entry.become("failed", repr(error))
        _logger.warning(
            "%s %s is not instrumented: its instrumentor failed with %r", entry.row.name, entry.version, error
        )


def _instrumented(entry: _Entry) -> Instrumented:
    row, state, reason = entry.row, entry.state, entry.reason
    if state == "loaded" and getattr(entry.instrumentor, "foreign", False):
        state, reason = "foreign", "instrumented by the application"
    boundary = known_boundary(row.name)
    errors: int = boundary.errors if boundary is not None else getattr(entry.instrumentor, "errors", 0)
    if boundary is not None and not boundary.open and state in {"loaded", "foreign"}:
        state, reason = "off", f"switched off after {errors} errors"
    return Instrumented(row.name, state, entry.version, reason, tested=_tested_by_us(row), errors=errors)


def _is_upstream(row: Row) -> bool:
    return not row.instrumentor.startswith("otel_kpi.")


def _tested_by_us(row: Row) -> bool:
    return row.specifier is not None or not _is_upstream(row)


def _asked_for(row: Row) -> bool:
    settings = (os.environ.get(name, "").strip().lower() for name in row.asked_by)
    return not row.asked_by or any(setting not in {"", "false"} for setting in settings)


def has_extra(name: str) -> bool:
    """Whether what `otel-kpi[name]` brings is installed."""
    try:
        return importlib.util.find_spec(_EXTRAS[name]) is not None
    except ImportError:
        return False


def _called(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)()


def _version(row: Row) -> str:
    if not row.distribution:
        return ""
    from importlib import metadata

    for distribution in (row.distribution, *_OTHER_NAMES.get(row.distribution, ())):
        try:
            # Half removed packages have a folder without metadata, whose version is `None` or an error.
            version = metadata.version(distribution)
        except Exception:  # noqa: S112 - another name is asked for, or none is known
            continue
        if version:
            return version
    # A vendored or renamed copy: nobody can say which version it is, so it is not refused for it.
    return ""


def _within(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    if not version:
        return True
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidVersion:
        return False
