"""The only module that touches another library's private parts.

Each function names what it touches and why nothing public does the same. `tests/unit/test_compat.py` calls
every one of them on the installed versions, so that a change over there is seen here first.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler
    from urllib3 import PoolManager

# --- opentelemetry-sdk: resource and metric state


def update_resource(
    resource: Resource,
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    logger_provider: LoggerProvider | None,
) -> None:
    """Merge `resource` over that of each provider, for telemetry recorded from now on.

    opentelemetry-sdk makes a provider's resource final, but does the same itself after a fork.
    """
    for provider in (tracer_provider, meter_provider, logger_provider):
        if provider is not None:
            provider._update_resource(resource)  # pyright: ignore[reportPrivateUsage]


def empty_metric_state(provider: MeterProvider, reader: MetricReader) -> None:
    """Forget every sum of a reader, so that a forked child does not report its parent's.

    opentelemetry-sdk copies the parent's sums into the child: the series of both then add up to more than
    was counted. Locks are renewed too, since a thread of the parent may have held them at the fork.
    """
    consumer: Any = provider._measurement_consumer
    consumer._lock = threading.Lock()
    consumer.remove_metric_reader(reader)
    consumer.add_metric_reader(reader)
    meters: Any = provider._meters  # pyright: ignore[reportPrivateUsage]
    for meter in tuple(meters.values()):
        meter._instrument_registration_lock = threading.Lock()


def empty_metric_states(provider: Any) -> None:
    """Forget the sums of every reader of a provider; nothing when it has none."""
    for reader in getattr(provider, "_metric_readers", ()):
        empty_metric_state(provider, reader)


def forget_exit_handler(provider: Any) -> None:
    """Take a provider's `shutdown` out of `atexit`; it waits without end for a receiver that is not there."""
    import atexit

    handler = getattr(provider, "_atexit_handler", None)
    if handler is not None:
        atexit.unregister(handler)
        provider._atexit_handler = None


def holds_metric_lock(frame: FrameType | None) -> bool:
    """Say whether the code that a signal interrupted holds a lock of opentelemetry-sdk's metrics.

    Each instrument and each attribute set has one while a measurement is recorded, and a collection waits for it.
    """
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("otel_kpi.sdk."):
            return False  # it waits for the export thread and holds nothing
        if module.startswith("opentelemetry.sdk.metrics._internal."):
            lock = getattr(frame.f_locals.get("self"), "_lock", None)
            held = getattr(lock, "_is_owned", None) or getattr(lock, "locked", None)
            if held is not None and held():
                return True
        frame = frame.f_back
    return False


# --- opentelemetry-api: values of attributes


def guard_attribute_values() -> None:
    """Have a value whose `__str__` raises become text instead of an exception in the application.

    opentelemetry-api calls `str()` on values of other types, and lets what that raises through.
    """
    from opentelemetry import attributes

    clean: Any = attributes._clean_attribute_value  # pyright: ignore[reportPrivateUsage]
    if getattr(clean, "guarded", False):
        return

    def guarded(value: Any, *arguments: Any) -> Any:
        try:
            return clean(value, *arguments)
        except Exception:
            return f"<{type(value).__name__}>"

    guarded.guarded = True  # pyright: ignore[reportFunctionMemberAccess]
    attributes._clean_attribute_value = guarded  # pyright: ignore[reportPrivateUsage]


# --- opentelemetry-sdk: components that are chosen by name


def sampler_by_name(name: str, argument: str | None) -> Sampler:
    """Build a sampler from OpenTelemetry's names or a plug-in.

    Raises:
        LookupError: No sampler of that name is installed.
        ValueError: The argument is not what the sampler takes.
    """
    from opentelemetry.sdk._configuration import _import_sampler_factory  # pyright: ignore[reportPrivateUsage]

    try:
        factory = _import_sampler_factory(name)
    except RuntimeError as error:
        raise LookupError(str(error)) from error
    if name in {"traceidratio", "parentbased_traceidratio"}:
        return factory(1.0 if argument is None else float(argument))
    return factory(argument)


