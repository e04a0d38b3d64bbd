"""Response times: a header for people, one for browsers, and a line in the log for what is slow.

`X-Response-Time` is the time until the response begins, which is when it can still be written down.
`Server-Timing` has the same and the trace, as browsers hand it to scripts. Slow is what takes longer than
`OTEL_KPI_SLOW_REQUEST` until its last byte; a stream of events, until its first.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from otel_kpi.endpoints import slow_requests

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    App = Callable[[Scope, Any, Any], Awaitable[None]]

_MEASURED: Final = "otel_kpi.response_time"
_EVENT_STREAM: Final = b"text/event-stream"
_SERVER_ERROR: Final = 500

RESPONSE_TIME: Final = "X-Response-Time"
SERVER_TIMING: Final = "Server-Timing"


class ResponseTimes:
    """An ASGI application that says how long its responses took.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self.app = app  # public, and so named: FastAPI looks for upstream's middleware along it

    @cached_property
    def _limit(self) -> float | None:
        # Not when the stack is built: telemetry may be configured later.
        return slow_requests.limit()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request; what is no HTTP passes, and so does what an application further out measures."""
        if scope["type"] != "http" or _MEASURED in scope:
            await self.app(scope, receive, send)
            return
        scope[_MEASURED] = True
        request = _Request(scope, send, self._limit)
        try:
            await self.app(scope, receive, request.send)
        except Exception:
            request.end(_SERVER_ERROR)
            raise
        finally:
            request.end(None)


class _Request:
    __slots__ = ("_scope", "_send", "_status", "_trailers", "_watch")

    def __init__(self, scope: Scope, send: Any, limit: float | None) -> None:
        self._watch = slow_requests.Watch(limit)
        # As it is before routing: what finds the route's template needs it so.
        self._scope = dict(scope) if limit is not None else scope
        self._send = send
        self._status: int | None = None
        self._trailers = False

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            message = self._start(message)
        elif not self._watch.is_over and (
            (kind == "http.response.body" and not message.get("more_body") and not self._trailers)
            or (kind == "http.response.trailers" and not message.get("more_trailers"))
        ):
            # Before it is sent: behind it the span ends, and the line would be outside of it.
            self.end(None)
        await self._send(message)

    def _start(self, message: Any) -> Any:
        try:
            seconds = self._watch.seconds
            headers = [each for each in message.get("headers") or () if each[0].lower() != b"x-response-time"]
            timed = {
                **message,
                "headers": [
                    *headers,
                    (b"x-response-time", response_time(seconds).encode()),
                    (b"server-timing", server_timing(seconds).encode()),
                ],
            }
            self._status = message.get("status")
            self._trailers = bool(message.get("trailers"))
            if not self._watch.is_over and any(
                name.lower() == b"content-type" and value.startswith(_EVENT_STREAM) for name, value in headers
            ):
                self.end(None)
        except Exception:
            return message  # malformed by the application: its server will say so
        return timed

    def end(self, status: int | None) -> None:
        seconds = self._watch.end()
        if seconds is not None:
            slow_requests.report(
                str(self._scope.get("method", "")), _route(self._scope), seconds, self._status or status
            )


def _route(scope: Scope) -> str | None:
    from otel_kpi.instrumentation.servers.routes import route_of

    return route_of(scope)


def response_time(seconds: float) -> str:
    """Write a time as the value of `X-Response-Time`."""
    return f"{seconds * 1000:.2f}ms"


def server_timing(seconds: float) -> str:
    """Write a time and the current trace, if there is one, as the value of `Server-Timing`."""
    total = f"total;dur={seconds * 1000:.2f}"
    context = trace.get_current_span().get_span_context()
    # A remote one is the caller's: of a request that leaves no trace here.
    if not context.is_valid or context.is_remote:
        return total
    flags = f"{context.trace_flags:02x}"
    return f'{total}, traceparent;desc="00-{context.trace_id:032x}-{context.span_id:016x}-{flags}"'
