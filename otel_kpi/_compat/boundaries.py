"""Where upstream's instrumentors put their wrappers in place: the guards get in front of each.

Upstream has no hook for it. Most of its instrumentors wrap by wrapt's `wrap_function_wrapper`, which their modules hold
by name; the others assign to a method, or are middlewares.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    Guard = Callable[[Callable[..., Any]], Callable[..., Any]]

UPSTREAM: Final = "opentelemetry.instrumentation"
_BEFORE: Final = "_otel_kpi_before"
_GUARDED: Final = "_otel_kpi_guarded"


class _Wrapt:
    """The module wrapt with another `wrap_function_wrapper`, for modules that call it by its full name."""

    def __init__(self, wrapt: ModuleType, wrap_function_wrapper: Callable[..., Any]) -> None:
        self.wrapt = wrapt
        self.wrap_function_wrapper = wrap_function_wrapper

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapt, name)


def guard_wrapt(module_name: str, guard: Guard) -> None:
    """Have a module, and those below it, give wrapt guarded wrappers only.

    Args:
        module_name: Name of a module that is imported.
        guard: Makes a guarded wrapper of a wrapper.
    """
    import wrapt

    original = wrapt.wrap_function_wrapper

    @functools.wraps(original)
    def wrap_function_wrapper(*args: Any, **kwargs: Any) -> Any:
        # (target, name, wrapper); the first was called `module` before wrapt 2
        if "wrapper" in kwargs:
            kwargs["wrapper"] = guard(kwargs["wrapper"])
        else:
            args = (*args[:-1], guard(args[-1]))
        return original(*args, **kwargs)

    # `copy` and not `list(….items())`: before Python 3.12 each pair may begin a garbage collection, whose callbacks let
    # other threads import.
    for name, module in sys.modules.copy().items():
        if name != module_name and not name.startswith(f"{module_name}."):
            continue
        for attribute, value in vars(module).copy().items():
            if value is original:
                setattr(module, attribute, wrap_function_wrapper)
            elif value is wrapt:
                setattr(module, attribute, _Wrapt(wrapt, wrap_function_wrapper))


def guard_instrumentor(module_name: str, guard: Guard, boundary: Any, servers: Any) -> None:
    """Guard what the module of an instrumentor puts in place, now and later.

    Args:
        module_name: A module that is imported.
        guard: Makes a guarded wrapper of a wrapper.
        boundary: The `Boundary` of the instrumentor.
        servers: The module with the guards for what keeps the function it wraps.
    """
    guard_wrapt(module_name, guard)
    special = _SPECIAL.get(module_name.removeprefix(f"{UPSTREAM}."))
    module = sys.modules[module_name]
    if special is not None and not vars(module).get(_GUARDED):
        setattr(module, _GUARDED, True)
        special(module, boundary, servers)


def _boundary_of_scope(boundary: Any, tracer: Any) -> Any:
    """Give the boundary of the instrumentor whose tracer a shared part of upstream's was given."""
    scope = getattr(tracer, "instrumentation_scope", None) or getattr(tracer, "_instrumentation_scope", None)
    name = getattr(scope, "name", None) or getattr(tracer, "_instrumenting_module_name", "")
    if not name.startswith(f"{UPSTREAM}."):
        return boundary
    return type(boundary)(name.removeprefix(f"{UPSTREAM}."))


def _guard_asgi(module: Any, boundary: Any, servers: Any) -> None:
    from wrapt import wrap_function_wrapper

    def boundary_of(middleware: Any) -> Any:
        return _boundary_of_scope(boundary, middleware.tracer)

    wrap_function_wrapper(module.OpenTelemetryMiddleware, "__call__", servers.asgi(boundary_of))


def _guard_wsgi(module: Any, boundary: Any, servers: Any) -> None:
    from wrapt import wrap_function_wrapper

    def boundary_of(_middleware: Any) -> Any:
        return boundary

    wrap_function_wrapper(module.OpenTelemetryMiddleware, "__call__", servers.wsgi(boundary_of))


