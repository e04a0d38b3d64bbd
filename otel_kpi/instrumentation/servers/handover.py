"""Servers: where an application is handed to one, whatever the command line that started it.

Each request begins in an empty context there: nothing of an earlier one on the same connection, and nothing that
has lasted since the process began, is its parent (open-telemetry/opentelemetry-python-contrib#3846: the span of a
command line took every request). An application whose framework has no row of its own, plain ASGI and WSGI, gets
its SERVER span there too. And the process is no script from then on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.runtime import script
from otel_kpi.instrumentation.servers.asgi import TYPES
from otel_kpi.instrumentation.servers.asgi import Traced as TracedAsgi
from otel_kpi.instrumentation.servers.server_request import MARK, ServerRequest
from otel_kpi.instrumentation.servers.wsgi import Traced as TracedWsgi

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_INSIDE: Final = ("app", "application", "asgi_app", "_app", "inner", "wrapped")
"""Where middlewares keep the application that they stand in front of."""

_DEEPEST: Final = 20
"""Middlewares that are looked through."""

_SPEAKING: Final = (
    ("fastapi.applications", "FastAPI"),
    ("starlette.applications", "Starlette"),
    ("flask.app", "Flask"),
    ("django.core.handlers.asgi", "ASGIHandler"),
    ("django.core.handlers.wsgi", "WSGIHandler"),
    ("opentelemetry.instrumentation.asgi", "OpenTelemetryMiddleware"),
    ("opentelemetry.instrumentation.wsgi", "OpenTelemetryMiddleware"),
)
"""Applications that have a row of their own, or the user's middleware. A row that is off stays off here."""

_PASSING: Final = ("django.contrib.staticfiles.handlers", "StaticFilesHandlerMixin")
"""A Django application that passes on what is no file: under `runserver` all of Channels stands behind it."""


def serve_asgi(app: Any) -> Any:
    """Give what a server shall call in the place of an ASGI application. Never raises: the server has to start."""
    try:
        return app if isinstance(app, _AsgiEntry) else _AsgiEntry(app)
    except Exception as error:
        Boundary("asgi").failed(error)
        return app


def serve_wsgi(app: Any) -> Any:
    """Give what a server shall call in the place of a WSGI application. Never raises: the server has to start."""
    try:
        script.became_server()
        return app if isinstance(app, _WsgiEntry) else _WsgiEntry(app)
    except Exception as error:
        Boundary("wsgi").failed(error)
        return app


