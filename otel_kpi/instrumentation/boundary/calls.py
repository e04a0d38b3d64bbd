"""A function in the hands of a wrapper: what came of it, and how its caller gets that after all."""

from __future__ import annotations

import contextlib
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.packs.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

    from opentelemetry.context import Context

_NOTHING: Final = object()


@contextlib.contextmanager
def _manager() -> Generator[None]:
    yield


@contextlib.asynccontextmanager
async def _async_manager() -> AsyncGenerator[None]:
    yield


MANAGER: Final[type] = type(_manager())
"""What `contextlib.contextmanager` makes; an `AbstractContextManager` may be anything, a database connection too."""

ASYNC_MANAGER: Final[type] = type(_async_manager())


class Call:
    """Calls the function, and notes what came of it.

    Attributes:
        result: What the function returned.
        value: What awaiting its result gave.
        error: What it raised, or its coroutine, generator or context manager did.
        pending: The item of its generator that the wrapper has taken and may not have passed on, in a tuple.
        entering: Whether the wrapper's context manager is being entered.
    """

    __slots__ = ("__wrapped__", "entering", "error", "pending", "result", "value")

    def __init__(self, wrapped: Callable[..., Any]) -> None:
        self.__wrapped__ = wrapped
        self.result: Any = _NOTHING
        self.value: Any = _NOTHING
        self.error: BaseException | None = None
        self.pending: tuple[Any, ...] = ()
        self.entering = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        try:
            result = self.__wrapped__(*args, **kwargs)
        except BaseException as error:
            self.error = error
            raise
        note = _NOTES.get(type(result))
        if note is not None:
            result = note(self, result)
        self.result = result
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    @property
    def called(self) -> bool:
        """Whether the wrapper has called the function."""
        return self.result is not _NOTHING or self.error is not None

    def is_of(self, error: BaseException) -> bool:
        """Say whether the function raised it, or the application asked for it.

        The end of an iteration may be another object of the same kind.
        """
        if error is self.error or isinstance(error, Refused):
            return True
        return isinstance(error, (StopIteration, StopAsyncIteration)) and type(error) is type(self.error)

    # --- after an error of the wrapper's

    def recovered(self, before: Context, args: Any, kwargs: Any) -> Any:
        """Give what the function gave, or call it with the caller's arguments."""
        restore(before)
        self.reraise()
        return self.result if self.called else self.__wrapped__(*args, **kwargs)

    async def recovered_async(self, before: Context, args: Any, kwargs: Any) -> Any:
        """Give what awaiting the function gave, or await it."""
        restore(before)
        self.reraise()
        if self.value is not _NOTHING:
            return self.value
        return await (self.result if self.called else self.__wrapped__(*args, **kwargs))

    def source(self, args: Any, kwargs: Any) -> Any:
        """Give what the function returned, or returns now; for results that the caller goes through itself."""
        self.reraise()
        return self.result if self.called else self.__wrapped__(*args, **kwargs)

    def reraise(self) -> None:
        """Raise what the function raised, as it was: a `raise` would write another `__context__` on it."""
        error, self.error = self.error, None
        if error is None:
            return
        chained = error.__context__
        try:
            raise error  # noqa: TRY301 -- what is raised is caught to put its `__context__` back
        except BaseException:
            error.__context__ = chained
            raise
        finally:
            del error  # its traceback holds this frame

    # --- what a function returned and goes on

    async def _coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            self.value = value = await coroutine
        except BaseException as error:
            self.error = error
            raise
        return value

    def _generator(self, generator: Generator[Any, Any, Any]) -> Any:
        return (yield from Items(self, generator))

    async def _async_generator(self, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
        step: Any = generator.asend
        argument: Any = None
        try:
            while True:
                try:
                    item = await step(argument)
                except StopAsyncIteration:
                    return
                except BaseException as error:
                    self.error = error
                    raise
                self.pending = (item,)
                try:
                    step, argument = generator.asend, (yield item)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step, argument = generator.athrow, error
        finally:
            await generator.aclose()


class Items:
    """An iteration whose items and errors are noted."""

    __slots__ = ("call", "items")

    def __init__(self, call: Call, items: Any) -> None:
        self.call = call
        self.items = items

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> Any:
        return self._note(self.items.__next__)

    def send(self, value: Any) -> Any:
        """Send a value into the generator."""
        return self._note(self.items.send, value)

    def throw(self, error: BaseException) -> Any:
        """Raise an exception in the generator."""
        return self._note(self.items.throw, error)

    def close(self) -> None:
        """Close what can be closed."""
        close = getattr(self.items, "close", None)
        if close is not None:
            close()

    def _note(self, step: Callable[..., Any], *argument: Any) -> Any:
        try:
            item = step(*argument)
        except BaseException as error:
            if not isinstance(error, StopIteration):
                self.call.error = error
            raise
        self.call.pending = (item,)
        return item


class Manager:
    """A context manager, or an asynchronous one, of the function: notes whether it was entered and left.

    Attributes:
        entered: What entering gave, in a tuple; empty before.
        left: What leaving gave, in a tuple; empty before.
    """

    __slots__ = ("call", "entered", "left", "manager")

    def __init__(self, call: Call, manager: Any) -> None:
        self.call = call
        self.manager = manager
        self.entered: tuple[Any, ...] = ()
        self.left: tuple[Any, ...] = ()

    def __enter__(self) -> Any:
        try:
            self.entered = (self.manager.__enter__(),)
        except BaseException as error:
            self.call.error = error
            raise
        return self.entered[0]

    def __exit__(self, *exc_info: object) -> Any:
        if self.call.entering:
            # An error between this one's entering and the caller's block: the block runs all the same.
            return False
        try:
            self.left = (self.manager.__exit__(*exc_info),)
        except BaseException as error:
            self.left = (False,)
            self.call.error = error
            raise
        return self.left[0]

    async def __aenter__(self) -> Any:
        try:
            self.entered = (await self.manager.__aenter__(),)
        except BaseException as error:
            self.call.error = error
            raise
        return self.entered[0]

    async def __aexit__(self, *exc_info: object) -> Any:
        if self.call.entering:
            return False
        try:
            self.left = (await self.manager.__aexit__(*exc_info),)
        except BaseException as error:
            self.left = (False,)
            self.call.error = error
            raise
        return self.left[0]


_NOTES: Final[dict[type, Callable[[Call, Any], Any]]] = {
    CoroutineType: Call._coroutine,  # noqa: SLF001 -- this module's own
    GeneratorType: Call._generator,  # noqa: SLF001 -- the same
    AsyncGeneratorType: Call._async_generator,  # noqa: SLF001 -- the same
    MANAGER: Manager,
    ASYNC_MANAGER: Manager,
}
"""By the type of what the function returned: what notes the rest of it."""


def restore(before: Context) -> None:
    """Take back what a wrapper attached and did not detach."""
    if context.get_current() is not before:
        context.attach(before)
