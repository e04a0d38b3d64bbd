"""Wrappers for wrapt around a library's methods: a call, a coroutine, and the streams that either gives.

What comes back is the library's own: an answer as it is, a generator where it gives one, and a stream of its own class
behind util-genai's proxy. The span is current while the library works, and not while the application does.
"""

from __future__ import annotations

import functools
import inspect
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

from opentelemetry import context
from opentelemetry.util.genai.stream import AbandonedStreamError, AsyncStreamWrapper, SyncStreamWrapper

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

    from opentelemetry.context import Context

    from otel_kpi.instrumentation.llm.asked import Method, Request
    from otel_kpi.instrumentation.llm.exchange import Exchange
    from otel_kpi.instrumentation.llm.library import Library

    Wrapper = Callable[[Any, Any, Any, Any], Any]


def call(library: Library, method: Method) -> Wrapper:
    """Wrap a function; also one that gives an asynchronous generator."""

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        request = library.request(method, instance, args, kwargs, wrapped)
        if request is None:
            return wrapped(*args, **kwargs)
        if request.stream and method.lazy:
            return _followed(library, method, request, wrapped(*args, **kwargs))
        exchange = library.begin(method, request)
        if exchange is None:
            return wrapped(*args, **kwargs)
        try:
            answer = wrapped(*args, **kwargs)
        except BaseException as error:
            exchange.failed(error)
            raise
        if request.stream:
            return exchange.streamed(SyncStream, answer)
        exchange.answered(answer)
        return answer

    return wrapper


def coroutine(library: Library, method: Method) -> Wrapper:
    """Wrap a coroutine function."""

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        request = library.request(method, instance, args, kwargs, wrapped)
        if request is None:
            return await wrapped(*args, **kwargs)
        if request.stream and method.lazy:
            return _followed(library, method, request, await wrapped(*args, **kwargs))
        exchange = library.begin(method, request)
        if exchange is None:
            return await wrapped(*args, **kwargs)
        try:
            answer = await wrapped(*args, **kwargs)
        except BaseException as error:
            exchange.failed(error)
            raise
        if request.stream:
            return exchange.streamed(AsyncStream, answer)
        exchange.answered(answer)
        return answer

    return wrapper


def _followed(library: Library, method: Method, request: Request, items: Any) -> Any:
    before = context.get_current()
    if isinstance(items, GeneratorType):
        return _items(library, method, request, items, before)  # pyright: ignore[reportUnknownArgumentType] -- of anything
    if isinstance(items, AsyncGeneratorType):
        return _async_items(library, method, request, items, before)  # pyright: ignore[reportUnknownArgumentType] -- of anything
    return items


def _items(
    library: Library, method: Method, request: Request, items: Generator[Any], before: Context
) -> Generator[Any]:
    exchange = library.begin_within(before, method, request)
    if exchange is None:
        yield from items
        return
    try:
        while True:
            token = context.attach(exchange.context)
            try:
                item = next(items)
            except StopIteration:
                break
            finally:
                context.detach(token)
            exchange.chunk(item)
            yield item
    except GeneratorExit:
        exchange.failed(AbandonedStreamError())
        raise
    except BaseException as error:
        exchange.failed(error)
        raise
    finally:
        items.close()
    exchange.ended()


async def _async_items(
    library: Library, method: Method, request: Request, items: AsyncGenerator[Any], before: Context
) -> AsyncGenerator[Any]:
    exchange = library.begin_within(before, method, request)
    if exchange is None:
        async for item in items:
            yield item
        return
    try:
        while True:
            token = context.attach(exchange.context)
            try:
                item = await anext(items)
            except StopAsyncIteration:
                break
            finally:
                context.detach(token)
            exchange.chunk(item)
            yield item
    except GeneratorExit:
        exchange.failed(AbandonedStreamError())
        raise
    except BaseException as error:
        exchange.failed(error)
        raise
    finally:
        await items.aclose()
    exchange.ended()


class _Followed:
    """What both kinds of streams tell an exchange."""

    _self_exchange: Exchange

    def _process_chunk(self, chunk: Any) -> None:
        self._self_exchange.chunk(chunk, timed=False)

    def _on_stream_end(self) -> None:
        self._self_exchange.ended()

    def _on_stream_error(self, error: BaseException) -> None:
        self._self_exchange.failed(error)


class SyncStream(_Followed, SyncStreamWrapper[Any]):
    """A stream of the library's own, followed by an exchange."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        super().__init__(stream, exchange.invocation)
        self._self_exchange = exchange


class AsyncStream(_Followed, AsyncStreamWrapper[Any]):
    """An asynchronous stream of the library's own, followed by an exchange."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        super().__init__(stream, exchange.invocation)
        self._self_exchange = exchange


def named(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the arguments of a call by their names."""
    if not args:
        return kwargs
    return {**dict(zip(_names(getattr(function, "__func__", function)), args, strict=False)), **kwargs}


@functools.lru_cache(maxsize=128)
def _names(function: Any) -> tuple[str, ...]:
    names = tuple(inspect.signature(function).parameters)
    return names[1:] if names[:1] == ("self",) else names
