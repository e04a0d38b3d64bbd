"""aiosqlite: the caller's context in the thread that runs its statements.

aiosqlite hands each call to a thread of its connection. What the sqlite3 instrumentor records there has the
context in which that thread was started, if any: a root of its own, or a child of whatever came first.
"""

from __future__ import annotations

import contextvars
from typing import Any

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary


class Instrumentor:
    """Runs what aiosqlite queues in the context of the caller."""

    is_instrumented_by_opentelemetry = False

    def instrument(self, **_options: Any) -> None:
        """Wrap the method through which every call goes to the thread."""
        _compat.wrap_aiosqlite_calls(Boundary("aiosqlite").wrap(_in_context))

    def uninstrument(self) -> None:
        """Unwrap it."""
        _compat.unwrap_aiosqlite_calls()


def _in_context(wrapped: Any, _connection: Any, args: Any, kwargs: Any) -> Any:
    # Another coroutine may use the connection meanwhile: a context can be entered by one thread at a time.
    function, *rest = args
    return wrapped(contextvars.copy_context().run, function, *rest, **kwargs)
