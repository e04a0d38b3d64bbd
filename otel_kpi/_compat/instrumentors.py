"""Private parts of upstream's instrumentors, and of libraries that are instrumented."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

# --- opentelemetry-instrumentation-fastapi and -asgi: routes


def matchable_routes(routes: Any) -> Any:
    """Flatten the routes of a FastAPI application; routers that are included became nodes of a tree in 0.137."""
    from opentelemetry.instrumentation.fastapi import _flatten_routes

    return _flatten_routes(routes)


def match_route(route: Any, scope: Any) -> tuple[Any, Any]:
    """Match a route against a scope as upstream does, past what FastAPI overrides; give match and child scope."""
    from starlette.routing import Route

    return Route.matches(route, scope) if isinstance(route, Route) else route.matches(scope)


def original_route(route: Any) -> Any:
    """Give the route behind FastAPI's `RouteContext` (0.137.2), or the route itself."""
    return getattr(route, "original_route", route)


def known_method(method: str) -> str:
    """Give the HTTP method for a span name: `HTTP` for those that the conventions do not know."""
    from opentelemetry.util.http import sanitize_method

    known = sanitize_method(method)
    return "HTTP" if known == "_OTHER" else known


# --- opentelemetry-instrumentation: suppression


def suppressed_context(flag: object) -> Context:
    """Give the current context in which instrumentors are silent as long as `flag` is true.

    Drivers that upstream instruments look at this key only for truth.
    """
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, set_value

    return set_value(_SUPPRESS_INSTRUMENTATION_KEY, flag)


def instrumentation_enabled() -> bool:
    """Say whether nobody asked for silence in the current context."""
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    return is_instrumentation_enabled()


# --- opentelemetry-instrumentation-sqlalchemy: names and attributes, without its listeners


def database_schema_url() -> str:
    """Give the schema of the database conventions that are in force."""
    from opentelemetry.instrumentation import _semconv

    _semconv._OpenTelemetrySemanticConventionStability._initialize()
    kinds = _semconv._OpenTelemetryStabilitySignalType
    return _semconv._get_schema_url_for_signal_types([kinds.DATABASE, kinds.HTTP])


def sqlalchemy_names(engine: Any) -> Any:
    """Give upstream's `EngineTracer` of an engine, without the listeners that its constructor registers."""
    from opentelemetry.instrumentation import _semconv
    from opentelemetry.instrumentation.sqlalchemy import engine as upstream

    stability = _semconv._OpenTelemetrySemanticConventionStability
    kinds = _semconv._OpenTelemetryStabilitySignalType
    stability._initialize()
    names: Any = object.__new__(upstream.EngineTracer)
    names.vendor = upstream._normalize_vendor(engine.name)
    names._leading_comment_remover = re.compile(r"^/\*.*?\*/")
    names._sem_conv_opt_in_mode_db = stability._get_opentelemetry_stability_opt_in_mode(kinds.DATABASE)
    names._sem_conv_opt_in_mode_http = stability._get_opentelemetry_stability_opt_in_mode(kinds.HTTP)
    return names


def has_upstream_span(execution: Any) -> bool:
    """Say whether upstream's `EngineTracer` has started its span of an execution; it leaves it there."""
    return getattr(execution, "_otel_span", None) is not None


def sqlalchemy_name_and_attributes(
    names: Any, conn: Any, cursor: Any, statement: str
) -> tuple[str, dict[str, Any]]:
    """Name the span of a statement as upstream does, and give its attributes.

    Args:
        names: From `sqlalchemy_names` of the connection's engine.
        conn: The SQLAlchemy connection.
        cursor: The driver's cursor.
        statement: The SQL text.
    """
    from opentelemetry.instrumentation import _semconv
    from opentelemetry.instrumentation.sqlalchemy import engine as upstream

    modes = (names._sem_conv_opt_in_mode_db, names._sem_conv_opt_in_mode_http)
    attributes, found = upstream._get_attributes_from_url(conn.engine.url, *modes)
    if not found:
        attributes = upstream._get_attributes_from_cursor_or_conn(
            names.vendor, conn, cursor, attributes, *modes
        )
    database = upstream._get_db_name_from_cursor_or_conn(names.vendor, conn, cursor)
    name = names._operation_name(database, statement)
    _semconv._set_db_statement(attributes, statement, modes[0])
    _semconv._set_db_system(attributes, names.vendor, modes[0])
    return name, attributes


def suppressed() -> bool:
    """Say whether an exporter, or who wants its silence, runs in the current context.

    Our own flag during a statement is an object that is true, not `True`: records of then are the application's.
    """
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value

    return get_value(_SUPPRESS_INSTRUMENTATION_KEY) is True


# --- aiosqlite


def wrap_aiosqlite_calls(wrapper: Callable[..., Any]) -> None:
    """Wrap `Connection._execute(function, …)`: every call of a connection or cursor passes it to the thread."""
    from aiosqlite.core import Connection
    from wrapt import wrap_function_wrapper

    wrap_function_wrapper(Connection, "_execute", wrapper)


def unwrap_aiosqlite_calls() -> None:
    """Undo `wrap_aiosqlite_calls`."""
    from aiosqlite.core import Connection
    from opentelemetry.instrumentation.utils import unwrap

    unwrap(Connection, "_execute")
