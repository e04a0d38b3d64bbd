"""Any WSGI application as one SERVER span a request, from the call to the end of the response.

Upstream's middleware turns the response into a generator: a server no longer sees a file that it could send by
itself, nor a length, and a response that nobody reads never ends. Its span is named after the path, has no error
that was raised while streaming, and its duration ends before the first byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers import server_address
from otel_kpi.instrumentation.servers.excluded_urls import exclude_list, excluded_context, is_excluded
from otel_kpi.instrumentation.servers.server_request import (
    MARK,
    Recorder,
    ServerRequest,
    current_request,
    in_context,
    method_of,
    parent_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context

    Environ = dict[str, Any]
    App = Callable[[Environ, Any], Any]

_ENDED: Final = object()


class Traced:
    """A WSGI application whose requests are SERVER spans, unless somebody further out has begun one.

    Args:
        app: The application.
        name: Of the row that speaks, for its errors and for `OTEL_PYTHON_<NAME>_EXCLUDED_URLS`.
    """

    def __init__(self, app: App, name: str) -> None:
        self.app = app
        self._boundary = Boundary(name)
        self._excluded: Any = exclude_list(name.upper())
        self._recorder = Recorder(f"otel_kpi.instrumentation.{name}")

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        """Answer one request."""
        return self.respond(self.app, environ, start_response)

    def respond(self, app: App, environ: Environ, start_response: Any) -> Any:
        """Answer one request by `app`."""
        if not self._boundary.open or MARK in environ or current_request() is not None or is_excluded():
            return app(environ, start_response)
        try:
            begun = self._begin(environ)
        except Exception as error:
            self._boundary.failed(error)
            return app(environ, start_response)
        return begun.run(app, environ, start_response)

    def _begin(self, environ: Environ) -> _Exchange:
        from opentelemetry.instrumentation import wsgi

        parent = parent_context(environ, wsgi.wsgi_getter)
        if self._excluded.url_disabled(_url(environ)):
            environ[MARK] = True
            return _Exchange(None, None, excluded_context(parent), None, self._boundary)
        request = ServerRequest(
            method_of(environ.get("REQUEST_METHOD", "")), environ.get("SCRIPT_NAME") or ""
        )
        attributes: dict[str, Any] = wsgi.collect_request_attributes(environ, self._recorder.conventions)
        attributes |= server_address.of_environ(environ)
        attributes |= wsgi.collect_custom_request_headers_attributes(environ)
        end = self._recorder.begin(
            request, {key: value for key, value in attributes.items() if value is not None}, parent, None
        )
        environ[MARK] = request
        assert request.span is not None  # noqa: S101 - `begin` has started it
        inside = in_context(request, trace.set_span_in_context(request.span, parent))
        return _Exchange(request, end, inside, self._recorder.conventions, self._boundary)


def _url(environ: Environ) -> str:
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
    return f"{environ.get('wsgi.url_scheme', 'http')}://{host}{path}"


class _Exchange:
    """One request on its way; without a `request` one that leaves no trace."""

    def __init__(
        self,
        request: ServerRequest | None,
        end: Callable[[], None] | None,
        inside: Context,
        conventions: Any,
        boundary: Boundary,
    ) -> None:
        self._request = request
        self._end = end
        self.inside = inside
        self._conventions = conventions
        self._boundary = boundary

    def run(self, app: App, environ: Environ, start_response: Any) -> Any:
        def watched(status: str, headers: Any, *rest: Any) -> Any:
            self._guarded(self._respond, (status, headers))
            return start_response(status, headers, *rest)

        token = context.attach(self.inside)
        try:
            response = app(environ, watched)
        except BaseException as error:
            self.failed(error)
            self.end()
            raise
        finally:
            context.detach(token)
        if self._is_file(environ, response):
            # The server sends it by itself, and looks for its own wrapper: it gets just that.
            self.end()
            return response
        return (_SizedResponse if hasattr(response, "__len__") else _Response)(response, self)

    def _is_file(self, environ: Environ, response: Any) -> bool:
        wrapper = environ.get("wsgi.file_wrapper")
        return isinstance(wrapper, type) and isinstance(response, wrapper)

    def _respond(self, response: tuple[str, Any]) -> None:
        from opentelemetry.instrumentation import wsgi

        status, headers = response
        request = self._request
        if request is None or request.span is None:
            return
        status = (
            status if " " in status else f"{status} "
        )  # without a reason, which upstream takes for granted
        wsgi.add_response_attributes(request.span, status, headers, request.attributes, self._conventions)
        request.span.set_attributes(wsgi.collect_custom_response_headers_attributes(headers))

    def failed(self, error: BaseException) -> None:
        """Note an error that reaches the server; a client that went away is none."""
        if self._request is not None and isinstance(error, Exception):
            if "http.response.status_code" not in self._request.attributes:
                self._guarded(self._respond, ("500 Internal Server Error", []))
            self._guarded(self._request.failed, error)

    def end(self) -> None:
        """End the span and the metrics; later calls do nothing."""
        if self._end is not None:
            self._guarded(lambda _: self._end() if self._end is not None else None, None)

    def _guarded(self, step: Callable[[Any], Any], argument: Any) -> None:
        try:
            step(argument)
        except Exception as error:
            self._boundary.failed(error)


class _Response:
    """What the application returned, each part made inside the request. Ends it when it is closed or used up."""

    def __init__(self, response: Any, exchange: _Exchange) -> None:
        self._response = response
        self._exchange = exchange
        self._parts: Iterator[bytes] | None = None

    def __del__(self) -> None:
        self._exchange.end()  # older servers do not close what they have read to its end

    def __iter__(self) -> _Response:
        return self

    def __next__(self) -> bytes:
        exchange = self._exchange
        token = context.attach(exchange.inside)
        try:
            if self._parts is None:
                self._parts = iter(self._response)
            part = next(self._parts, _ENDED)
        except BaseException as error:
            exchange.failed(error)
            raise
        finally:
            context.detach(token)
        if part is _ENDED:
            raise StopIteration
        return part  # type: ignore[return-value] # the mark of the end was taken out

    def close(self) -> None:
        """Close the application's response, whatever became of it."""
        token = context.attach(self._exchange.inside)
        try:
            close = getattr(self._response, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            self._exchange.failed(error)
            raise
        finally:
            context.detach(token)
            self._exchange.end()


class _SizedResponse(_Response):
    """One whose number of parts is known: a server takes the length of a single part for that of the body."""

    def __len__(self) -> int:
        return len(self._response)
