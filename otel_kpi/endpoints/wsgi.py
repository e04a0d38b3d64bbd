"""Response times of any WSGI application: Flask's, or one without a framework.

Django has a middleware of its own in `django.py`, which knows its routes.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.endpoints import slow_requests
from otel_kpi.endpoints.response_times import RESPONSE_TIME, SERVER_TIMING, response_time, server_timing
from otel_kpi.instrumentation.servers.server_request import current_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Environ = dict[str, Any]
    App = Callable[[Environ, Any], Any]

_MEASURED: Final = "otel_kpi.response_time"
_EVENT_STREAM: Final = "text/event-stream"
_SERVER_ERROR: Final = 500


class ResponseTimes:
    """A WSGI application that says how long its responses took: `app.wsgi_app = ResponseTimes(app.wsgi_app)`.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    @cached_property
    def _limit(self) -> float | None:
        # Not when the application is built: telemetry may be configured later.
        return slow_requests.limit()

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        """Answer one request."""
        if _MEASURED in environ:
            return self.app(environ, start_response)
        environ[_MEASURED] = True
        request = _Request(environ, start_response, self._limit)
        try:
            response = self.app(environ, request.start_response)
        except Exception:
            request.end(_SERVER_ERROR)
            raise
        if self._limit is None or request.streams_events or _is_file(environ, response):
            request.end(None)
            return response
        return (_SizedResponse if hasattr(response, "__len__") else _Response)(response, request)


class _Request:
    def __init__(self, environ: Environ, start_response: Any, limit: float | None) -> None:
        self._watch = slow_requests.Watch(limit)
        self._environ = environ
        self._start_response = start_response
        self._status: int | None = None
        self._inside = context.get_current()
        self.streams_events = False

    def start_response(self, status: str, headers: Any, *rest: Any) -> Any:
        return self._start_response(status, self._timed(status, headers), *rest)

    def _timed(self, status: str, headers: Any) -> Any:
        try:
            seconds = self._watch.seconds
            kept = [each for each in headers if each[0].lower() != RESPONSE_TIME.lower()]
            timed = [*kept, (RESPONSE_TIME, response_time(seconds)), (SERVER_TIMING, server_timing(seconds))]
            self._status = int(status.split(maxsplit=1)[0])
            self.streams_events = any(
                name.lower() == "content-type" and value.startswith(_EVENT_STREAM) for name, value in kept
            )
        except Exception:
            return headers  # malformed by the application: its server will say so
        return timed

    def end(self, status: int | None) -> None:
        """Write the line, once, if it was slow; inside of the request, of which a server may have left already."""
        seconds = self._watch.end()
        if seconds is None:
            return
        token = context.attach(self._inside)
        try:
            begun = current_request()
            route = begun.attributes.get("http.route") if begun is not None else None
            method = str(self._environ.get("REQUEST_METHOD", ""))
            slow_requests.report(method, route, seconds, self._status or status)
        finally:
            context.detach(token)


def _is_file(environ: Environ, response: Any) -> bool:
    """Say whether the server sends it by itself, and looks for its own wrapper."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(response, wrapper)


class _Response:
    """What the application returned, and a look at the time when it is used up or closed."""

    def __init__(self, response: Any, request: _Request) -> None:
        self._response = response
        self._request = request
        self._parts: Iterator[bytes] | None = None

    def __iter__(self) -> _Response:
        return self

    def __next__(self) -> bytes:
        if self._parts is None:
            self._parts = iter(self._response)
        try:
            return next(self._parts)
        except StopIteration:
            self._request.end(None)
            raise
        except Exception:
            self._request.end(_SERVER_ERROR)
            raise

    def close(self) -> None:
        """Close the application's response."""
        try:
            close = getattr(self._response, "close", None)
            if close is not None:
                close()
        finally:
            self._request.end(None)


class _SizedResponse(_Response):
    """One whose number of parts is known: a server takes the length of a single part for that of the body."""

    def __len__(self) -> int:
        return len(self._response)
