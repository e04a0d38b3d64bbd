"""A decorator that times each call of a function: S0's `@Timed`."""

from __future__ import annotations

import functools
import inspect
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from otel_kpi import record
from otel_kpi.packs.code.instruments import FUNCTION_DURATION
from otel_kpi.packs.outcome import error_type

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

P = ParamSpec("P")
T = TypeVar("T")

_duration = record.histogram(FUNCTION_DURATION)


@overload
def timed(function: Callable[P, T], /) -> Callable[P, T]: ...
@overload
def timed(name: str, /) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
@overload
def timed() -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def timed(function: Any = None, /) -> Any:
    """Time each call of a function or method, and count those that fail.

    `@timed`, `@timed()` and `@timed("orders.place")`. A coroutine function is timed until it has ended; a generator
    from its first item to its last, with the time in which the caller had the item.

    Args:
        function: What is decorated, or the name under which it is recorded; else its module and qualified name.

    Exported as the histogram `kpi_code_function_duration_seconds` with `code_function_name` (at most 100) and, where
    the call raised, `error_type`. What the function raises comes through unchanged.
    """
    if callable(function) or isinstance(function, classmethod | staticmethod):
        return _timed(function, _name_of(function))

    def decorate(decorated: Any) -> Any:
        return _timed(decorated, function or _name_of(decorated))

    return decorate


def _name_of(function: Any) -> str:
    named = (
        function if hasattr(function, "__qualname__") else type(function)
    )  # a partial, an object with __call__
    return f"{named.__module__}.{named.__qualname__}".replace(".<locals>", "")


def _ended(begun: float, name: str, error: BaseException | None = None) -> None:
    _duration.record(time.perf_counter() - begun, name, error_type(error))


def _timed(function: Any, name: str) -> Any:
    if isinstance(function, classmethod | staticmethod):
        # Whichever of the two decorators stands above the other.
        return type(function)(_timed(function.__func__, name))
    if inspect.iscoroutinefunction(function):
        return _of_coroutine(function, name)
    if inspect.isasyncgenfunction(function):
        return _of_async_generator(function, name)
    if inspect.isgeneratorfunction(function):
        return _of_generator(function, name)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            _ended(begun, name, error)
            raise
        _ended(begun, name)
        return result

    return call


def _of_coroutine(function: Any, name: str) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            _ended(begun, name, error)
            raise
        _ended(begun, name)
        return result

    return call


def _of_generator(function: Any, name: str) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        begun = time.perf_counter()
        try:
            result = yield from function(*args, **kwargs)
        except GeneratorExit:
            _ended(begun, name)
            raise
        except BaseException as error:
            _ended(begun, name, error)
            raise
        _ended(begun, name)
        return result

    return call


def _of_async_generator(function: Any, name: str) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        begun = time.perf_counter()
        failed: BaseException | None = None
        items = function(*args, **kwargs)
        step, argument = items.asend, None
        try:
            while True:
                try:
                    item = await step(argument)
                except StopAsyncIteration:
                    return
                try:
                    step, argument = items.asend, (yield item)
                except GeneratorExit:
                    raise
                except BaseException as thrown:  # the function's to handle
                    step, argument = items.athrow, thrown
        except GeneratorExit:
            raise
        except BaseException as error:
            failed = error
            raise
        finally:
            await items.aclose()
            _ended(begun, name, failed)

    return call
