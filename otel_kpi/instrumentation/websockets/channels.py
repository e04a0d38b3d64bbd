"""Django Channels: the route of a consumer, and each message that one handles, of a client or of the channel layer.

A consumer receives in a task of its own and handles in another, so what it handles is seen where it dispatches. That
shows the messages of the channel layer, too, which no server sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers.django_routes import readable
from otel_kpi.instrumentation.servers.server_request import MARK, ServerRequest

if TYPE_CHECKING:
    from otel_kpi.instrumentation.websockets.traces import Traces
    from otel_kpi.instrumentation.websockets.units import Unit

_BOUNDARY: Final = Boundary("channels")
_PREFIX: Final = "otel_kpi.channels_route"
_OF_CLIENT: Final = "websocket.receive"
_LAST: Final = "websocket.disconnect"
_CONSUMERS: Final = ("AsyncConsumer.dispatch", "SyncConsumer.dispatch")


class Instrumentor:
    """Names the routes of `URLRouter`, and follows what consumers dispatch."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap `URLRouter.__call__` and the dispatchers of both kinds of consumers."""
        from wrapt import wrap_function_wrapper

        wrap_function_wrapper("channels.routing", "URLRouter.__call__", _call_router)
        for name in _CONSUMERS:
            wrap_function_wrapper("channels.consumer", name, _dispatch)

    def uninstrument(self) -> None:
        """Unwrap them."""
        from opentelemetry.instrumentation.utils import unwrap

        unwrap("channels.routing.URLRouter", "__call__")
        for name in _CONSUMERS:
            cls, _, method = name.partition(".")
            unwrap(f"channels.consumer.{cls}", method)


async def _call_router(wrapped: Any, router: Any, args: Any, kwargs: Any) -> Any:
    try:
        scope, *rest = args
        request = scope.get(MARK)
        if isinstance(request, ServerRequest) and _BOUNDARY.open:
            route = _route_of(router, scope)
            if route is not None:
                request.set_route(f"/{route}")
                args = ({**scope, _PREFIX: route}, *rest)
    except Exception as error:
        _BOUNDARY.failed(error)
    return await wrapped(*args, **kwargs)


def _route_of(router: Any, scope: Any) -> str | None:
    """Give the template of the path as far as this router knows it: a consumer's may be another router."""
    path = scope.get("path_remaining")
    if path is None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
    path = path.lstrip("/")
    for each in router.routes:
        if each.pattern.match(path):
            return scope.get(_PREFIX, "") + readable(str(each.pattern))
    return None


async def _dispatch(wrapped: Any, consumer: Any, args: Any, kwargs: Any) -> Any:
    begun: tuple[Traces, Unit] | None = None
    if _BOUNDARY.open:
        try:
            begun = _begin(consumer, args[0] if args else kwargs.get("message"))
        except Exception as error:
            _BOUNDARY.failed(error)
    if begun is None:
        return await wrapped(*args, **kwargs)
    traces, unit = begun
    token = context.attach(traces.context_of(unit))
    try:
        return await wrapped(*args, **kwargs)
    except Exception as error:
        if type(error).__name__ != "StopConsumer":  # how a consumer says that it is done
            traces.note(unit, error)
        raise
    finally:
        context.detach(token)
        unit.finish()


def _begin(consumer: Any, message: Any) -> tuple[Traces, Unit] | None:
    from otel_kpi.instrumentation.websockets.traces import DISCONNECT, current_traces
    from otel_kpi.packs.websocket.messages import sender_of

    traces = current_traces()
    if traces is None:
        return None
    traces.dispatched = True
    kind = str(message["type"])
    cls = type(consumer)
    attributes: dict[str, Any] = {
        "code.function.name": f"{cls.__module__}.{cls.__qualname__}.{kind.replace('.', '_')}"
    }
    name = ""
    if kind == _LAST:
        name = DISCONNECT
    elif kind == _OF_CLIENT:
        attributes |= traces.last_received
    else:
        # The type of a message of the channel layer is the name of a method: the author's word.
        name = f"message {kind}"
        attributes["kpi.websocket.event.type"] = kind
    unit = traces.handle(name, attributes, sender_of(message))
    return None if unit is None else (traces, unit)
