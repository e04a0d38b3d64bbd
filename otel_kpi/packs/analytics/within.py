"""A call inside a piece of work, whatever kind of function is called."""

from __future__ import annotations

import functools
import inspect
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

F = TypeVar("F", bound="Callable[..., Any]")


class Work(Protocol):
    """What begins, ends, and may be current while something of it happens."""

    def begin(self) -> None:
        """Begin; once."""

    def enter(self) -> None:
        """Be current from here."""

    def leave(self) -> None:
        """Be current no longer."""

    def end(self, error: BaseException | None) -> None:
        """End; once."""


def within(work: Work, function: Callable[[], Any]) -> Any:
    """Call a function within a piece of work that has not begun, and give what it returns.

    If that is awaitable, so is this, and the work ends when it is done.
    """
    work.begin()
    with _ends(work, only_by_error=True) as ending:
        work.enter()
        try:
            result = function()
        finally:
            work.leave()
        if not inspect.isawaitable(result):
            ending.append(True)
    return _finished(work, result) if not ending else result


async def _finished(work: Work, awaitable: Awaitable[Any]) -> Any:
    with _ends(work):
        work.enter()
        try:
            return await awaitable
        finally:
            work.leave()


@contextmanager
def _ends(work: Work, *, only_by_error: bool = False) -> Generator[list[bool]]:
    ending: list[bool] = []
    try:
        yield ending
    except BaseException as error:
        work.end(error)
        raise
    if ending or not only_by_error:
        work.end(None)


def around(function: F, anew: Callable[[], Work]) -> F:
    """Have each call of a function happen within a piece of work of its own.

    A generator's begins with its first value and ends when the generator does: by its last line, `close()` or an
    exception. It is not current meanwhile, since who consumes the values is somewhere else.
    """
    if inspect.isasyncgenfunction(function):
        made = _around_async_generator(function, anew)
    elif inspect.isgeneratorfunction(function):
        made = _around_generator(function, anew)
    elif inspect.iscoroutinefunction(function):
        made = _around_coroutine(function, anew)
    else:
        made = _around_call(function, anew)
    return cast("F", functools.wraps(function)(made))


def _around_async_generator(function: Callable[..., Any], anew: Callable[[], Work]) -> Any:
    async def made(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        work = anew()
        work.begin()
        with _ends(work):
            async with aclosing(function(*args, **kwargs)) as values:
                async for value in values:
                    yield value

    return made


def _around_generator(function: Callable[..., Any], anew: Callable[[], Work]) -> Any:
    def made(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        work = anew()
        work.begin()
        with _ends(work):
            return (yield from function(*args, **kwargs))

    return made


def _around_coroutine(function: Callable[..., Any], anew: Callable[[], Work]) -> Any:
    async def made(*args: Any, **kwargs: Any) -> Any:
        work = anew()
        work.begin()
        return await _finished(work, function(*args, **kwargs))

    return made


def _around_call(function: Callable[..., Any], anew: Callable[[], Work]) -> Any:
    def made(*args: Any, **kwargs: Any) -> Any:
        return within(anew(), functools.partial(function, *args, **kwargs))

    return made