def id_generator_by_name(name: str) -> IdGenerator:
    """Build an id generator from its entry point.

    Raises:
        LookupError: No id generator of that name is installed.
    """
    from opentelemetry.sdk._configuration import _import_id_generator  # pyright: ignore[reportPrivateUsage]

    try:
        return _import_id_generator(name)
    except RuntimeError as error:
        raise LookupError(str(error)) from error


# --- imports: wrapt's hooks and the interpreter's own marks


def after_import(name: str, hook: Callable[[Any], None]) -> None:
    """Call `hook(module)` when the import of `name` has ended; now, if that was before."""
    from wrapt import register_post_import_hook

    register_post_import_hook(hook, name)


def import_ended(name: str, *, absent: bool = False) -> bool:
    """Say whether a module is imported and not half made.

    The interpreter marks a module whose body is still running on its spec; nothing public says it.

    Args:
        name: Full name of the module.
        absent: What to answer about a module that is not imported at all.
    """
    module = sys.modules.get(name)
    if module is None:
        return absent
    return not getattr(getattr(module, "__spec__", None), "_initializing", False)


def is_importing(thread: threading.Thread) -> bool:
    """Say whether a thread is in the middle of an import.

    A child that is forked in that moment waits for ever when it imports the same module: the interpreter does not
    renew the lock of a module that is half made.
    """
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


def is_dependency_conflict(error: Exception) -> bool:
    """Say whether an upstream instrumentor refused the installed version of its library."""
    from opentelemetry.instrumentation.dependencies import DependencyConflictError

    return isinstance(error, DependencyConflictError)


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


# --- sentry-sdk and what links its events


def on_record_exception(stamp: Callable[[Any, BaseException], None]) -> None:
    """Call `stamp(span, error)` whenever a span of opentelemetry-sdk records an exception.

    A span processor sees the event's text and not the exception object.
    """
    from opentelemetry.sdk.trace import Span

    original = Span.record_exception

    def record_exception(self: Span, exception: BaseException, *args: Any, **kwargs: Any) -> None:
        stamp(self, exception)
        original(self, exception, *args, **kwargs)

    Span.record_exception = record_exception


def thread_context(thread: threading.Thread | None) -> Any:
    """Give the OpenTelemetry context that upstream's ThreadingInstrumentor left on a thread, or None.

    It is detached before `threading.excepthook` runs.
    """
    return getattr(thread, "_otel_context", None)


def load_without(name: str, refused: str) -> Any:
    """Import a module whose optional import of the package `refused` fails.

    Unlike a gap in `sys.modules` it concerns no other module and no other thread. Once `refused` is imported by
    the application, nothing is kept from it.
    """
    import builtins
    from importlib import import_module, util

    if name in sys.modules or refused in sys.modules:
        return import_module(name)
    spec = util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)

    def guarded(target: str, *args: Any, **kwargs: Any) -> Any:
        if target.partition(".")[0] == refused and refused not in sys.modules:
            raise ImportError(f"{refused} is not used by this process", name=refused)
        return builtins.__import__(target, *args, **kwargs)

    module: Any = util.module_from_spec(spec)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": guarded}
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


@contextlib.contextmanager
def sentry_without_django() -> Generator[None]:
    """Keep `sentry_sdk.init` from importing Django, which it does for Spotlight (0.2 s) wherever it is installed."""
    mine = "sentry_sdk.spotlight" not in sys.modules and "django" not in sys.modules
    load_without("sentry_sdk.spotlight", "django")
    try:
        yield
    finally:
        if mine:
            # A later `init` of the application finds the whole module.
            sys.modules.pop("sentry_sdk.spotlight", None)


