"""What the instrumentors of database drivers share: one client span and one measurement for each operation.

Upstream's dbapi stands between an application and its connection with proxies: no longer an instance of the
driver's class, they break what checks it (`psycopg2.extras.register_*`, `sqlite3`'s `backup`, contrib#143). It sees
neither COPY nor streams nor server-side cursors. Here the driver's own methods are wrapped, or a subclass stands in
for a class written in C, so that an application keeps the classes, results and exceptions that it had.

An operation's beginning and end never raise: an error of ours costs its span and is the boundary's.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, metrics, trace

from otel_kpi import _compat
from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.packs.database.instruments import OPERATION_DURATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import Histogram
    from opentelemetry.util.types import AttributeValue

METRIC_KEYS: Final = (
    "db.system.name", "db.namespace", "db.collection.name", "db.operation.name", "server.address", "server.port",
)  # fmt: skip

FILE_METRIC_KEYS: Final = tuple(key for key in METRIC_KEYS if key != "db.namespace")
"""Those of a database in a file."""

_FORMER: Final = {
    "db.system.name": "db.system",
    "db.namespace": "db.name",
    "db.query.text": "db.statement",
    "db.operation.name": "db.operation",
    "db.collection.name": "db.mongodb.collection",
    "server.address": "net.peer.name",
    "server.port": "net.peer.port",
}
"""Names before the conventions became stable, for who asks for them with `OTEL_SEMCONV_STABILITY_OPT_IN`."""

_KEY: Final = context.create_key("otel_kpi.database")
MEASURED: Final = context.create_key("otel_kpi.database.measured")
"""Key of the context; true while somebody else measures the operation, so that it is not counted twice."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is known of an operation before it runs.

    Attributes:
        operation: The command's name, for example `SELECT`; empty when nobody can tell.
        attributes: Stable names; with `db.namespace`, `server.address` and `server.port` of its connection.
    """

    operation: str
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of an error.

    Attributes:
        code: `db.response.status_code`; empty when the database gave none.
        description: The span's; never with a row's values in it.
        kind: `error.type`; empty is the class of the error.
    """

    code: str = ""
    description: str = ""
    kind: str = ""


Describe = "Callable[[Any, tuple[Any, ...], dict[str, Any]], Statement | None]"
"""From `(instance, args, kwargs)` of a driver's method; `None` is no operation, and has no span."""


def first_line(error: BaseException) -> str:
    """Give an error's message without its details: PostgreSQL's quote the row's values."""
    return str(error).partition("\n")[0][:200]


