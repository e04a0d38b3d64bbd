"""An error of an instrumentor never reaches the application: wrappers of every kind, broken at every stage."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import timeit
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context, trace
from support.pace import slowdown
from wrapt import FunctionWrapper

from otel_kpi.instrumentation.boundary import MOST_ERRORS, Boundary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

STAGES = ("before", "after", "handling")


class Ours(Exception):  # noqa: N818 - what it stands for
    """An error of the instrumentor."""


class Theirs(Exception):  # noqa: N818 - what it stands for
    """An error of the application."""


class Library:
    """Functions of every kind, which count their calls; `broken` makes them raise."""

    def __init__(self, *, broken: bool = False) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.cause = LookupError("behind it")
        self.error = Theirs("no such row") if broken else None
        self.left: list[str] = []

    def _call(self, *args: Any) -> str:
        self.calls.append(args)
        if self.error is not None:
            try:
                raise self.cause
            except LookupError:
                raise self.error  # noqa: B904 - a context without a cause is what is looked at
        return "row"

    def function(self, *args: Any, **kwargs: Any) -> str:
        return self._call(*args, kwargs)

    async def coroutine(self, *args: Any, **kwargs: Any) -> str:
        await asyncio.sleep(0)
        return self._call(*args, kwargs)

    def generator(self, *args: Any, **kwargs: Any) -> Iterator[str]:
        try:
            yield "first"
            yield "second"
            yield self._call(*args, kwargs)
        finally:
            self.left.append("generator")

    async def async_generator(self, *args: Any, **kwargs: Any) -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(0)
        yield "second"
        yield self._call(*args, kwargs)

    @contextlib.contextmanager
    def manager(self, *args: Any, **kwargs: Any) -> Generator[str]:
        self.left.append("entered")
        yield self._call(*args, kwargs)
        self.left.append("left")

    @contextlib.asynccontextmanager
    async def async_manager(self, *args: Any, **kwargs: Any) -> AsyncGenerator[str]:
        self.left.append("entered")
        yield self._call(*args, kwargs)
        self.left.append("left")


def attach() -> Any:
    """Make another context current, as instrumentors do; nobody takes it back."""
    return context.attach(context.set_value("leaked", True))


def sync_wrapper(stage: str) -> Callable[..., Any]:
    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        token = attach()
        kwargs["injected"] = True
        if stage == "before":
            raise Ours(stage)
        try:
            result = wrapped(*args, **kwargs)
        except Theirs:
            if stage == "handling":
                raise Ours(stage)  # noqa: B904 - an instrumentor that fails while it records an exception
            context.detach(token)
            raise
        if stage == "after":
            raise Ours(stage)
        context.detach(token)
        return result

    return wrapper


def async_wrapper(stage: str) -> Callable[..., Any]:
    async def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        token = attach()
        if stage == "before":
            raise Ours(stage)
        try:
            result = await wrapped(*args, **kwargs)
        except Theirs:
            if stage == "handling":
                raise Ours(stage)  # noqa: B904 - the same
            context.detach(token)
            raise
        if stage == "after":
            raise Ours(stage)
        context.detach(token)
        return result

    return wrapper


def disguised_async_wrapper(stage: str) -> Callable[..., Any]:
    """A plain function that returns a coroutine."""
    wrapper = async_wrapper(stage)

    def disguised(*args: Any) -> Any:
        return wrapper(*args)

    return disguised


def generator_wrapper(stage: str) -> Callable[..., Any]:
    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        if stage == "before":
            raise Ours(stage)
        taken = 0
        try:
            for item in wrapped(*args, **kwargs):
                taken += 1
                if stage == "after" and taken == 2:
                    raise Ours(stage)
                yield item
        except Theirs:
            if stage == "handling":
                raise Ours(stage)  # noqa: B904 - the same
            raise

    return wrapper


def async_generator_wrapper(stage: str) -> Callable[..., Any]:
    async def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        if stage == "before":
            raise Ours(stage)
        taken = 0
        try:
            async for item in wrapped(*args, **kwargs):
                taken += 1
                if stage == "after" and taken == 2:
                    raise Ours(stage)
                yield item
        except Theirs:
            if stage == "handling":
                raise Ours(stage)  # noqa: B904 - the same
            raise

    return wrapper


def manager_wrapper(stage: str) -> Callable[..., Any]:
    @contextlib.contextmanager
    def around(wrapped: Any, args: Any, kwargs: Any) -> Generator[Any]:
        if stage == "before":
            raise Ours(stage)
        try:
            with wrapped(*args, **kwargs) as value:
                if stage == "after":
                    raise Ours(stage)
                yield value
        except Theirs:
            if stage == "handling":
                raise Ours(stage)  # noqa: B904 - the same
            raise

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return around(wrapped, args, kwargs)

    return wrapper


def async_manager_wrapper(stage: str) -> Callable[..., Any]:
    @contextlib.asynccontextmanager
    async def around(wrapped: Any, args: Any, kwargs: Any) -> AsyncGenerator[Any]:
        if stage == "before":
            raise Ours(stage)
        try:
            async with wrapped(*args, **kwargs) as value:
                if stage == "after":
                    raise Ours(stage)
                yield value
        except Theirs:
            if stage == "handling":
                raise Ours(stage)  # noqa: B904 - the same
            raise

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return around(wrapped, args, kwargs)

    return wrapper


def use_sync(function: Callable[..., Any]) -> Any:
    return function(1, key="value")


def use_async(function: Callable[..., Any]) -> Any:
    async def run() -> Any:
        before = context.get_current()
        try:
            return await function(1, key="value")
        finally:
            assert context.get_current() is before

    return asyncio.run(run())


def use_generator(function: Callable[..., Any]) -> Any:
    return list(function(1, key="value"))


def use_async_generator(function: Callable[..., Any]) -> Any:
    async def run() -> Any:
        return [item async for item in function(1, key="value")]

    return asyncio.run(run())


def use_manager(function: Callable[..., Any]) -> Any:
    with function(1, key="value") as value:
        return value


def use_async_manager(function: Callable[..., Any]) -> Any:
    async def run() -> Any:
        async with function(1, key="value") as value:
            return value

    return asyncio.run(run())


KINDS = {
    "function": ("function", sync_wrapper, use_sync),
    "coroutine": ("coroutine", async_wrapper, use_async),
    "coroutine of a function": ("coroutine", disguised_async_wrapper, use_async),
    "generator": ("generator", generator_wrapper, use_generator),
    "async generator": ("async_generator", async_generator_wrapper, use_async_generator),
    "manager": ("manager", manager_wrapper, use_manager),
    "async manager": ("async_manager", async_manager_wrapper, use_async_manager),
}


def outcome(use: Callable[..., Any], function: Callable[..., Any]) -> tuple[Any, ...]:
    """What the caller sees: the result, or the exception and what it carries."""
    try:
        return ("returned", use(function))
    except Exception as error:
        return ("raised", error, error.__context__, error.__cause__, str(error))


@pytest.fixture
def boundary(request: pytest.FixtureRequest) -> Iterator[Boundary]:
    boundary = Boundary(request.node.name)
    before = context.get_current()
    yield boundary
    assert context.get_current() is before, "a context is left behind"


@pytest.mark.parametrize("broken", [False, True], ids=["answer", "error"])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_caller_sees_what_it_would_without_the_instrumentor(
    boundary: Boundary, kind: str, stage: str, *, broken: bool
) -> None:
    name, make, use = KINDS[kind]
    bare, library = Library(broken=broken), Library(broken=broken)
    library.error, library.cause = bare.error, bare.cause
    expected = outcome(use, getattr(bare, name))
    wrapped = FunctionWrapper(getattr(library, name), boundary.wrap(make(stage)))
    assert outcome(use, wrapped) == expected
    assert len(library.calls) == 1
    assert library.left == bare.left
    raises = stage == "before" or (stage == "handling" and broken) or (stage == "after" and not broken)
    raises = raises or (
        stage == "after" and "generator" in kind
    )  # it fails at the second item, before the error
    assert boundary.errors == raises


def test_arguments_are_the_callers_when_a_wrapper_changed_them_and_failed(boundary: Boundary) -> None:
    library = Library()
    use_sync(FunctionWrapper(library.function, boundary.wrap(sync_wrapper("before"))))
    assert library.calls == [(1, {"key": "value"})]


@pytest.mark.parametrize("stage", STAGES)
def test_exception_handled_by_the_caller_stays_in_the_chain(boundary: Boundary, stage: str) -> None:
    """As it is without the instrumentor: `raise` inside of a handler would write another context."""

    def caught(function: Callable[..., Any]) -> list[BaseException | None]:
        try:
            raise KeyError("the caller's")  # noqa: TRY301 - what is handled while the function is called
        except KeyError:
            try:
                function(1)
            except Theirs as error:
                chain: list[BaseException | None] = [error]
                while chain[-1] is not None:
                    chain.append(chain[-1].__context__)
                return chain
        return []

    types = [type(error) for error in caught(Library(broken=True).function)]
    wrapped = FunctionWrapper(Library(broken=True).function, boundary.wrap(sync_wrapper(stage)))
    assert [type(error) for error in caught(wrapped)] == types
    assert Ours not in types


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError(), GeneratorExit()]
)
def test_what_is_no_error_passes(boundary: Boundary, error: BaseException) -> None:
    def raising(*_: Any) -> None:
        raise error

    def passing(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    for wrapper in (raising, passing):
        with pytest.raises(BaseException) as raised:  # noqa: PT011 - which one it is, is compared below
            FunctionWrapper(raising, boundary.wrap(wrapper))()
        assert raised.value is error
    assert boundary.errors == 0


def test_cancelled_call_stays_cancelled_when_the_wrapper_fails_over_it(boundary: Boundary) -> None:
    async def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        finally:
            raise Ours("while the call is cancelled")

    async def run() -> bool:
        started = asyncio.Event()

        async def library() -> None:
            started.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(FunctionWrapper(library, boundary.wrap(wrapper))())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert asyncio.run(run())
    assert boundary.errors == 1


def test_end_of_an_iteration_is_no_error(boundary: Boundary) -> None:
    """Upstream's wrapper of asyncpg's cursors raises another `StopAsyncIteration` than it caught."""

    async def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            return await wrapped(*args, **kwargs)
        except StopAsyncIteration:
            pass
        raise StopAsyncIteration

    async def library() -> None:
        raise StopAsyncIteration

    async def run() -> None:
        with pytest.raises(StopAsyncIteration):
            await FunctionWrapper(library, boundary.wrap(wrapper))()

    asyncio.run(run())
    assert boundary.errors == 0


def test_first_error_is_one_line_and_the_last_one_more(
    boundary: Boundary, caplog: pytest.LogCaptureFixture
) -> None:
    library = Library()
    seen: list[str] = []
    broken = sync_wrapper("before")

    def wrapper(*args: Any) -> Any:
        seen.append("called")
        return broken(*args)

    function = FunctionWrapper(library.function, boundary.wrap(wrapper))
    with caplog.at_level(logging.DEBUG, "otel_kpi"):
        assert [function() for _ in range(MOST_ERRORS + 5)] == ["row"] * (MOST_ERRORS + 5)
    assert len(seen) == boundary.errors == MOST_ERRORS
    assert not boundary.open
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith(
        f"{boundary.name}: telemetry of a call is lost to an error, the call went on: Ours: before ("
    )
    assert last == f"{boundary.name} is switched off after 10 errors: no telemetry of it from now on"
    assert "\n" not in first


def test_line_does_not_quote_a_secret(boundary: Boundary, caplog: pytest.LogCaptureFixture) -> None:
    def wrapper(*_: Any) -> None:
        raise ValueError("cannot parse postgresql://clerk:hunter2@db.example/orders")

    FunctionWrapper(Library().function, boundary.wrap(wrapper))()
    assert "hunter2" not in caplog.text


def test_exception_whose_text_cannot_be_had_is_counted(boundary: Boundary) -> None:
    class Hostile(Exception):  # noqa: N818 - the same
        def __str__(self) -> str:
            raise RuntimeError

    def wrapper(*_: Any) -> None:
        raise Hostile

    assert FunctionWrapper(Library().function, boundary.wrap(wrapper))() == "row"
    assert boundary.errors == 1


def test_listener_is_silent_and_gives_the_context_back(boundary: Boundary) -> None:
    def listener() -> None:
        attach()
        raise Ours

    async def async_listener() -> None:
        attach()
        raise Ours

    boundary.listener(listener, begins=True)()

    async def run() -> None:
        before = context.get_current()
        await boundary.listener(async_listener, begins=True)()
        assert context.get_current() is before

    asyncio.run(run())
    assert boundary.errors == 2


def test_errors_are_a_metric(boundary: Boundary, captured: Any) -> None:
    FunctionWrapper(Library().function, boundary.wrap(sync_wrapper("before")))()
    points = captured.points("otel_kpi.instrumentation.errors")
    assert {point.attributes["instrumentor"]: point.value for point in points}[boundary.name] == 1


def test_generator_can_be_sent_to_and_thrown_into(boundary: Boundary) -> None:
    def library() -> Any:
        got = yield "ready"
        try:
            yield got
        except Theirs:
            yield "caught"

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return (yield from wrapped(*args, **kwargs))

    generator = FunctionWrapper(library, boundary.wrap(wrapper))()
    assert (next(generator), generator.send("sent"), generator.throw(Theirs())) == ("ready", "sent", "caught")
    with pytest.raises(StopIteration):
        next(generator)
    assert boundary.errors == 0


def test_nothing_is_kept_of_a_call_that_raised(boundary: Boundary) -> None:
    class Big:
        pass

    def library(_big: Big, **_options: Any) -> None:
        raise Theirs

    function = FunctionWrapper(library, boundary.wrap(sync_wrapper("never")))
    big = Big()
    alive = weakref.ref(big)
    gc.disable()
    try:
        with contextlib.suppress(Theirs):
            function(big)
        del big
        assert alive() is None, "a cycle through the traceback"
    finally:
        gc.enable()


def test_boundary_costs_less_than_a_microsecond_a_call(boundary: Boundary) -> None:
    """0.5 µs measured; three times the promised figure on a machine that does other things too."""

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        return wrapped(*args, **kwargs)

    def library() -> None:
        return None

    number = 20_000
    bare, guarded = (
        min(timeit.repeat(FunctionWrapper(library, how), number=number, repeat=5)) / number
        for how in (wrapper, boundary.wrap(wrapper))
    )
    assert guarded - bare < 3e-6 * slowdown()


def test_boundary_that_is_off_costs_nothing_of_the_wrapper(boundary: Boundary) -> None:
    boundary.open = False

    def wrapper(*_: Any) -> None:
        raise AssertionError("called although it is off")

    assert FunctionWrapper(Library().function, boundary.wrap(wrapper))() == "row"
    assert trace.get_current_span() is trace.INVALID_SPAN
