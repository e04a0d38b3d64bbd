"""Fail open around what keeps the function it wraps: patched methods, and middlewares of ASGI and WSGI.

Such a wrapper gets a stand-in for good, which finds out which call is under way and notes what came of it. A
middleware also hands the server's callables on, wrapped: an error of its own in one of these would come up inside
the application. So each message is guarded too, and sent once.
"""

from __future__ import annotations

import functools
import inspect
from contextvars import ContextVar
from types import GeneratorType, MethodType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.instrumentation.boundary.calls import Items, restore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from opentelemetry.context import Context

    from otel_kpi.instrumentation.boundary.calls import Call
    from otel_kpi.instrumentation.boundary.guard import Boundary

_under_way: Final[ContextVar[tuple[object, Call] | None]] = ContextVar(
    "otel_kpi_call_under_way", default=None
)
"""For which stand-in, and the call."""

_ASGI_ARGUMENTS: Final = 3


class Kept:
    """Stands in for a function that a wrapper keeps: notes what comes of it in the call that is under way."""

    __slots__ = ("__wrapped__",)

    def __init__(self, original: Callable[..., Any]) -> None:
        self.__wrapped__ = original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        under_way = _under_way.get()
        if under_way is None or under_way[0] is not self:
            return self.__wrapped__(*args, **kwargs)
        _under_way.set(None)  # what the function does is another call
        return under_way[1](*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)


class Guarded:
    """Guards `patched`, which calls `kept`."""

    def __init__(self, boundary: Boundary, patched: Callable[..., Any], kept: Kept) -> None:
        self._boundary = boundary
        self._patched = patched
        self._kept = kept

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call `patched`, or what it keeps."""
        return self._boundary.call(self._noting, self._kept.__wrapped__, None, args, kwargs)

    def _noting(self, call: Call, _instance: Any, args: Any, kwargs: Any) -> Any:
        outer = _under_way.get()
        _under_way.set((self._kept, call))
        try:
            return self._patched(*args, **kwargs)
        finally:
            _under_way.set(outer)


class GuardedAsync:
    """Guards `patched`, which awaits `kept`."""

    def __init__(self, boundary: Boundary, patched: Callable[..., Awaitable[Any]], kept: Kept) -> None:
        self._boundary = boundary
        self._patched = patched
        self._kept = kept

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Await `patched`, or what it keeps."""
        return await self._boundary.call_async(self._noting, self._kept.__wrapped__, None, args, kwargs)

    async def _noting(self, call: Call, _instance: Any, args: Any, kwargs: Any) -> Any:
        outer = _under_way.get()
        _under_way.set((self._kept, call))
        try:
            return await self._patched(*args, **kwargs)
        finally:
            _under_way.set(outer)


def guarded_function(boundary: Boundary, patched: Callable[..., Any], kept: Kept) -> Callable[..., Any]:
    """Guard `patched` by a function, which can be a method and carry attributes."""
    if inspect.iscoroutinefunction(patched):
        in_async = GuardedAsync(boundary, patched, kept)

        @functools.wraps(patched)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            return await in_async(*args, **kwargs)

        return guarded_async
    in_sync = Guarded(boundary, patched, kept)

    @functools.wraps(patched)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return in_sync(*args, **kwargs)

    return guarded


def assigning(boundary: Boundary, owner: Any, name: str, assign: Callable[[], Any]) -> Any:
    """Call `assign()`, which puts a function in the place of a method that it keeps; guard that function."""
    original = vars(owner)[name]
    kept = Kept(original)
    setattr(owner, name, kept)
    try:
        return assign()
    finally:
        patched = vars(owner)[name]
        if patched is kept:
            setattr(owner, name, original)
        else:
            function: Any = guarded_function(boundary, patched, kept)
            function.__wrapped__ = original  # what upstream puts back
            setattr(owner, name, function)


def decorating(boundary: Boundary, factory: Callable[..., Any], position: int) -> Callable[..., Any]:
    """Guard what a factory makes of the function among its arguments, and its making."""

    @functools.wraps(factory)
    def make(*args: Any, **kwargs: Any) -> Any:
        if not boundary.open or len(args) <= position:
            return args[position] if len(args) > position else factory(*args, **kwargs)
        kept = Kept(args[position])
        try:
            made = factory(*args[:position], kept, *args[position + 1 :], **kwargs)
        except Exception as error:
            boundary.failed(error)
            return kept.__wrapped__
        return guarded_function(boundary, made, kept)

    return make


# --- ASGI


