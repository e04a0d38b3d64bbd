"""aiohttp's own server: one SERVER span for a request, from its headers to its access line.

Upstream replaces the name `aiohttp.web.Application` and puts a middleware into each: an application that is mounted
in another has a second SERVER span, one that was made before has none, what the server itself answers (a request
that it cannot read, an error of the handler) and its access lines are outside. Here the one method is wrapped in
which the server has a request answered. A WebSocket is one span, from its handshake to its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Status, StatusCode

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.runtime import script
from otel_kpi.instrumentation.servers import server_address
from otel_kpi.instrumentation.servers.asgi import CLOSE_CODE, INTERNAL_ERROR, captured_headers, readable
from otel_kpi.instrumentation.servers.excluded_urls import exclude_list, excluded_context
from otel_kpi.instrumentation.servers.server_request import Recorder, ServerRequest, in_context, method_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_NAME: Final = "aiohttp-server"
_UPSTREAM: Final = "opentelemetry.instrumentation.aiohttp_server:AioHttpServerInstrumentor"


class Instrumentor:
    """Wraps what answers a request, in every server of the process."""

    def __init__(self) -> None:
        self._boundary = Boundary(_NAME)
        self._excluded: Any = None
        self._recorder: Any = None

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the application did it itself."""
        return _compat.instrumented_by_upstream(_UPSTREAM)

    def instrument(self, **_options: Any) -> None:
        """Wrap it, for servers that run too."""
        from wrapt import wrap_function_wrapper

        self._excluded = exclude_list("AIOHTTP_SERVER")
        self._recorder = Recorder("otel_kpi.instrumentation.aiohttp_server")
        _compat.wrap_aiohttp_requests(self._answer)
        wrap_function_wrapper("aiohttp.web_runner", "BaseSite.start", _started)

    def uninstrument(self) -> None:
        """Unwrap it."""
        from opentelemetry.instrumentation.utils import unwrap

        _compat.unwrap_aiohttp_requests()
        unwrap("aiohttp.web_runner.BaseSite", "start")

    async def _answer(self, wrapped: Any, _protocol: Any, args: Any, kwargs: Any) -> Any:
        if not self._boundary.open or self.is_instrumented_by_opentelemetry:
            return await wrapped(*args, **kwargs)
        try:
            exchange = self._begin(args[0])
        except Exception as error:
            self._boundary.failed(error)
            return await wrapped(*args, **kwargs)
        given, start, handler = args

        async def watched(request: Any) -> Any:
            try:
                return await handler(request)
            except Exception as error:
                exchange.guarded(exchange.raised, error)
                raise
            finally:
                exchange.guarded(exchange.matched, request)

        token = context.attach(exchange.inside)
        try:
            answer = await wrapped(given, start, watched, **kwargs)
            exchange.guarded(exchange.answered, answer[0])
            return answer
        finally:
            exchange.guarded(exchange.end, None)
            context.detach(token)

    def _begin(self, request: Any) -> _Exchange:
        from opentelemetry.instrumentation import asgi

        scope = readable(_scope_of(request))
        # Nothing around it is its parent: a connection is served in the context of whoever started the server.
        getter: Any = asgi.asgi_getter
        parent = propagate.extract(scope, context=context.Context(), getter=getter)
        if self._excluded.url_disabled(asgi.get_host_port_url_tuple(scope)[2]):
            return _Exchange(None, lambda: None, excluded_context(parent), None, self._boundary)
        is_socket = request.headers.get("upgrade", "").lower() == "websocket"
        begun = ServerRequest("" if is_socket else method_of(request.method))
        attributes: dict[str, Any] = asgi.collect_request_attributes(scope, self._recorder.conventions)
        attributes |= server_address.of_scope(scope)
        attributes |= captured_headers(scope, response=False)
        end = self._recorder.begin(begun, attributes, parent, None)
        assert begun.span is not None  # noqa: S101 - `begin` has started it
        inside = in_context(begun, trace.set_span_in_context(begun.span, parent))
        return _Exchange(begun, end, inside, self._recorder.conventions, self._boundary)


class _Exchange:
    """One request on its way; without a `request` one that leaves no trace."""

    def __init__(
        self,
        request: ServerRequest | None,
        end: Callable[[], None],
        inside: Context,
        conventions: Any,
        boundary: Boundary,
    ) -> None:
        self._request = request
        self._end = end
        self.inside = inside
        self._conventions = conventions
        self._boundary = boundary

    def guarded(self, step: Callable[[ServerRequest, Any], None], argument: Any) -> None:
        if self._request is None:
            return
        try:
            step(self._request, argument)
        except Exception as error:
            self._boundary.failed(error)

    @staticmethod
    def matched(begun: ServerRequest, request: Any) -> None:
        """Name it after the resource that was found, with the prefixes of mounted applications."""
        try:
            found = request.match_info
        except (AssertionError, AttributeError):
            return  # it was not routed: the server could not read it, or has no routes
        resource = getattr(getattr(found, "route", None), "resource", None)
        route = getattr(resource, "canonical", None)
        if route:
            begun.set_route(route)

    @staticmethod
    def raised(begun: ServerRequest, error: Exception) -> None:
        """Note an error; one that is a response is none."""
        from aiohttp.web import HTTPException

        if not isinstance(error, HTTPException):
            begun.failed(error)

    def answered(self, begun: ServerRequest, response: Any) -> None:
        """Note the response that was sent."""
        from opentelemetry.instrumentation.asgi import set_status_code

        span = begun.span
        if span is None or response is None:
            return
        set_status_code(span, response.status, begun.attributes, self._conventions)
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers.items()]
        span.set_attributes(captured_headers({"headers": headers}, response=True))
        code = getattr(response, "close_code", None)
        if code is not None:
            span.set_attribute(CLOSE_CODE, code)
            if code == INTERNAL_ERROR:
                span.set_status(Status(StatusCode.ERROR))

    def end(self, _begun: ServerRequest, _: Any) -> None:
        """End the span and the metrics."""
        self._end()


def _scope_of(request: Any) -> dict[str, Any]:
    """Give a request as an ASGI scope, for which upstream's attributes are written."""
    path, _, query = request.raw_path.partition("?")
    server = request.transport.get_extra_info("sockname") if request.transport is not None else None
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    return {
        "type": "http",
        "method": request.method,
        "scheme": request.scheme,
        "http_version": f"{request.version.major}.{request.version.minor}",
        "path": path,
        "query_string": query.encode("utf-8", "replace"),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        # A socket in the file system has a path, and its client none.
        "server": tuple(server[:2]) if isinstance(server, tuple) else None,
        "client": tuple(peer[:2]) if isinstance(peer, tuple) else None,
    }


async def _started(wrapped: Any, _site: Any, args: Any, kwargs: Any) -> Any:
    result = await wrapped(*args, **kwargs)
    script.became_server()
    return result