def _guard_dbapi(module: Any, boundary: Any, _servers: Any) -> None:
    """Cursors call `traced_execution(cursor, method, *args)` of their tracer: the method is what is wrapped."""
    from wrapt import wrap_function_wrapper

    def boundary_of(tracer: Any) -> Any:
        name = tracer._db_api_integration._name
        return type(boundary)(name.rpartition(".")[2]) if name.startswith(f"{UPSTREAM}.") else boundary

    def execute(wrapped: Any, tracer: Any, args: Any, kwargs: Any) -> Any:
        cursor, method, *rest = args

        def traced(call: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
            return wrapped(cursor, call, *args, **kwargs)

        return boundary_of(tracer).call(traced, method, None, tuple(rest), kwargs)

    async def execute_async(wrapped: Any, tracer: Any, args: Any, kwargs: Any) -> Any:
        cursor, method, *rest = args

        async def traced(call: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
            return await wrapped(cursor, call, *args, **kwargs)

        return await boundary_of(tracer).call_async(traced, method, None, tuple(rest), kwargs)

    wrap_function_wrapper(module.CursorTracer, "traced_execution", execute)
    wrap_function_wrapper(module.CursorTracer, "traced_execution_async", execute_async)


def _guard_requests(module: Any, boundary: Any, servers: Any) -> None:
    """Assigns to `Session.send`, and keeps what was there."""
    original = module._instrument

    @functools.wraps(original)
    def instrument(*args: Any, **kwargs: Any) -> Any:
        return servers.assigning(boundary, module.Session, "send", lambda: original(*args, **kwargs))

    module._instrument = instrument


def _guard_fastapi(module: Any, boundary: Any, servers: Any) -> None:
    """Assigns to `BackgroundTask.__call__` when the first application is instrumented."""
    original = module.FastAPIInstrumentor.instrument_app

    @functools.wraps(original)
    def instrument_app(*args: Any, **kwargs: Any) -> Any:
        if hasattr(module.BackgroundTask, "_otel_original_call"):
            return original(*args, **kwargs)
        return servers.assigning(
            boundary, module.BackgroundTask, "__call__", lambda: original(*args, **kwargs)
        )

    module.FastAPIInstrumentor.instrument_app = staticmethod(instrument_app)


def _guard_django(_module: Any, boundary: Any, _servers: Any) -> None:
    """A middleware in Django's own manner: methods before and after the view, and nothing that is wrapped."""
    from opentelemetry import context
    from opentelemetry.instrumentation.django.middleware import otel_middleware
    from wrapt import wrap_function_wrapper

    cls = otel_middleware._DjangoMiddleware

    def process_request(wrapped: Any, _middleware: Any, args: Any, kwargs: Any) -> None:
        (request,) = args
        setattr(request, _BEFORE, context.get_current())
        boundary.listener(wrapped, begins=True)(request, **kwargs)

    def process_view(wrapped: Any, _middleware: Any, args: Any, kwargs: Any) -> None:
        boundary.listener(wrapped)(*args, **kwargs)

    def process_response(wrapped: Any, middleware: Any, args: Any, kwargs: Any) -> Any:
        request, response = args
        # Without this key the request was not begun, and a count of requests under way would be taken down.
        if middleware._environ_active_request_attr_key not in request.META:
            return response
        try:
            return wrapped(request, response, **kwargs)
        except Exception as error:
            boundary.failed(error)
        before = getattr(request, _BEFORE, None)
        if before is not None and before is not context.get_current():
            context.attach(before)
        return response

    wrap_function_wrapper(cls, "process_request", process_request)
    wrap_function_wrapper(cls, "process_view", process_view)
    wrap_function_wrapper(cls, "process_exception", process_view)
    wrap_function_wrapper(cls, "process_response", process_response)


def _guard_pika(_module: Any, boundary: Any, servers: Any) -> None:
    """Assigns decorated functions to channels and consumers."""
    from opentelemetry.instrumentation.pika import utils

    utils._decorate_callback = servers.decorating(boundary, utils._decorate_callback, 0)
    utils._decorate_basic_publish = servers.decorating(boundary, utils._decorate_basic_publish, 0)


def _guard_aio_pika(_module: Any, boundary: Any, servers: Any) -> None:
    """Hands the application's callback on, decorated."""
    from opentelemetry.instrumentation.aio_pika.callback_decorator import CallbackDecorator

    decorator: Any = CallbackDecorator
    decorator.decorate = servers.decorating(boundary, decorator.decorate, 1)


def _guard_aiohttp_client(module: Any, boundary: Any, _servers: Any) -> None:
    """Gives aiohttp callbacks; what these raise would come up in the request."""
    original = module.create_trace_config

    @functools.wraps(original)
    def create_trace_config(*args: Any, **kwargs: Any) -> Any:
        config = original(*args, **kwargs)
        for signal in (config.on_request_start, config.on_request_end, config.on_request_exception):
            signal[:] = [
                boundary.listener(callback, begins=signal is config.on_request_start) for callback in signal
            ]
        return config

    module.create_trace_config = create_trace_config


def _guard_aiohttp_server(module: Any, boundary: Any, _servers: Any) -> None:
    """Puts a middleware `(request, handler)` into each application."""
    original = module.create_aiohttp_middleware

    @functools.wraps(original)
    def create_aiohttp_middleware(*args: Any, **kwargs: Any) -> Any:
        middleware = original(*args, **kwargs)

        async def traced(call: Any, _instance: Any, args: Any, _kwargs: Any) -> Any:
            return await middleware(args[0], call)

        @functools.wraps(middleware)
        async def guarded(request: Any, handler: Any) -> Any:
            return await boundary.call_async(traced, handler, None, (request,), {})

        return guarded

    module.create_aiohttp_middleware = create_aiohttp_middleware
    module.middleware = create_aiohttp_middleware()


def _guard_sqlalchemy(module: Any, boundary: Any, _servers: Any) -> None:
    """Registers listeners for an engine that the application hands over; what these raise would fail the statement."""
    tracer = module.EngineTracer
    before = tracer._before_cur_exec

    @functools.wraps(before)
    def before_cur_exec(self: Any, conn: Any, cursor: Any, statement: Any, params: Any, *rest: Any) -> Any:
        if boundary.open:
            try:
                return before(self, conn, cursor, statement, params, *rest)
            except Exception as error:
                boundary.failed(error)
        return statement, params

    tracer._before_cur_exec = before_cur_exec
    for owner, name in (
        *((module, name) for name in ("_after_cur_exec", "_handle_error")),
        *((tracer, name) for name in ("_pool_connect", "_pool_close", "_pool_checkin", "_pool_checkout")),
    ):
        setattr(owner, name, boundary.listener(getattr(owner, name)))


_SPECIAL: Final[dict[str, Callable[[Any, Any, Any], None]]] = {
    "aio_pika": _guard_aio_pika,
    "aiohttp_client": _guard_aiohttp_client,
    "aiohttp_server": _guard_aiohttp_server,
    "asgi": _guard_asgi,
    "dbapi": _guard_dbapi,
    "django": _guard_django,
    "fastapi": _guard_fastapi,
    "pika": _guard_pika,
    "requests": _guard_requests,
    "sqlalchemy.engine": _guard_sqlalchemy,
    "wsgi": _guard_wsgi,
}

SHARED_MODULES: Final = tuple(
    f"{UPSTREAM}.{name}" for name in ("asgi", "dbapi", "django", "fastapi", "sqlalchemy.engine", "wsgi")
)
"""Modules that applications and other instrumentors use without an instrumentor of the table's."""