class _AsgiApplication:
    """Stands in for the application behind a middleware.

    Attributes:
        app: The application; public, and so named, because FastAPI looks along attributes of that name.
    """

    __slots__ = ("app",)

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        under_way = _under_way.get()
        if under_way is None or under_way[0] is not self:
            await self.app(scope, receive, send)
            return
        _under_way.set(None)
        await under_way[1](scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def asgi(boundary_of: Callable[[Any], Boundary]) -> Callable[..., Awaitable[None]]:
    """Make a wrapper, for wrapt, of the `__call__` of a middleware class that keeps the application in `app`.

    Args:
        boundary_of: Gives the boundary of a middleware.
    """

    async def call_asgi(wrapped: Any, middleware: Any, args: Any, kwargs: Any) -> None:
        inner = middleware.app
        if type(inner) is not _AsgiApplication:
            inner = middleware.app = _AsgiApplication(inner)
        boundary = boundary_of(middleware)
        if not boundary.open or len(args) != _ASGI_ARGUMENTS or args[0]["type"] == "lifespan":
            await inner.app(*args, **kwargs)
            return
        request = _AsgiRequest(boundary, wrapped, inner, *args[1:])
        await boundary.call_async(request.middleware, request.application, None, args, kwargs)

    return call_asgi


class _AsgiRequest:
    """One request or connection on its way through a middleware."""

    __slots__ = ("boundary", "inner", "receive", "send", "wrapped")

    def __init__(
        self, boundary: Boundary, wrapped: Any, inner: _AsgiApplication, receive: Any, send: Any
    ) -> None:
        self.boundary = boundary
        self.wrapped = wrapped
        self.inner = inner
        self.receive = Kept(receive)
        self.send = Kept(send)

    async def middleware(self, call: Call, _instance: Any, args: Any, _kwargs: Any) -> None:
        """Call the middleware with stand-ins."""
        outer = _under_way.get()
        _under_way.set((self.inner, call))
        try:
            await self.wrapped(args[0], self.receive, self.send)
        finally:
            _under_way.set(outer)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the application with what the middleware made of the stand-ins, guarded."""
        await self.inner.app(scope, self._guarded(receive, self.receive), self._guarded(send, self.send))

    def _guarded(self, given: Any, kept: Kept) -> Any:
        # What the middleware left as it was needs no guard.
        if given is kept or given is kept.__wrapped__:
            return kept.__wrapped__
        return GuardedAsync(self.boundary, given, kept)


# --- WSGI


class _WsgiApplication:
    """Stands in for the application behind a middleware."""

    __slots__ = ("wsgi",)

    def __init__(self, wsgi: Any) -> None:
        self.wsgi = wsgi

    def __call__(self, environ: Any, start_response: Any) -> Any:
        under_way = _under_way.get()
        if under_way is None or under_way[0] is not self:
            return self.wsgi(environ, start_response)
        _under_way.set(None)
        return under_way[1](environ, start_response)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wsgi, name)


def wsgi(boundary_of: Callable[[Any], Boundary]) -> Callable[..., Any]:
    """Make a wrapper, for wrapt, of the `__call__` of a middleware class that keeps the application in `wsgi`.

    Args:
        boundary_of: Gives the boundary of a middleware.
    """

    def call_wsgi(wrapped: Any, middleware: Any, args: Any, kwargs: Any) -> Any:
        inner = middleware.wsgi
        if type(inner) is not _WsgiApplication:
            inner = middleware.wsgi = _WsgiApplication(inner)
        boundary = boundary_of(middleware)
        if not boundary.open or kwargs:
            return inner.wsgi(*args, **kwargs)
        request = _WsgiRequest(boundary, wrapped, inner, args[1])
        before = context.get_current()
        body = boundary.call(request.middleware, request.application, None, args, kwargs)
        if isinstance(body, _Body):
            return (
                body.iterable
            )  # the middleware failed before it was begun: the server gets the application's own
        return _restoring(boundary, before, body) if isinstance(body, GeneratorType) else body

    return call_wsgi


def _restoring(boundary: Boundary, before: Context, body: Any) -> Any:
    """Pass a body on; upstream detaches the context of the request after the last part, unless it fails there."""
    errors = boundary.errors
    try:
        yield from body
    finally:
        if boundary.errors != errors:
            restore(before)


class _WsgiRequest:
    """One request on its way through a middleware."""

    __slots__ = ("boundary", "call", "inner", "start_response", "wrapped")

    def __init__(
        self, boundary: Boundary, wrapped: Any, inner: _WsgiApplication, start_response: Any
    ) -> None:
        self.boundary = boundary
        self.wrapped = wrapped
        self.inner = inner
        self.start_response = Kept(start_response)
        self.call: Call | None = None

    def middleware(self, call: Call, _instance: Any, args: Any, _kwargs: Any) -> Any:
        """Call the middleware with stand-ins."""
        self.call = call
        outer = _under_way.get()
        _under_way.set((self.inner, call))
        try:
            return self.wrapped(args[0], self.start_response)
        finally:
            _under_way.set(outer)

    def application(self, environ: Any, start_response: Any) -> Any:
        """Call the application with what the middleware made of the stand-in, guarded."""
        kept, call = self.start_response, self.call
        if start_response is kept:
            start_response = kept.__wrapped__
        elif start_response is not kept.__wrapped__:
            start_response = Guarded(self.boundary, start_response, kept)
        iterable = self.inner.wsgi(environ, start_response)
        return iterable if call is None else _Body(call, iterable)


class _Body(Items):
    """The body of a response in the hands of a middleware: its items are noted, and it is closed once."""

    __slots__ = ("closed", "iterable")

    def __init__(self, call: Call, iterable: Iterable[bytes]) -> None:
        super().__init__(call, None)
        self.iterable = iterable
        self.closed = False

    def __next__(self) -> Any:
        if self.items is None:
            self.items = self._noting_errors(iter, self.iterable)
        return super().__next__()

    def close(self) -> None:
        """Close the application's iterable."""
        close = getattr(self.iterable, "close", None)
        if close is not None and not self.closed:
            self.closed = True
            self._noting_errors(close)

    def _noting_errors(self, step: Callable[..., Any], *argument: Any) -> Any:
        try:
            return step(*argument)
        except BaseException as error:
            self.call.error = error
            raise
