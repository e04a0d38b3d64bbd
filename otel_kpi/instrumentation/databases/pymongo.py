"""pymongo: a client span for each command, by a listener of pymongo's own; sync and async clients.

Upstream's listener keeps the spans of commands whose end it never hears (a cancelled task, a silent exporter), names
neither operation nor duration, and takes the server's message for its description, which quotes the key of a
duplicate. Handshakes, logins and the end of sessions are the driver's own and have no span; heartbeats are no
commands.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.databases import sql
from otel_kpi.instrumentation.databases.database import Database, Failure, Operation, Statement

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_HOUSEKEEPING: Final = frozenset({
    "authenticate", "endSessions", "getnonce", "hello", "isMaster", "ismaster", "killCursors", "saslContinue",
    "saslStart",
})  # fmt: skip
_NAMED: Final = {"codeName": "WriteError"}
_MOST_RUNNING: Final = 4096
"""Commands whose end is awaited; of a cancelled one pymongo says nothing more."""


class CommandFailedError(Exception):
    """Stands for what the server answered: a listener is told of a document, not of an exception."""

    def __init__(self, failure: Any) -> None:
        super().__init__()
        document: dict[str, Any] = failure if isinstance(failure, dict) else {}
        self.name = str(document.get("codeName") or document.get("errtype") or type(self).__qualname__)
        code = document.get("code")
        self.code = str(code) if isinstance(code, int) else ""


def _failure(error: BaseException) -> Failure:
    if isinstance(error, CommandFailedError):
        return Failure(error.code, error.name, error.name)
    return Failure("", type(error).__qualname__)


DATABASE: Final = Database(
    "pymongo",
    "mongodb",
    upstream="opentelemetry.instrumentation.pymongo:PymongoInstrumentor",
    failure=_failure,
)


class Commands:
    """Turns pymongo's events into operations."""

    def __init__(self) -> None:
        self._running: dict[tuple[Any, Any], Operation] = {}
        self._lock = threading.Lock()

    def started(self, event: Any) -> None:
        """Begin an operation."""
        operation = DATABASE.begin(_describe, event, (), {}, attach=False)
        if operation is None:
            return
        with self._lock:
            self._running[event.request_id, event.connection_id] = operation
            lost = (
                self._running.pop(next(iter(self._running))) if len(self._running) > _MOST_RUNNING else None
            )
        if lost is not None:
            lost.end()

    def succeeded(self, event: Any) -> None:
        """End it. What was refused of a write is in the answer of a command that succeeded."""
        # Not where the application decodes answers itself: looking into one would decode it for nothing.
        reply: dict[str, Any] = event.reply if isinstance(event.reply, dict) else {}
        refused: Any = reply.get("writeErrors") or reply.get("writeConcernError")
        first: Any = refused[0] if isinstance(refused, list) else refused
        self._end(event, CommandFailedError({**_NAMED, **first}) if first else None)

    def failed(self, event: Any) -> None:
        """End it with what the server answered."""
        self._end(event, CommandFailedError(event.failure))

    def _end(self, event: Any, error: Exception | None) -> None:
        with self._lock:
            operation = self._running.pop((event.request_id, event.connection_id), None)
        if operation is not None:
            operation.end(error)


class Instrumentor:
    """Registers a listener, once in a process: pymongo has no way to take it back."""

    _registered = False

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Listen to the clients that are made from now on."""
        from pymongo import monitoring

        DATABASE.activate()
        if not Instrumentor._registered:
            # pymongo prints what a listener raises.
            guard, commands = DATABASE.boundary.listener, Commands()
            methods = {
                name: staticmethod(guard(getattr(commands, name)))
                for name in ("started", "succeeded", "failed")
            }
            monitoring.register(type("Listener", (monitoring.CommandListener,), methods)())
            Instrumentor._registered = True

    def uninstrument(self) -> None:
        """Turn a deaf ear."""
        DATABASE.active = False


def _describe(event: Any, _args: Any, _kwargs: Any) -> Statement | None:
    name = event.command_name
    if name in _HOUSEKEEPING:
        return None
    host, port = event.connection_id or (None, None)
    attributes: dict[str, AttributeValue] = sql.server(event.database_name, host, port)
    # A cursor's further batches name it elsewhere.
    collection = event.command.get("collection" if name == "getMore" else name)
    if isinstance(collection, str):
        attributes["db.collection.name"] = collection
    return Statement(name, attributes)
