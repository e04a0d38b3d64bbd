"""A function within a scope is called as before, whatever kind of function it is; its scope ends when it does."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context

from otel_kpi.packs.decoration import Scope, decorated, within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from opentelemetry.context import Context

_KEY = context.create_key("scope")


class Noted(Scope):
    """A scope that is current, and notes what becomes of it."""

    def __init__(self, log: list[str]) -> None:
        self._log = log
        self._before: Context | None = None
        self.context = context.set_value(_KEY, self)
        log.append("begun")

    def attach(self) -> None:
        self._before = context.get_current()
        assert self.context is not None
        context.attach(self.context)

    def detach(self) -> None:
        if self._before is not None:
            context.attach(self._before)
            self._before = None

    def end(self, error: BaseException | None = None) -> None:
        self.detach()
        self._log.append("ended" if error is None else type(error).__name__)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def begin(log: list[str]) -> Callable[[], Noted]:
    return functools.partial(Noted, log)


def here() -> bool:
    return context.get_value(_KEY) is not None


async def later() -> bool:
    await asyncio.sleep(0)
    return here()


class Late:
    """An object that is called, and is no coroutine function to whoever looks."""

    async def __call__(self) -> bool:
        return await later()


@pytest.mark.parametrize(
    "function",
    [
        lambda: later(),  # noqa: PLW0108 - that is what it is about
        functools.partial(later),
        Late(),
    ],
)
def test_what_a_plain_function_has_begun_is_within_the_scope_until_it_is_done(
    begin: Callable[[], Noted], log: list[str], function: Callable[[], Any]
) -> None:
    async def main() -> None:
        waiting = decorated(begin, function)()
        assert not here(), "it is current between the call and the wait"
        assert "ended" not in log
        assert await waiting
        assert not here()

    asyncio.run(main())
    assert log == ["begun", "ended"]


def test_a_future_stays_a_future(begin: Callable[[], Noted], log: list[str]) -> None:
    async def main() -> None:
        future = decorated(begin, asyncio.get_running_loop().create_future)()
        assert isinstance(future, asyncio.Future)
        assert future.cancel()

    asyncio.run(main())
    assert log == ["begun", "ended"]


def test_within_waits_for_whatever_can_be_awaited(begin: Callable[[], Noted], log: list[str]) -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = within(begin(), lambda: future)
        assert log == ["begun"]
        future.set_result(7)
        assert await waiting == 7

    asyncio.run(main())
    assert log == ["begun", "ended"]
    assert within(begin(), here)
    assert not here()


@pytest.mark.parametrize("kind", ["call", "coroutine", "generator", "async generator"])
def test_quiet_exceptions_end_the_scope_and_give_none(
    begin: Callable[[], Noted], log: list[str], kind: str
) -> None:
    def call() -> None:
        raise KeyError

    async def coroutine() -> None:
        call()

    def generator() -> Generator[int]:
        yield 1
        call()

    async def async_generator() -> AsyncGenerator[int]:
        yield 1
        call()

    def outcome(quiet: tuple[type[BaseException], ...]) -> Any:
        if kind == "call":
            return decorated(begin, call, quiet)()
        if kind == "coroutine":
            return asyncio.run(decorated(begin, coroutine, quiet)())
        if kind == "generator":
            return list(decorated(begin, generator, quiet)())[1:] or None

        async def main() -> list[int]:
            return [each async for each in decorated(begin, async_generator, quiet)()]

        return asyncio.run(main())[1:] or None

    assert outcome((LookupError,)) is None
    with pytest.raises(KeyError):
        outcome((ValueError,))
    assert log == ["begun", "KeyError"] * 2
    assert not here()


def test_what_is_no_function_comes_back_with_a_line(
    begin: Callable[[], Noted], log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert decorated(begin, Noted) is Noted
    assert decorated(begin, 7) == 7  # type: ignore[type-var] # what a caller may do
    assert len(caplog.records) == 2
    assert log == []


def test_a_call_with_wrong_arguments_leaves_no_scope_open(begin: Callable[[], Noted], log: list[str]) -> None:
    def call(_: int) -> None: ...

    async def coroutine(_: int) -> None: ...

    for function in (call, coroutine):
        wrong: Any = decorated(begin, function)
        with pytest.raises(TypeError):
            asyncio.run(wrong()) if inspect.iscoroutinefunction(wrong) else wrong()
    assert log == ["begun", "TypeError"]
    assert not here()
