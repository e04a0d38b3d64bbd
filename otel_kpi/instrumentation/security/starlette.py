"""Requests of Starlette and FastAPI: where one begins, and the status with which it is answered.

A library deep inside says why it refuses a token; the pack gathers that until the response begins. A WebSocket's
response begins when it is accepted or closed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.packs.security import attempts
from otel_kpi.packs.security.origin import Origin, hops

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Send = Callable[[Any], Awaitable[None]]

_BOUNDARY: Final = Boundary("starlette_security")
_BEGUN: Final = "otel_kpi.security"
"""In the scope of a request that is watched, and in what is made of it further inside."""
_REFUSED: Final = 403
"""What a server answers for a WebSocket that is closed before it was accepted."""
_ACCEPTED: Final = 101


class Instrumentor:
    """Watches every application of Starlette's and of its kin."""

    is_instrumented_by_opentelemetry: Final = False

    # Of the class: whoever makes an instrumentor finds what another one has placed.
    _original: ClassVar[Any] = None
    _placed: ClassVar[Any] = None
    active: ClassVar[bool] = False
    """Whether requests are watched: what somebody has wrapped since stays in its place, and passes them on."""

    def instrument(self, **_options: Any) -> None:
        """Replace `Starlette.__call__`, for subclasses and existing applications too."""
        from starlette.applications import Starlette

        Instrumentor.active = True
        placed = vars(Starlette)["__call__"]
        if placed is Instrumentor._placed:
            return
        Instrumentor._original = placed
        Instrumentor._placed = Starlette.__call__ = _watched(placed)

    def uninstrument(self) -> None:
        """Take it back, where nobody has wrapped it since."""
        from starlette.applications import Starlette

        Instrumentor.active = False
        if vars(Starlette)["__call__"] is self._placed:
            Starlette.__call__ = self._original
            Instrumentor._placed = None


def _watched(original: Any) -> Any:
    @functools.wraps(original)
    async def call(self: Any, scope: Scope, receive: Any, send: Send) -> None:
        begun = _begun(scope) if Instrumentor.active and _BOUNDARY.open else None
        if begun is None:
            await original(self, scope, receive, send)
            return
        attempt, token = begun

        async def sending(message: Any) -> None:
            if not attempt.settled:
                _answer(attempt, message)
            await send(message)

        try:
            await original(self, scope, receive, sending)
        finally:
            _end(attempt, token)

    return call


def _begun(scope: Scope) -> Any:
    try:
        if scope["type"] not in {"http", "websocket"}:
            return None
        outer = attempts.current()
        # An application that is mounted in another is in a request that has begun. One that is called from within by a
        # client, without a network, has a request of its own.
        if _BEGUN in scope and outer is not None and not outer.settled:
            return None
        scope[_BEGUN] = True
        client = scope.get("client")
        return attempts.begin(Origin(str(client[0]) if client else "", _forwarded(scope)))
    except Exception as error:
        _BOUNDARY.failed(error)
        return None


def _forwarded(scope: Scope) -> tuple[str, ...]:
    found = [value for name, value in scope.get("headers", ()) if name == b"x-forwarded-for"]
    return hops(*(each.decode("latin-1") for each in found)) if found else ()


def _answer(attempt: attempts.Attempt, message: Any) -> None:
    try:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            attempt.settle(int(message["status"]))
        elif kind == "websocket.accept":
            attempt.settle(_ACCEPTED)
        elif kind == "websocket.close":
            attempt.settle(_REFUSED)
    except Exception as error:
        _BOUNDARY.failed(error)


def _end(attempt: attempts.Attempt, token: Any) -> None:
    try:
        attempts.end(attempt, token)
    except Exception as error:
        _BOUNDARY.failed(error)
