"""Wrappers for wrapt around a driver's methods: an operation for a call, a coroutine, a stream, a COPY.

The span is current while the driver runs, and not while the application does: what it does between two rows of a
stream, or in the body of a COPY, is its own.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from otel_kpi.instrumentation.databases.database import Database

    Wrapper = Callable[[Any, Any, Any, Any], Any]


def call(database: Database, describe: Any) -> Wrapper:
    """Wrap a function."""

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        operation = database.begin(describe, instance, args, kwargs)
        if operation is None:
            return wrapped(*args, **kwargs)
        try:
            result = wrapped(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.end()
        return result

    return wrapper


def coroutine(database: Database, describe: Any) -> Wrapper:
    """Wrap a coroutine function."""

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        operation = database.begin(describe, instance, args, kwargs)
        if operation is None:
            return await wrapped(*args, **kwargs)
        try:
            result = await wrapped(*args, **kwargs)
        except BaseException as error:
            operation.end(error)
            raise
        operation.end()
        return result

    return wrapper


def generator(database: Database, describe: Any) -> Wrapper:
    """Wrap a generator function; its span ends with the last row, or when it is closed."""

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Generator[Any]:
        operation = database.begin(describe, instance, args, kwargs, attach=False)
        try:
            yield from wrapped(*args, **kwargs)
        except GeneratorExit:
            raise  # the application has seen enough; `finally` ends the span
        except BaseException as error:
            if operation is not None:
                operation.end(error)
            raise
        finally:
            if operation is not None:
                operation.end()

    return wrapper


def async_generator(database: Database, describe: Any) -> Wrapper:
    """Wrap an asynchronous generator function."""

    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> AsyncGenerator[Any]:
        operation = database.begin(describe, instance, args, kwargs, attach=False)
        rows = wrapped(*args, **kwargs)
        try:
            async for row in rows:
                yield row
        except GeneratorExit:
            raise
        except BaseException as error:
            if operation is not None:
                operation.end(error)
            raise
        finally:
            if operation is not None:
                operation.end()
            await rows.aclose()

    return wrapper


def context_manager(database: Database, describe: Any) -> Wrapper:
    """Wrap a function that returns a context manager; what its body does is the application's."""

    @contextlib.contextmanager
    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Generator[Any]:
        operation = database.begin(describe, instance, args, kwargs, attach=False)
        try:
            with wrapped(*args, **kwargs) as value:
                yield value
        except BaseException as error:
            if operation is not None:
                operation.end(error)
            raise
        if operation is not None:
            operation.end()

    return wrapper


def async_context_manager(database: Database, describe: Any) -> Wrapper:
    """Wrap a function that returns an asynchronous context manager."""

    @contextlib.asynccontextmanager
    async def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> AsyncGenerator[Any]:
        operation = database.begin(describe, instance, args, kwargs, attach=False)
        try:
            async with wrapped(*args, **kwargs) as value:
                yield value
        except BaseException as error:
            if operation is not None:
                operation.end(error)
            raise
        if operation is not None:
            operation.end()

    return wrapper


class Methods:
    """Methods of a library's classes that are wrapped, and can be unwrapped."""

    def __init__(self) -> None:
        self._wrapped: Final[list[tuple[Any, str]]] = []

    def wrap(self, owner: Any, names: Iterable[str], wrapper: Wrapper) -> None:
        """Wrap those methods that `owner` has itself: older versions lack some, subclasses inherit theirs."""
        from wrapt import wrap_function_wrapper

        for name in names:
            if name in vars(owner):
                wrap_function_wrapper(owner, name, wrapper)
                self._wrapped.append((owner, name))

    def unwrap(self) -> None:
        """Undo every `wrap`."""
        from opentelemetry.instrumentation.utils import unwrap

        while self._wrapped:
            unwrap(*self._wrapped.pop())
