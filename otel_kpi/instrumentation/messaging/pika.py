"""pika: upstream's instrumentor, with one PRODUCER span for a message.

A `BlockingConnection` has a `Connection` in it, and a `BlockingChannel` a `Channel`. Upstream instruments the channels
of both, so that one publication has two PRODUCER spans, the one inside of the other. The inner one stays as it was.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary

_opening: Final = ContextVar("otel_kpi_pika_opening", default=False)


class Instrumentor:
    """Upstream's `PikaInstrumentor`, past the channels inside of channels."""

    def __init__(self) -> None:
        from opentelemetry.instrumentation.pika import PikaInstrumentor

        self.upstream = PikaInstrumentor()
        self._boundary = Boundary("pika")

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the application did it itself."""
        return bool(self.upstream.is_instrumented_by_opentelemetry)

    def instrument(self, **options: Any) -> None:
        """Have upstream instrument the library, and wrap what opens channels once more."""
        from pika.adapters.blocking_connection import BlockingConnection
        from pika.connection import Connection
        from wrapt import wrap_function_wrapper

        self.upstream.instrument(**options)
        wrap_function_wrapper(BlockingConnection, "channel", self._boundary.wrap(_open))
        wrap_function_wrapper(Connection, "channel", self._boundary.wrap(_open_inner))

    def uninstrument(self) -> None:
        """Take back what is ours, then have upstream do the same."""
        from opentelemetry.instrumentation.utils import unwrap
        from pika.adapters.blocking_connection import BlockingConnection
        from pika.connection import Connection

        unwrap(BlockingConnection, "channel")
        unwrap(Connection, "channel")
        self.upstream.uninstrument()


def _open(wrapped: Any, _connection: Any, args: Any, kwargs: Any) -> Any:
    token = _opening.set(True)
    try:
        return wrapped(*args, **kwargs)
    finally:
        _opening.reset(token)


def _open_inner(wrapped: Any, connection: Any, args: Any, kwargs: Any) -> Any:
    if not _opening.get():
        return wrapped(*args, **kwargs)
    from inspect import unwrap

    return unwrap(type(connection).channel)(connection, *args, **kwargs)