class _AsgiEntry:
    def __init__(self, app: Any) -> None:
        self.app = app
        self._speaks = _speaks_for_itself(app)
        self._inner = app if self._speaks else TracedAsgi(app, "asgi")
        self._serves = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in TYPES:
            await self._live(scope, receive, send)
            return
        if not self._serves:
            self._serves = True
            script.became_server()

        async def send_within(message: Any) -> None:
            # A server writes its access line when it is handed the response; Django's span has ended by then.
            begun = None if trace.get_current_span().get_span_context().is_valid else _context_of(scope)
            if begun is None:
                await send(message)
                return
            token = context.attach(begun)
            try:
                await send(message)
            finally:
                context.detach(token)

        token = context.attach(context.Context())
        try:
            # What a WebSocket sends has the context of whoever sends it, and asking for it would be looking.
            within = self._speaks and scope["type"] == "http"
            await self._inner(scope, receive, send_within if within else send)
        except Exception:
            # What the server says of the error, and its access line, belong to the request. Its task ends then.
            begun = _context_of(scope)
            if begun is not None:
                context.attach(begun)
            raise
        context.detach(token)

    async def _live(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the lifespan: what the application does to start is still below the root of the process."""

        async def watched(message: Any) -> None:
            if message["type"].startswith("lifespan.startup."):
                script.became_server()
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            script.became_server()


def _context_of(carrier: Any) -> Context | None:
    """Give the context of the request that was begun with a scope or an environment."""
    begun = carrier.get(MARK)
    if not isinstance(begun, ServerRequest) or begun.span is None:
        return None
    return trace.set_span_in_context(begun.span, context.Context())


class _WsgiEntry:
    def __init__(self, app: Any) -> None:
        self.app = app
        self._inner = app if _speaks_for_itself(app) else TracedWsgi(app, "wsgi")

    def __call__(self, environ: Any, start_response: Any) -> Any:
        token = context.attach(context.Context())
        try:
            return self._inner(environ, start_response)
        finally:
            context.detach(token)


def _speaks_for_itself(app: Any) -> bool:
    """Say whether the framework behind an application begins its requests, whatever middlewares stand before it.

    Where it is not seen, the request begins here, and the framework finds that it has.
    """
    classes = tuple(
        cls for module, name in _SPEAKING if (cls := getattr(sys.modules.get(module), name, None)) is not None
    )
    passing = getattr(sys.modules.get(_PASSING[0]), _PASSING[1], ())
    for _ in range(_DEEPEST):
        if isinstance(app, classes) and not isinstance(app, passing):
            return True
        try:
            attributes = vars(app)
        except TypeError:
            return False
        inner = next((attributes[name] for name in _INSIDE if callable(attributes.get(name))), None)
        if inner is None:
            return False
        app = inner
    return False


# --- one class for each server: the moment at which it has its application


class _Server:
    """Wraps one method of a server, and can undo it."""

    is_instrumented_by_opentelemetry: Final = False

    def __init__(self, module: str, method: str, wrapper: Callable[..., Any]) -> None:
        self._module = module
        self._method = method
        self._wrapper = wrapper

    def instrument(self, **_options: Any) -> None:
        """Wrap the method."""
        from wrapt import wrap_function_wrapper

        wrap_function_wrapper(self._module, self._method, self._wrapper)

    def uninstrument(self) -> None:
        """Unwrap it; servers that run keep their application."""
        from opentelemetry.instrumentation.utils import unwrap

        path, _, name = self._method.rpartition(".")
        unwrap(f"{self._module}.{path}" if path else self._module, name)


class _Servers:
    """Several of them as one."""

    is_instrumented_by_opentelemetry: Final = False

    def __init__(self, *servers: _Server) -> None:
        self._servers = servers

    def instrument(self, **options: Any) -> None:
        """Wrap each."""
        for server in self._servers:
            server.instrument(**options)

    def uninstrument(self) -> None:
        """Unwrap each."""
        for server in self._servers:
            server.uninstrument()


def _after(attribute: str, serve: Callable[[Any], Any]) -> Callable[..., Any]:
    """Give a wrapper that replaces an attribute of the server once the wrapped method has set it."""

    def wrapper(wrapped: Any, server: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        app = getattr(server, attribute, None)
        if app is not None:
            setattr(server, attribute, serve(app))
        return result

    return wrapper


def _uvicorn_load(wrapped: Any, config: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    # Its bridge to WSGI calls the application in a thread with another context: that application begins there.
    if config.interface == "wsgi":
        bridge = config.loaded_app
        while bridge is not None and not type(bridge).__name__.endswith("WSGIMiddleware"):
            bridge = getattr(bridge, "app", None)
        if bridge is not None:
            bridge.app = serve_wsgi(bridge.app)
    else:
        config.loaded_app = serve_asgi(config.loaded_app)
    return result


def _gunicorn_load(wrapped: Any, worker: Any, args: Any, kwargs: Any) -> Any:
    result = wrapped(*args, **kwargs)
    # A worker class of somebody else may have loaded an ASGI application: uvicorn's does, and hands it to uvicorn.
    if type(worker).__module__.startswith("gunicorn.workers.") and getattr(worker, "wsgi", None) is not None:
        worker.wsgi = serve_wsgi(worker.wsgi)
    return result


def _gunicorn_access(wrapped: Any, _logger: Any, args: Any, kwargs: Any) -> Any:
    # Response, request, environment, duration: written after the response, when the request's context is left.
    environ = args[2] if len(args) > 2 else kwargs.get("environ")  # noqa: PLR2004 - the third
    begun = _context_of(environ) if isinstance(environ, dict) else None
    if begun is None:
        return wrapped(*args, **kwargs)
    token = context.attach(begun)
    try:
        return wrapped(*args, **kwargs)
    finally:
        context.detach(token)


def uvicorn() -> _Server:
    """uvicorn, also where a worker class of gunicorn or a program's own `uvicorn.run` starts it."""
    return _Server("uvicorn.config", "Config.load", _uvicorn_load)


def hypercorn() -> _Servers:
    """hypercorn, with an ASGI or a WSGI application."""
    return _Servers(
        _Server("hypercorn.app_wrappers", "ASGIWrapper.__init__", _after("app", serve_asgi)),
        _Server("hypercorn.app_wrappers", "WSGIWrapper.__init__", _after("app", serve_wsgi)),
    )


def daphne() -> _Server:
    """daphne, and Channels' `runserver`."""
    return _Server("daphne.server", "Server.__init__", _after("application", serve_asgi))


def gunicorn() -> _Servers:
    """Gunicorn's own worker classes for WSGI, and its access lines."""
    return _Servers(
        _Server("gunicorn.workers.base", "Worker.load_wsgi", _gunicorn_load),
        _Server("gunicorn.glogging", "Logger.access", _gunicorn_access),
    )


def gunicorn_asgi() -> _Server:
    """Gunicorn's own worker class for ASGI."""
    return _Server("gunicorn.workers.gasgi", "ASGIWorker.load_wsgi", _after("asgi", serve_asgi))


def waitress() -> _Server:
    """Waitress."""
    return _Server("waitress.server", "BaseWSGIServer.__init__", _after("application", serve_wsgi))


def werkzeug() -> _Server:
    """Werkzeug's development server: `flask run`."""
    return _Server("werkzeug.serving", "BaseWSGIServer.__init__", _after("app", serve_wsgi))


def wsgiref() -> _Server:
    """The standard library's server: Django's `runserver`."""
    return _Server("wsgiref.simple_server", "WSGIServer.set_app", _after("application", serve_wsgi))


class _Granian:
    """granian, whose workers call the application from Rust."""

    is_instrumented_by_opentelemetry: Final = False

    def __init__(self, kind: str, serve: Callable[[Any], Any]) -> None:
        self._kind = kind
        self._serve = serve

    def instrument(self, **_options: Any) -> None:
        """Wrap what granian calls around an application."""

        def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
            application, *rest = args
            return wrapped(self._serve(application), *rest, **kwargs)

        _compat.wrap_granian_application(self._kind, wrapper)

    def uninstrument(self) -> None:
        """Unwrap it."""
        _compat.unwrap_granian_application(self._kind)


def granian_asgi() -> _Granian:
    """Granian with an ASGI application."""
    return _Granian("asgi", serve_asgi)


def granian_wsgi() -> _Granian:
    """Granian with a WSGI application."""
    return _Granian("wsgi", serve_wsgi)
