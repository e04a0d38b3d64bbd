"""A scope around each call of a function, whatever kind of function it is.

The result is of the same kind: a coroutine function stays one, a generator function too, so frameworks that look
recognise it. A generator's scope begins with its first value and ends with its last, or when it is closed; it is
current only while the generator itself runs, never in the code that takes its values.
"""

from __future__ import annotations

import functools
import inspect
import logging
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from otel_kpi.packs.contexts import Inside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from opentelemetry.context import Context

_logger = logging.getLogger("otel_kpi.packs")

F = TypeVar("F", bound="Callable[..., Any]")


class Scope(Protocol):
    """What surrounds one call, from when it is made to its `end`.

    Attributes:
        context: What is current while the function runs; None leaves that as it is.
    """

    context: Context | None = None

    def attach(self) -> None:
        """Make its context the current one, until `detach` or its end."""

    def detach(self) -> None:
        """Make what was current before the current context, with nothing ended."""

    def end(self, error: BaseException | None = None) -> object:
        """End, and `detach`; `error` is what the function raised. Never raises."""
        ...


def decorated(begin: Callable[[], Scope], function: F, quiet: tuple[type[BaseException], ...] = ()) -> F:
    """A function that does the same, each call within a scope.

    Args:
        begin: Makes the scope of a call.
        function: A function of any kind, or a `staticmethod` or `classmethod`. A class, or what cannot be called,
            comes back as it is, with one line in the log.
        quiet: Exceptions that end a call and are not raised to the caller, who gets None.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return cast("F", type(function)(decorated(begin, function.__func__, quiet)))
    if isinstance(function, type) or not callable(function):
        _logger.warning("%r is not watched: it is no function", function)
        return cast("F", function)
    if inspect.isasyncgenfunction(function):
        around = _around_async_generator(begin, function, quiet)
    elif inspect.isgeneratorfunction(function):
        around = _around_generator(begin, function, quiet)
    elif inspect.iscoroutinefunction(function):
        around = _around_coroutine(begin, function, quiet)
    else:
        around = _around_call(begin, function, quiet)
    return cast("F", functools.update_wrapper(around, function))


def within(scope: Scope, function: Callable[[], Any]) -> Any:
    """Call a function within a scope, and give what it returns.

    If that is awaitable, so is this, and the scope ends when it is done.
    """
    scope.attach()
    try:
        result = function()
    except BaseException as error:
        scope.end(error)
        raise
    if inspect.isawaitable(result):
        scope.detach()
        return _awaited(scope, result)
    scope.end()
    return result


async def _awaited(
    scope: Scope, awaitable: Awaitable[Any], quiet: tuple[type[BaseException], ...] = ()
) -> Any:
    try:
        scope.attach()
        result = await awaitable
    except BaseException as error:
        scope.end(error)
        if isinstance(error, quiet):
            return None
        raise
    scope.end()
    return result


def _around_call(
    begin: Callable[[], Scope], function: Callable[..., Any], quiet: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = begin()
        try:
            scope.attach()
            result = function(*args, **kwargs)
        except BaseException as error:
            scope.end(error)
            if isinstance(error, quiet):
                return None
            raise
        # Of a function that does not look like a coroutine function. A future stays the future that it is.
        if type(result) is CoroutineType:
            scope.detach()
            return _awaited(scope, result, quiet)
        scope.end()
        return result

    return call


def _around_coroutine(
    begin: Callable[[], Scope], function: Callable[..., Any], quiet: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        awaitable = function(*args, **kwargs)
        return await _awaited(begin(), awaitable, quiet)

    return call


def _around_generator(
    begin: Callable[[], Scope], function: Callable[..., Any], quiet: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        scope = begin()
        inside = Inside(scope.context)
        step, given = generator.send, None
        try:
            if scope.context is None:
                result = yield from generator
                scope.end()
                return result
            while True:
                with inside:
                    value = step(given)
                try:
                    given = yield value
                    step = generator.send
                except GeneratorExit:
                    with inside:
                        generator.close()
                    raise
                except BaseException as error:  # thrown in by who takes the values
                    step, given = generator.throw, error
        except StopIteration as stop:
            scope.end()
            return stop.value
        except BaseException as error:
            scope.end(error)
            if isinstance(error, quiet):
                return None
            raise
        finally:
            given = None  # an exception that was thrown in would hold its own frame

    return generate


def _around_async_generator(
    begin: Callable[[], Scope], function: Callable[..., Any], quiet: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        scope = begin()
        inside = Inside(scope.context)
        step, given = generator.asend, None
        try:
            while True:
                with inside:
                    value = await step(given)
                try:
                    given = yield value
                    step = generator.asend
                except GeneratorExit:
                    with inside:
                        await generator.aclose()
                    raise
                except BaseException as error:  # thrown in by who takes the values
                    step, given = generator.athrow, error
        except StopAsyncIteration:
            scope.end()
        except BaseException as error:
            scope.end(error)
            if not isinstance(error, quiet):
                raise
        finally:
            given = None  # as above

    return generate