def sentry_transport(lost: Callable[[str, int], None], outcome: Callable[[str | None], None]) -> type[Any]:
    """Make a transport that leaves no span of its own, retries no silently queued request and tells its outcome.

    Args:
        lost: Called with the reason and the number of events that will not arrive.
        outcome: Called after each request with what went wrong, or None.
    """
    from opentelemetry.instrumentation.utils import suppress_instrumentation
    from sentry_sdk.transport import HttpTransport

    class Transport(HttpTransport):
        def _get_pool_options(self) -> dict[str, Any]:
            # urllib3 writes a warning for each retry; Sentry drops and counts what fails.
            return {**super()._get_pool_options(), "retries": False}

        def _request(self, *args: Any, **kwargs: Any) -> Any:
            with suppress_instrumentation():
                try:
                    response = super()._request(*args, **kwargs)
                except Exception as error:
                    outcome(type(error).__name__)
                    raise
            status = response.status
            if status != 429:  # noqa: PLR2004 a rate limit is an answer
                outcome(None if status < 300 else f"HTTP {status}")  # noqa: PLR2004
            return response

        def record_lost_event(
            self, reason: str, data_category: Any = None, item: Any = None, *, quantity: int = 1
        ) -> None:
            if (item.data_category if item is not None else data_category) == "error":
                lost(reason, quantity)
            super().record_lost_event(reason, data_category, item, quantity=quantity)

    return Transport


def sentry_frameworks(active: Callable[[], bool], entered: Callable[[], None]) -> None:
    """Switch on Sentry's integration of a framework once the application has imported the framework.

    `auto_enabling_integrations` imports every framework that is installed (1.2 s with Django, FastAPI and
    SQLAlchemy). They can be added to a running client only through its `integrations` mapping.

    Args:
        active: Whether the current client is ours; an application's own client is left alone.
        entered: Called when a request has reached its endpoint, in the context of its span.
    """

    def add(make: Callable[[], Any]) -> None:
        try:
            if active():
                _add_sentry_integration(make())
        except Exception as error:
            logging.getLogger("otel_kpi.sentry").warning(
                "A framework integration of Sentry is off (%s: %s)", type(error).__name__, error
            )

    after_import("starlette.applications", lambda _module: add(lambda: _starlette_integration(entered)))
    after_import("fastapi", lambda _module: add(lambda: _fastapi_integration(entered)))
    after_import("flask", lambda _module: add(_flask_integration))
    after_import("celery.app.trace", lambda _module: add(_celery_integration))
    after_import(
        "django.core.handlers.base",
        lambda module: _before_load_middleware(module, lambda: add(_django_integration)),
    )


def _add_sentry_integration(integration: Any) -> None:
    import sentry_sdk
    from sentry_sdk.integrations import setup_integrations

    client = sentry_sdk.get_client()
    client.integrations.update(setup_integrations([integration], with_defaults=False, options=client.options))


