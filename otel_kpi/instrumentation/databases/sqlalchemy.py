"""SQLAlchemy 1.4 to 2.1: one client span per statement, by events of the `Engine` class.

Upstream instruments engines one by one as they are created, caps at 2.1 and needs greenlet. Listeners of the
class see every engine, sync or async, also those created before. Names and attributes are upstream's.

Listeners never raise: an error of ours costs a span, is counted and said once, and the statement runs.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

from otel_kpi import _compat
from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.databases.database import (
    FILE_METRIC_KEYS,
    MEASURED,
    METRIC_KEYS,
    duration_histogram,
    error_type,
    first_line,
)
from otel_kpi.instrumentation.databases.silence import release_drivers, silence_drivers
from otel_kpi.instrumentation.databases.sqlalchemy_pools import SqlalchemyPools

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import Histogram
    from opentelemetry.util.types import AttributeValue

_SCOPE: Final = "otel_kpi.instrumentation.sqlalchemy"
_SLOT: Final = "_otel_kpi_statement"
_UPSTREAM_ENGINE: Final = "opentelemetry.instrumentation.sqlalchemy.engine"
_FILES: Final = "sqlite"
"""The dialect whose databases are files: there is no end to their paths, and none is in a name or a metric."""
_SYSTEMS: Final = {"mssql": "microsoft.sql_server", "oracle": "oracle.db", "db2": "ibm.db2"}
"""SQLAlchemy's dialect names whose stable `db.system.name` is another word."""


class _Statement:
    """A statement in execution: its span, and the flag that keeps its driver from making another.

    The flag is an object in the context whose truth ends with the statement. A listener of the application that
    raises leaves the context as it is; a plain `True` would then silence that thread for good.

    Attributes:
        span: Ours; `None` when upstream's listener, which comes after ours, makes one.
        attributes: Those of the span.
    """

    __slots__ = ("__weakref__", "attributes", "context", "running", "span", "start", "token")

    def __init__(
        self,
        execution: Any,
        span: trace.Span | None,
        attributes: dict[str, AttributeValue],
        *,
        driver_spans: bool,
    ) -> None:
        self.span = span
        self.attributes = attributes
        self.running = True
        flag = _While(self, None if span is not None else weakref.ref(execution))
        if driver_spans:
            below = None if span is None else trace.set_span_in_context(span)
            self.context = context.set_value(MEASURED, flag, below)
        else:
            self.context = _compat.suppressed_context(flag)
        self.token = context.attach(self.context)
        self.start = time.perf_counter()

    def end(self) -> float:
        """Let the driver speak again; return the seconds since the start."""
        elapsed = time.perf_counter() - self.start
        self.running = False
        # Another order of ends than of starts happens when a listener failed: then the context is not ours.
        if context.get_current() is self.context:
            context.detach(self.token)
        return elapsed

    def __del__(self) -> None:
        if not self.running:
            return
        self.running = False
        try:
            if self.span is not None:
                self.span.end()
        except Exception:
            pass  # nobody could be told: the interpreter may be ending


class _While:
    """True as long as its statement runs and has a span."""

    __slots__ = ("_execution", "_statement")

    def __init__(self, statement: _Statement, execution: weakref.ref[Any] | None) -> None:
        self._statement = weakref.ref(statement)
        self._execution = execution

    def __bool__(self) -> bool:
        statement = self._statement()
        if statement is None or not statement.running:
            return False
        return self._execution is None or _compat.has_upstream_span(self._execution())