def error_type(error: BaseException) -> str:
    """Give `error.type`: the class with its module."""
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class Database:
    """One library: where its operations become spans and measurements.

    Attributes:
        name: The row's name.
        active: Whether the library is instrumented now; what it made while it was may live longer.
        metric_keys: Attributes of a measurement, where they are known.
    """

    def __init__(
        self,
        name: str,
        system: str,
        *,
        upstream: str,
        files: bool = False,
        failure: Callable[[BaseException], Failure | None] = lambda error: Failure("", first_line(error)),
    ) -> None:
        """Keep what tells this library from others; nothing is imported.

        Args:
            name: The row's name.
            system: `db.system.name`.
            upstream: `module:Class` of upstream's instrumentor, to which we yield when the user calls it.
            files: Whether `db.namespace` is a path. There is no end to them (temporary files, a random name for
                each database in memory): one is on the span, and neither in its name nor in a metric.
            failure: What is told of an error; `None` where it is an answer like any other.
        """
        self.name = name
        self.active = False
        self.failure = failure
        self.boundary = Boundary(name)
        self._system = system
        self._upstream = upstream
        self._files = files
        self.metric_keys = FILE_METRIC_KEYS if files else METRIC_KEYS
        self._scope = f"otel_kpi.instrumentation.{name}"
        self._tracer: trace.Tracer = trace.NoOpTracer()
        self._duration: Histogram | None = None
        self._stable = self._former = True

    @property
    def foreign(self) -> bool:
        """Whether the user gave this library to upstream's instrumentor."""
        return _compat.instrumented_by_upstream(self._upstream)

    def activate(self) -> None:
        """Take the tracer and the meter of now."""
        self._stable, self._former = _compat.database_names()
        schema_url = _compat.database_schema_url()
        self._tracer = trace.get_tracer(self._scope, __version__, schema_url=schema_url)
        if self._stable:
            self._duration = duration_histogram(self._scope)
        self.boundary.reset()
        self.active = True

    def begin(
        self, describe: Any, instance: Any, args: Any, kwargs: Any, *, attach: bool = True
    ) -> Operation | None:
        """Begin an operation. Never raises.

        Args:
            describe: See `Describe`.
            instance: The cursor, connection or client; what it calls on itself meanwhile is the same operation.
            args: The call's.
            kwargs: The call's.
            attach: Whether the span is current while the operation runs; not where its body is the application's.

        Returns:
            The operation, or `None` when it has no span.
        """
        if not self.active or not self.boundary.open:
            return None
        try:
            if not _compat.instrumentation_enabled() or self.foreign:
                return None
            outer = context.get_value(_KEY)
            if isinstance(outer, Operation) and outer.running and outer.instance is instance:
                return None
            statement = describe(instance, args, kwargs)
            if statement is None:
                return None
            return Operation(self, instance, statement, attach=attach)
        except Exception as error:
            self.boundary.failed(error)
            return None

    def start_span(self, statement: Statement) -> tuple[trace.Span, dict[str, AttributeValue]]:
        """Start a span; give it with its attributes under their stable names."""
        attributes: dict[str, AttributeValue] = {"db.system.name": self._system, **statement.attributes}
        name = statement.operation
        if name:
            attributes["db.operation.name"] = name
        namespace = None if self._files else attributes.get("db.namespace")
        collection = attributes.get("db.collection.name")
        target = collection or namespace
        name = f"{name} {target}".strip() if target is not None else name
        span = self._tracer.start_span(
            name or self._system, kind=trace.SpanKind.CLIENT, attributes=self._spoken(attributes)
        )
        return span, attributes

    def record(self, span: trace.Span, elapsed: float, attributes: Mapping[str, AttributeValue]) -> None:
        """Measure an operation in the context of its span, so that an exemplar leads to it."""
        if self._duration is not None:
            self._duration.record(elapsed, attributes, context=trace.set_span_in_context(span))

    def _spoken(self, attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
        if not self._former:
            return attributes
        former = {_FORMER[key]: value for key, value in attributes.items() if key in _FORMER}
        return attributes | former if self._stable else former


class Operation:
    """An operation that runs: its span, and the mark that its driver's inner calls are part of it.

    Attributes:
        instance: What runs it.
        running: False once it ended; a context that outlives it hides nothing.
    """

    __slots__ = (
        "_attributes", "_context", "_database", "_measured", "_span", "_start", "_token", "instance", "running",
    )  # fmt: skip

    def __init__(self, database: Database, instance: Any, statement: Statement, *, attach: bool) -> None:
        self._database = database
        self.instance = instance
        self._span, self._attributes = database.start_span(statement)
        self.running = True
        self._measured = bool(context.get_value(MEASURED))
        self._context = self._token = None
        if attach:
            self._context = context.set_value(_KEY, self, trace.set_span_in_context(self._span))
            self._token = context.attach(self._context)
        self._start = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        """End it. Never raises.

        Args:
            error: What it failed with.
        """
        elapsed = time.perf_counter() - self._start
        if not self.running:
            return
        self.running = False
        self.instance = None
        try:
            # Where the application left another context behind, ours is not on top any more.
            if self._token is not None and context.get_current() is self._context:
                context.detach(self._token)
            attributes = {
                key: self._attributes[key] for key in self._database.metric_keys if key in self._attributes
            }
            failure = None if error is None else self._database.failure(error)
            if error is not None and failure is not None:
                attributes["error.type"] = kind = failure.kind or error_type(error)
                self._span.set_attribute("error.type", kind)
                if failure.code:
                    attributes["db.response.status_code"] = failure.code
                    self._span.set_attribute("db.response.status_code", failure.code)
                self._span.set_status(trace.StatusCode.ERROR, failure.description or None)
            self._span.end()
            if not self._measured:
                self._database.record(self._span, elapsed, attributes)
        except Exception as ours:
            self._database.boundary.failed(ours)


def duration_histogram(scope: str) -> Histogram:
    """Give `db.client.operation.duration` of the database conventions, in seconds."""
    meter = metrics.get_meter(scope, __version__, schema_url=_compat.database_schema_url())
    return meter.create_histogram(
        OPERATION_DURATION.name,
        unit=OPERATION_DURATION.unit,
        description=OPERATION_DURATION.brief,
        explicit_bucket_boundaries_advisory=OPERATION_DURATION.buckets,
    )
