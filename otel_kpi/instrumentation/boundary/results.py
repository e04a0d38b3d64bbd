"""Results of a wrapper that go on after its call: coroutines, generators and context managers.

What the function's own raises is the application's; what else comes out is ours: the caller then goes on with the
function's own, where the wrapper left it.
"""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.instrumentation.boundary.calls import ASYNC_MANAGER, MANAGER, Manager

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from otel_kpi.instrumentation.boundary.calls import Call

    Failed = Callable[[BaseException], None]


async def _coroutine(failed: Failed, coroutine: Any, call: Call, args: Any, kwargs: Any) -> Any:
    before = context.get_current()
    try:
        return await coroutine
    except Exception as error:
        if call.is_of(error):
            call.error = None
            raise
        failed(error)
    return await call.recovered_async(before, args, kwargs)


def _generator(
    failed: Failed, generator: Any, call: Call, args: Any, kwargs: Any
) -> Generator[Any, Any, Any]:
    items = _Items(failed, generator, call, lambda: call.source(args, kwargs))
    try:
        return (yield from items)
    finally:
        items.end()


class _Items:
    """A wrapper's iteration, and the function's own after an error of the wrapper's."""

    __slots__ = ("call", "failed", "items", "original")

    def __init__(self, failed: Failed, items: Any, call: Call, original: Callable[[], Any]) -> None:
        self.failed = failed
        self.items: Any = items
        self.call: Call | None = call
        self.original = original

    def __iter__(self) -> _Items:
        return self

    def __next__(self) -> Any:
        return self._step(self.items.__next__)

    def send(self, value: Any) -> Any:
        """Send a value into the generator."""
        return self._step(self.items.send, value)

    def throw(self, error: BaseException) -> Any:
        """Raise an exception in the generator: it is the application's."""
        if self.call is not None and self.call.error is None:
            self.call.error = error
        return self._step(self.items.throw, error)

    def close(self) -> None:
        """Close the iteration, and the function's own."""
        call = self.call
        try:
            self.items.close()
        except Exception as error:
            if call is None or call.is_of(error):
                raise
            self.failed(error)
        if call is not None and call.called:
            close = getattr(call.result, "close", None)
            if close is not None:
                close()

    def end(self) -> None:
        """Close the function's own, which nobody else does after an error."""
        if self.call is None and hasattr(self.items, "close"):
            self.items.close()

    def _step(self, step: Callable[..., Any], *argument: Any) -> Any:
        call = self.call
        if call is None:
            return step(*argument)
        try:
            item = step(*argument)
        except StopIteration:
            raise
        except Exception as error:
            if call.is_of(error):
                raise
            self.failed(error)
        else:
            call.pending = ()
            return item
        self.call = None
        self.items = self.original()
        if call.pending:
            return call.pending[0]
        return next(self.items)


async def _async_generator(
    failed: Failed, generator: Any, call: Call, args: Any, kwargs: Any
) -> AsyncGenerator[Any, Any]:
    items = generator
    step: Any = items.asend
    argument: Any = None
    try:
        while True:
            got: tuple[Any, ...] = ()
            try:
                got = (await step(argument),)
            except StopAsyncIteration:
                return
            except Exception as error:
                if items is not generator or call.is_of(error) or error is argument:
                    raise
                failed(error)
            if not got:
                items = call.source(args, kwargs)
                got = call.pending
            if not got:
                step, argument = items.asend, None
                continue
            call.pending = ()
            try:
                step, argument = items.asend, (yield got[0])
            except GeneratorExit:
                raise
            except BaseException as error:
                step, argument = items.athrow, error
    finally:
        await items.aclose()


class _Manager:
    """A wrapper's context manager, and the function's own after an error of the wrapper's."""

    __slots__ = ("args", "call", "failed", "kwargs", "lost", "manager")

    def __init__(self, failed: Failed, manager: Any, call: Call, args: Any, kwargs: Any) -> None:
        self.failed = failed
        self.manager = manager
        self.call = call
        self.args = args
        self.kwargs = kwargs
        self.lost: Manager | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.manager, name)

    def _own(self) -> Manager:
        own = self.call.source(self.args, self.kwargs)
        return own if isinstance(own, Manager) else Manager(self.call, own)

    def __enter__(self) -> Any:
        self.call.entering = True
        try:
            return self.manager.__enter__()
        except Exception as error:
            if self.call.is_of(error):
                raise
            self.failed(error)
        finally:
            self.call.entering = False
        own = self.lost = self._own()
        return own.entered[0] if own.entered else own.__enter__()

    def __exit__(self, *exc_info: object) -> Any:
        if self.lost is not None:
            return self.lost.left[0] if self.lost.left else self.lost.__exit__(*exc_info)
        try:
            return self.manager.__exit__(*exc_info)
        except Exception as error:
            if error is exc_info[1] or self.call.is_of(error):
                raise
            self.failed(error)
        own = self._own()
        return own.left[0] if own.left else own.__exit__(*exc_info)

    async def __aenter__(self) -> Any:
        self.call.entering = True
        try:
            return await self.manager.__aenter__()
        except Exception as error:
            if self.call.is_of(error):
                raise
            self.failed(error)
        finally:
            self.call.entering = False
        own = self.lost = self._own()
        return own.entered[0] if own.entered else await own.__aenter__()

    async def __aexit__(self, *exc_info: object) -> Any:
        if self.lost is not None:
            return self.lost.left[0] if self.lost.left else await self.lost.__aexit__(*exc_info)
        try:
            return await self.manager.__aexit__(*exc_info)
        except Exception as error:
            if error is exc_info[1] or self.call.is_of(error):
                raise
            self.failed(error)
        own = self._own()
        return own.left[0] if own.left else await own.__aexit__(*exc_info)


GUARDS: Final[dict[type, Callable[..., Any]]] = {
    CoroutineType: _coroutine,
    GeneratorType: _generator,
    AsyncGeneratorType: _async_generator,
    MANAGER: _Manager,
    ASYNC_MANAGER: _Manager,
}
"""By the type of what a wrapper returned: what guards the rest of it."""
