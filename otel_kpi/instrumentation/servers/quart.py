"""Quart: the route of its requests; the server that calls it has begun them."""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers.server_request import MARK, current_request


class Instrumentor:
    """Listens to Quart's signals."""

    is_instrumented_by_opentelemetry: Final = False

    def __init__(self) -> None:
        self._listeners: tuple[Any, ...] = ()

    def instrument(self, **_options: Any) -> None:
        """Listen."""
        import quart

        boundary = Boundary("quart")
        matched, raised = boundary.listener(_matched), boundary.listener(_raised)
        # Signals hold their receivers weakly.
        self._listeners = (matched, raised)
        quart.request_started.connect(matched)
        quart.websocket_started.connect(matched)
        quart.got_request_exception.connect(raised)
        quart.got_websocket_exception.connect(raised)

    def uninstrument(self) -> None:
        """Listen no more."""
        import quart

        for listener in self._listeners:
            for signal in (
                quart.request_started,
                quart.websocket_started,
                quart.got_request_exception,
                quart.got_websocket_exception,
            ):
                signal.disconnect(listener)
        self._listeners = ()


def _matched(_sender: Any, **_: Any) -> None:
    import quart

    begun = current_request()
    handled: Any = quart.request if quart.has_request_context() else quart.websocket
    rule = handled.url_rule
    if begun is None or rule is None or handled.scope.get(MARK) is not begun:
        return
    mounted = (handled.scope.get("root_path") or "").removeprefix(begun.root)
    begun.set_route(f"{mounted}{rule.rule}")


def _raised(_sender: Any, exception: BaseException, **_: Any) -> None:
    begun = current_request()
    if begun is not None:
        begun.failed(exception)
