"""Private parts of the Model Context Protocol's SDK (`mcp` 2), which has spans of its own, not by the conventions.

Its client's span has another name than the conventions give it and has ended when the answer is read; an in-process
server has none to connect with; nothing is measured. Nothing public reaches either side's span, the address of a
transport or the connection of a request.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def replace_client_spans(span_of: Callable[[Any], Any]) -> Callable[[], None]:
    """Have the SDK's client work in a span of ours where there is one, and in one of its own where there is not.

    Touches `otel_span` of `mcp.shared.jsonrpc_dispatcher`, which puts the trace's context in `_meta` inside of it.

    Args:
        span_of: Called with the attributes of a span that is about to begin; gives ours, or None.

    Returns:
        What takes it back.
    """
    from mcp.shared import jsonrpc_dispatcher

    module: Any = jsonrpc_dispatcher
    original = module.otel_span

    @contextlib.contextmanager
    def otel_span(name: str, *, attributes: Any = None, **options: Any) -> Generator[Any]:
        ours = span_of(attributes)
        if ours is not None:
            yield ours
            return
        with original(name, attributes=attributes, **options) as span:
            yield span

    module.otel_span = otel_span

    def take_back() -> None:
        if module.otel_span is otel_span:
            module.otel_span = original

    return take_back


def server_middleware() -> Any:
    """Give the class of the SDK's own middleware, in whose span a server handles what it is sent."""
    from mcp.server._otel import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware


def http_transport() -> tuple[Any, str]:
    """Give the class of the client's HTTP transport, and its method that is called for each request to send."""
    from mcp.client.streamable_http import StreamableHTTPTransport

    return StreamableHTTPTransport, "_prepare_headers"


def connection_of(context: Any) -> Any:
    """Give the connection of a request that a server handles: its session's id, and what is to be done at its end."""
    return context.session._connection
