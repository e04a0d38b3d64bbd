"""A scope around each call of a function, whatever kind of function it is.

The result is of the same kind: a coroutine function stays one, a generator function too, so frameworks that look
recognise it. A generator's scope begins with its first value and ends with its last, or when it is closed; it is
current only while the generator itself runs, never in the code that takes its values.
"""

from __future__ import annotations

import functools
import inspect
import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from otel_kpi.packs.etl.outcome import Skip
from otel_kpi.packs.etl.scope import Inside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from otel_kpi.packs.etl.scope import Scope

_logger = logging.getLogger("otel_kpi.etl")

F = TypeVar("F", bound="Callable[..., Any]")


class Begins(Protocol):
    """What begins a scope for each call."""

    swallows_skip: bool

    def begin(self) -> Scope:
        """Begin a scope that is not yet the innermost."""
        ...


def decorated(definition: Begins, function: F) -> F:
    """A function that does the same within a scope.

    Args:
        definition: Begins the scope of each call.
        function: A function of any kind, or a `staticmethod` or `classmethod`. A class, or what cannot be called,
            comes back as it is, with one line in the log.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return cast("F", type(function)(decorated(definition, function.__func__)))
    if isinstance(function, type) or not callable(function):
        _logger.warning("%r is not watched: it is no function", function)
        return cast("F", function)
    if inspect.isasyncgenfunction(function):
        around = _around_async_generator(definition, function)
    elif inspect.isgeneratorfunction(function):
        around = _around_generator(definition, function)
    elif inspect.iscoroutinefunction(function):
        around = _around_coroutine(definition, function)
    else:
        around = _around_call(definition, function)
    return cast("F", functools.update_wrapper(around, function))


def _around_call(definition: Begins, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        scope = definition.begin()
        scope.attach()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            scope.end(error)
            if definition.swallows_skip and isinstance(error, Skip):
                return None
            raise
        scope.end()
        return result

    return call


def _around_coroutine(definition: Begins, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        scope = definition.begin()
        scope.attach()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            scope.end(error)
            if definition.swallows_skip and isinstance(error, Skip):
                return None
            raise
        scope.end()
        return result

    return call


def _around_generator(definition: Begins, function: Callable[..., Any]) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        generator = function(*args, **kwargs)
        scope = definition.begin()
        step, given = generator.send, None
        try:
            while True:
                with Inside(scope.context):
                    value = step(given)
                try:
                    given = yield value
                    step = generator.send
                except GeneratorExit:
                    with Inside(scope.context):
                        generator.close()
                    raise
                except BaseException as error:  # thrown in by who takes the values
                    step, given = generator.throw, error
        except StopIteration as stop:
            scope.end()
            return stop.value
        except BaseException as error:
            scope.end(error)
            if definition.swallows_skip and isinstance(error, Skip):
                return None
            raise
        finally:
            given = None  # an exception that was thrown in would hold its own frame

    return generate


def _around_async_generator(definition: Begins, function: Callable[..., Any]) -> Callable[..., Any]:
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        scope = definition.begin()
        step, given = generator.asend, None
        try:
            while True:
                with Inside(scope.context):
                    value = await step(given)
                try:
                    given = yield value
                    step = generator.asend
                except GeneratorExit:
                    with Inside(scope.context):
                        await generator.aclose()
                    raise
                except BaseException as error:  # thrown in by who takes the values
                    step, given = generator.athrow, error
        except StopAsyncIteration:
            scope.end()
        except BaseException as error:
            scope.end(error)
            if not (definition.swallows_skip and isinstance(error, Skip)):
                raise
        finally:
            given = None  # as above

    return generate
