"""One request that this process answers: its SERVER span, its route, and what its metrics say.

Whoever is reached first begins it (the server, or a framework) and leaves it in the scope or the environment of the
request and in the context. Who comes after, an application that is mounted or a framework behind the server,
finds it there and adds the route: a request is one SERVER span, whatever it passes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, metrics, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_kpi import _compat
from otel_kpi._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import Getter

MARK: Final = "otel_kpi.server_request"
"""Where a scope and an environment carry it. `True` there is a request that leaves no trace."""

_KEY: Final = context.create_key(MARK)
_ROUTE: Final = "http.route"
_OLD_DURATION: Final = "http.server.duration"
_DURATION: Final = "http.server.request.duration"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class ServerRequest:
    """A request that is being answered.

    Attributes:
        span: Its SERVER span; `None` until it was started.
        attributes: What its metrics are told of; those that conventions leave out are left out when it ends.
        method: For the name of the span; empty for a WebSocket.
        root: The path under which the server itself puts the application, which is no part of the route.
        measured: False when a framework inside records the metrics.
    """

    __slots__ = ("attributes", "measured", "method", "root", "span")

    def __init__(self, method: str, root: str = "") -> None:
        self.span: trace.Span | None = None
        self.attributes: dict[str, Any] = {}
        self.method = method
        self.root = root
        self.measured = True

    @property
    def running(self) -> bool:
        """Whether its span has not ended."""
        return self.span is not None and self.span.is_recording()

    def set_route(self, route: str) -> None:
        """Name it after its route, a template without values of the request, the mounts' prefixes included."""
        self.attributes[_ROUTE] = route
        if self.span is not None and self.span.is_recording():
            self.span.update_name(name_of(self.method, route))
            self.span.set_attribute(_ROUTE, route)

    def failed(self, error: BaseException) -> None:
        """Note the error that nobody handled, once."""
        span = self.span
        if span is None or not span.is_recording() or getattr(error, MARK, None) is span:
            return
        try:
            setattr(error, MARK, span)  # a server further out sees the same error
        except AttributeError:
            pass
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def name_of(method: str, route: str | None) -> str:
    """Name a request without a value of it: no path where no route is known."""
    if not route:
        return method or "websocket"
    return f"{method} {route}".strip()


def method_of(method: str) -> str:
    """Give the method for a name: `HTTP` for those that the conventions do not know."""
    method = method.strip()
    return _compat.known_method(method) if method else ""


def in_context(request: ServerRequest, parent: Context | None = None) -> Context:
    """Give a context in which `current_request()` finds the request."""
    return context.set_value(_KEY, request, parent)


def current_request() -> ServerRequest | None:
    """Give the request that is being answered here, if it has not ended."""
    request = context.get_value(_KEY)
    return request if isinstance(request, ServerRequest) and request.running else None


def parent_context(carrier: Any, getter: Getter[Any]) -> Context:
    """Give the context in which a request begins: what came with it, or what runs around it in this process.

    A server may hand over the context of an earlier request on the same connection. Its span has ended.
    """
    span = trace.get_current_span()
    around = context.get_current() if span.is_recording() else context.Context()
    return propagate.extract(carrier, context=around, getter=getter)


class Recorder:
    """Begins and ends requests: one for each kind of server interface.

    Args:
        scope_name: The instrumentation scope.
    """

    def __init__(self, scope_name: str) -> None:
        self.conventions = _compat.http_conventions()
        old, new = _compat.http_reports(self.conventions)
        url = _compat.http_schema_url(self.conventions)
        self._tracer = trace.get_tracer(scope_name, __version__, schema_url=url)
        meter = metrics.get_meter(scope_name, __version__, schema_url=url)
        self._old = meter.create_histogram(_OLD_DURATION, "ms", "Duration of HTTP requests.") if old else None
        self._new = (
            meter.create_histogram(
                _DURATION,
                "s",
                "Duration of HTTP server requests.",
                explicit_bucket_boundaries_advisory=_BUCKETS,
            )
            if new
            else None
        )
        self._active = meter.create_up_down_counter(
            "http.server.active_requests", "{request}", "Number of active HTTP server requests."
        )

    def begin(
        self, request: ServerRequest, attributes: Mapping[str, Any], parent: Context, route: str | None
    ) -> Callable[[], None]:
        """Start the span; the metrics of an HTTP request begin too.

        Returns:
            What ends both, once: later calls do nothing.
        """
        request.attributes.update(attributes)
        if route:
            request.attributes[_ROUTE] = route
        start = time.perf_counter()
        request.span = span = self._tracer.start_span(
            name_of(request.method, route), parent, SpanKind.SERVER, request.attributes
        )
        active = _compat.active_attributes(request.attributes, self.conventions)
        counted = bool(request.method)
        if counted:
            self._active.add(1, active, parent)
        ended = False

        def end() -> None:
            nonlocal ended
            if ended:
                return
            ended = True
            if counted:
                self._measure(request, time.perf_counter() - start, span)
                self._active.add(-1, active, parent)
            span.end()

        return end

    def _measure(self, request: ServerRequest, seconds: float, span: trace.Span) -> None:
        if not request.measured:
            return
        exemplar = trace.set_span_in_context(span, context.Context())
        if self._new is not None:
            self._new.record(seconds, _compat.duration_attributes(request.attributes, stable=True), exemplar)
        if self._old is not None:
            old = _compat.duration_attributes(request.attributes, stable=False)
            self._old.record(round(seconds * 1000), old, exemplar)