class Instrumentor:
    """Listens to the events of SQLAlchemy's `Engine` class."""

    def __init__(self) -> None:
        self._listeners: list[tuple[str, Callable[..., Any]]] = []
        self._boundary = Boundary("sqlalchemy")
        self._names: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        self._tracer: trace.Tracer = trace.NoOpTracer()
        self._duration: Histogram | None = None
        self._driver_spans = False
        self._pools = SqlalchemyPools(self._boundary)

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether this instrumentor listens; engines that the user instrumented say so themselves."""
        return bool(self._listeners)

    def instrument(self, *, driver_spans: bool = False, **_options: Any) -> None:
        """Register the listeners.

        Args:
            driver_spans: The driver's spans are recorded too, each under that of its statement.
        """
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        schema_url = _compat.database_schema_url()
        self._tracer = trace.get_tracer(_SCOPE, __version__, schema_url=schema_url)
        self._duration = duration_histogram(_SCOPE)
        self._driver_spans = driver_spans
        self._listeners = [
            ("before_cursor_execute", self._boundary.listener(self._before)),
            ("after_cursor_execute", self._boundary.listener(self._after)),
            ("handle_error", self._boundary.listener(self._error)),
        ]
        for name, listener in self._listeners:
            event.listen(Engine, name, listener)
        self._pools.instrument()
        silence_drivers()

    def uninstrument(self) -> None:
        """Take the listeners back."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        release_drivers()
        self._pools.uninstrument()
        for name, listener in self._listeners:
            event.remove(Engine, name, listener)
        self._listeners = []

    # --- listeners, each behind the boundary

    def _before(  # noqa: PLR0913, PLR0917 -- SQLAlchemy's signature
        self, conn: Any, cursor: Any, statement: Any, parameters: Any, execution: Any, executemany: Any
    ) -> None:
        if execution is None or not _compat.instrumentation_enabled():
            return
        if _listens_already(conn.engine):
            setattr(execution, _SLOT, _Statement(execution, None, {}, driver_spans=self._driver_spans))
            return
        names = self._names_of(conn.engine)
        name, attributes = _compat.sqlalchemy_name_and_attributes(names, conn, cursor, statement)
        attributes = _stable(attributes)
        operation = name.split(" ", 1)[0] if isinstance(statement, str) and statement else ""
        if conn.engine.name == _FILES:
            name = operation or name
        if operation:
            attributes["db.operation.name"] = operation
        if executemany and len(parameters) > 1:
            attributes["db.operation.batch.size"] = len(parameters)
        span = self._tracer.start_span(name, kind=trace.SpanKind.CLIENT, attributes=attributes)
        setattr(execution, _SLOT, _Statement(execution, span, attributes, driver_spans=self._driver_spans))

    def _after(
        self, _conn: Any, _cursor: Any, _statement: Any, _parameters: Any, execution: Any, _many: Any
    ) -> None:
        running = _take(execution)
        if running is not None:
            self._end(running, running.end(), None)

    def _error(self, failure: Any) -> None:
        running = _take(failure.execution_context)
        if running is not None:
            self._end(running, running.end(), failure.original_exception)

    # --- parts

    def _names_of(self, engine: Any) -> Any:
        names = self._names.get(engine)
        if names is None:
            names = self._names[engine] = _compat.sqlalchemy_names(engine)
        return names

    def _end(self, running: _Statement, elapsed: float, error: BaseException | None) -> None:
        span = running.span
        if span is None:
            return
        keys = FILE_METRIC_KEYS if running.attributes.get("db.system.name") == _FILES else METRIC_KEYS
        attributes = {key: running.attributes[key] for key in keys if key in running.attributes}
        if error is not None:
            attributes["error.type"] = error_type(error)
            span.set_attribute("error.type", attributes["error.type"])
            code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
            if isinstance(code, str):
                span.set_attribute("db.response.status_code", code)
            span.set_status(trace.StatusCode.ERROR, first_line(error))
        span.end()
        if self._duration is not None:
            # In the context of the span, so that an exemplar leads to it.
            self._duration.record(elapsed, attributes, context=trace.set_span_in_context(span))


def _take(execution: Any) -> _Statement | None:
    running: _Statement | None = getattr(execution, _SLOT, None)
    if running is not None:
        delattr(execution, _SLOT)
    return running


def _listens_already(engine: Any) -> bool:
    """Say whether the user gave this engine to upstream's `SQLAlchemyInstrumentor`."""
    return any(
        type(getattr(listener, "__self__", None)).__module__ == _UPSTREAM_ENGINE
        for listener in engine.dispatch.before_cursor_execute
    )


def _stable(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    """Bring upstream's attributes to the stable names where it leaves others in."""
    if "db.system.name" not in attributes:
        return attributes
    attributes = {key: value for key, value in attributes.items() if key != "net.transport"}
    system = attributes["db.system.name"]
    attributes["db.system.name"] = _SYSTEMS.get(str(system), system)
    return attributes
