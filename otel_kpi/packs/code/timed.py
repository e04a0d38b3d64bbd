"""A decorator that times each call of a function: S0's `@Timed`."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from otel_kpi import record
from otel_kpi.packs.code.instruments import FUNCTION_DURATION
from otel_kpi.packs.decoration import Scope, decorated
from otel_kpi.packs.outcome import error_type

if TYPE_CHECKING:
    from collections.abc import Callable

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


class _Call(Scope):
    """The time of one call."""

    __slots__ = ("_begun", "_name")

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        seconds = time.perf_counter() - self._begun
        # A generator that is closed has not failed: who took its values has enough.
        failed = None if error is None or isinstance(error, GeneratorExit) else error_type(error)
        _duration.record(seconds, self._name, failed)


def _timed(function: Any, name: str) -> Any:
    return decorated(functools.partial(_Call, name), function)