def _before_load_middleware(module: Any, action: Callable[[], None]) -> None:
    # The handlers are half imported until then, and the settings may not be known.
    original = module.BaseHandler.load_middleware
    done = False

    def load_middleware(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal done
        if not done:
            done = True
            action()
        return original(self, *args, **kwargs)

    module.BaseHandler.load_middleware = load_middleware


def _call_when_entered(module: Any, entered: Callable[[], None]) -> None:
    # The one thing that the integrations do for each request when the endpoint is known.
    original = module._set_transaction_name_and_source

    def set_transaction_name_and_source(*args: Any, **kwargs: Any) -> None:
        entered()
        original(*args, **kwargs)

    module._set_transaction_name_and_source = set_transaction_name_and_source


def _starlette_integration(entered: Callable[[], None]) -> Any:
    load_without("sentry_sdk.integrations._wsgi_common", "django")
    from sentry_sdk.integrations import starlette

    if "jinja2" not in sys.modules:
        # It would import Jinja2, to offer templates the headers of a tracing that is off.
        starlette.patch_templates = lambda: None
    _call_when_entered(starlette, entered)
    return starlette.StarletteIntegration()


def _fastapi_integration(entered: Callable[[], None]) -> Any:
    from sentry_sdk.integrations import fastapi

    _call_when_entered(fastapi, entered)
    return fastapi.FastApiIntegration()


def _flask_integration() -> Any:
    load_without("sentry_sdk.integrations._wsgi_common", "django")
    from sentry_sdk.integrations.flask import FlaskIntegration

    return FlaskIntegration()


def _celery_integration() -> Any:
    from sentry_sdk.integrations.celery import CeleryIntegration

    return CeleryIntegration(propagate_traces=False)


def _django_integration() -> Any:
    from sentry_sdk.integrations.django import DjangoIntegration

    _wsgi_common: Any = sys.modules["sentry_sdk.integrations._wsgi_common"]
    if _wsgi_common.RawPostDataException is None:  # loaded without Django, for another framework
        from django.http.request import RawPostDataException

        _wsgi_common.RawPostDataException = RawPostDataException
        _wsgi_common._RAW_DATA_EXCEPTIONS = (RawPostDataException, ValueError)
    return DjangoIntegration(signals_spans=False)


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


# --- urllib3: connections of the parent process


def abandon_pools(manager: PoolManager) -> None:
    """Have a forked child never wait for a lock that a thread of its parent held at the fork.

    urllib3 empties the queue of each pool when the pool is collected and when the interpreter ends, and takes the
    queue's lock for it.
    """
    pools: Any = manager.pools
    for pool in tuple(pools._container.values()):
        queue: Any = pool.pool
        if queue is not None:
            queue.__init__(queue.maxsize)
    pools.lock = threading.RLock()


# --- CPython: a program that takes the place of this one


def before_exec(hook: Callable[[], None]) -> None:
    """Call `hook()` before this process becomes another program by one of `os.exec*`.

    All of them end in these two functions. The interpreter offers nothing but an audit hook, which would be called
    at every import and every file that is opened.
    """
    import functools
    import os

    def wrapped(execute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(execute)
        def flush_and_execute(*arguments: Any) -> Any:
            hook()
            return execute(*arguments)

        return flush_and_execute

    os.execv = wrapped(os.execv)  # pyright: ignore[reportAttributeAccessIssue]
    os.execve = wrapped(os.execve)  # pyright: ignore[reportAttributeAccessIssue]


# --- CPython: the status of a program that Ctrl-C ended


def remember_keyboard_interrupt() -> None:
    """Have CPython still end by SIGINT after a `KeyboardInterrupt` that nobody caught.

    The interpreter notes that the last code it ran from text was interrupted, and forgets it when anything else
    is run from text before the end (a named tuple that is made at import is enough, and sending imports). Without
    the note the status is 1, and a shell does not stop its script.
    """
    try:
        exec("raise KeyboardInterrupt")  # noqa: S102 - a constant; this sets the note again
    except KeyboardInterrupt:
        pass


# --- opentelemetry-sdk: a finished span


def span_parts(span: ReadableSpan) -> tuple[Any, ...]:
    """Everything that a finished span says, in one go.

    The properties of opentelemetry-sdk copy each collection and take a lock for it, which costs as much as
    encoding the span; the span has ended, so nobody changes them. A span of another make, or one whose inside
    is not what it was, is read through its properties.

    Returns:
        name, context, parent, kind (0 to 4), status, start and end (nanoseconds), attributes, events, links,
        and the dropped counts of the last three.
    """
    try:
        fields = span.__dict__
        attributes, events, links = fields["_attributes"], fields["_events"], fields["_links"]
        return (
            fields["_name"],
            fields["_context"],
            fields["_parent"],
            fields["_kind"]._value_,
            fields["_status"],
            fields["_start_time"],
            fields["_end_time"],
            attributes._dict,
            events._dq,
            links._dq,
            attributes.dropped,
            events.dropped,
            links.dropped,
        )
    except (AttributeError, KeyError):
        return (
            span.name,
            span.context,
            span.parent,
            span.kind.value,
            span.status,
            span.start_time,
            span.end_time,
            span.attributes,
            span.events,
            span.links,
            span.dropped_attributes,
            span.dropped_events,
            span.dropped_links,
        )
