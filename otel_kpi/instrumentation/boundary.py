"""Fail open: an error of an instrumentor never reaches the call that it watches.

An instrumentor's wrapper calls the wrapped function itself, so it is given a stand-in that notes what the function
returned or raised. What the wrapper raises and the function did not raise is ours: it is counted, said once, and
the caller gets what the function gave. When the function was not called yet, it is called now, with the arguments
of the caller. After ten errors the instrumentor is off: its calls go past it.

Who raised is decided by the identity of the exception. `BaseException` (Ctrl-C, a cancelled task, a generator that
is closed) is nobody's error and passes.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context, metrics

from otel_kpi._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.metrics import Counter

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

MOST_ERRORS: Final = 10
"""After so many an instrumentor is off for the life of the process."""

_ERRORS: Final = "otel_kpi.instrumentation.errors"
_NOT_CALLED: Final = object()

_lock: Final = threading.Lock()
_boundaries: dict[str, Any] = {}
_counter: Counter | None = None


class Call:
    """A function in the hands of a wrapper: calls it, and notes what came of it.

    Attributes:
        result: What the function returned; the object `_NOT_CALLED` before.
        error: What it raised, or what awaiting its result raised.
        pending: The item of its generator that the wrapper has taken and may not have passed on, in a tuple.
    """

    __slots__ = ("__wrapped__", "error", "pending", "result", "value")

    def __init__(self, wrapped: Callable[..., Any]) -> None:
        self.__wrapped__ = wrapped
        self.result: Any = _NOT_CALLED
        self.value: Any = _NOT_CALLED
        self.error: BaseException | None = None
        self.pending: tuple[Any, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function, and note what comes of it."""
        try:
            result = self.__wrapped__(*args, **kwargs)
        except BaseException as error:
            self.error = error
            raise
        record = _RECORDERS.get(type(result))
        if record is not None:
            result = record(self, result)
        self.result = result
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    @property
    def called(self) -> bool:
        """Whether the wrapper has called the function."""
        return self.result is not _NOT_CALLED or self.error is not None

    async def awaited(self, coroutine: Any) -> Any:
        """Await what the function returned, and note what comes of it."""
        try:
            self.value = value = await coroutine
        except BaseException as error:
            self.error = error
            raise
        return value


class Boundary:
    """What stands between one instrumentor and the application. One for each name in a process.

    Attributes:
        name: The instrumentor's, as in the table.
        errors: How many of its errors did not reach the application.
        open: False once it is off.
    """

    __slots__ = ("errors", "name", "open")

    name: str
    errors: int
    open: bool

    def __new__(cls, name: str) -> Self:
        """Give the boundary of that name."""
        with _lock:
            found = _boundaries.get(name)
            if found is None:
                found = _boundaries[name] = super().__new__(cls)
                found.name, found.errors, found.open = name, 0, True
            return found

    def reset(self) -> None:
        """Begin again at zero errors: the instrumentor was put in place anew."""
        self.errors, self.open = 0, True

    def failed(self, error: BaseException) -> None:
        """Count an error that is ours; say the first, and switch off after the last. Never raises."""
        with _lock:
            self.errors += 1
            errors = self.errors
            if errors >= MOST_ERRORS:
                self.open = False
        try:
            if errors == 1:
                _logger.warning(
                    "%s: telemetry of a call is lost to an error, the call went on: %s",
                    self.name,
                    _line(error),
                )
            elif errors == MOST_ERRORS:
                _logger.warning(
                    "%s is switched off after %d errors: no telemetry from now on", self.name, errors
                )
            _count(self.name)
        except Exception:
            pass  # it is counted in `errors`; there is no one left to tell

    def wrap(self, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        """Guard a wrapper as wrapt calls it: `(wrapped, instance, args, kwargs)`.

        The wrapper may be a coroutine function, and may return coroutines, generators, asynchronous generators and
        context managers of contextlib: what these raise later is guarded too.
        """
        if inspect.iscoroutinefunction(wrapper):
            return self._wrap_async(wrapper)
        later = _later

        @_named_as(wrapper)
        def guarded(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            if not self.open:
                return wrapped(*args, **kwargs)
            call = Call(wrapped)
            before = context.get_current()
            try:
                result = wrapper(call, instance, args, kwargs)
            except Exception as error:
                if _is_of(call, error):
                    call.error = None
                    raise
                self.failed(error)
            else:
                if type(result) in later and result is not call.result:
                    return later[type(result)](self, result, call, args, kwargs)
                return result
            return recovered(call, before, args, kwargs)

        return guarded

    def _wrap_async(self, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        @_named_as(wrapper)
        async def guarded(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            if not self.open:
                return await wrapped(*args, **kwargs)
            call = Call(wrapped)
            before = context.get_current()
            try:
                return await wrapper(call, instance, args, kwargs)
            except Exception as error:
                if _is_of(call, error):
                    call.error = None
                    raise
                self.failed(error)
            return await recovered_async(call, before, args, kwargs)

        return guarded

    def listener(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Guard a callback whose result nobody needs; an error of it is ours whoever raised it."""

        @_named_as(callback)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not self.open:
                return None
            try:
                return callback(*args, **kwargs)
            except Exception as error:
                self.failed(error)
            return None

        return guarded


def known_boundary(name: str) -> Boundary | None:
    """Give the boundary of that name if anybody asked for it before."""
    return _boundaries.get(name)


# --- after an error of ours


def restore(before: Context) -> None:
    """Take back what a wrapper attached and did not detach."""
    if context.get_current() is not before:
        context.attach(before)


def recovered(call: Call, before: Context, args: Any, kwargs: Any) -> Any:
    """Give the caller what the function gave, or call it."""
    restore(before)
    if call.error is not None:
        reraise(call)
    if call.called:
        return call.result
    return call.__wrapped__(*args, **kwargs)


async def recovered_async(call: Call, before: Context, args: Any, kwargs: Any) -> Any:
    """Give the caller what awaiting the function gave, or await it."""
    restore(before)
    if call.error is not None:
        reraise(call)
    if call.value is not _NOT_CALLED:
        return call.value
    return await (call.result if call.called else call.__wrapped__(*args, **kwargs))


def reraise(call: Call) -> None:
    """Raise what the function raised, as it was: a `raise` would write another `__context__` on it."""
    error, call.error = call.error, None
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


def _is_of(call: Call, error: BaseException) -> bool:
    """Say whether the function raised it. The end of an iteration may be another object of the same kind."""
    if error is call.error:
        return True
    return isinstance(error, (StopIteration, StopAsyncIteration)) and type(error) is type(call.error)


# --- results that raise later


async def _later_coroutine(boundary: Boundary, result: Any, call: Call, args: Any, kwargs: Any) -> Any:
    before = context.get_current()
    try:
        return await result
    except Exception as error:
        if _is_of(call, error):
            call.error = None
            raise
        boundary.failed(error)
    return await recovered_async(call, before, args, kwargs)


_RECORDERS: Final[dict[type, Callable[[Call, Any], Any]]] = {CoroutineType: Call.awaited}
_later: Final[dict[type, Callable[..., Any]]] = {CoroutineType: _later_coroutine}


# --- saying it


def _named_as(wrapper: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Name the guard after what it guards, without `__wrapped__`: tools would unwrap to the wrong signature."""

    def named(guarded: Callable[..., Any]) -> Callable[..., Any]:
        functools.update_wrapper(guarded, wrapper)
        vars(guarded).pop("__wrapped__", None)
        return guarded

    return named


def _line(error: BaseException) -> str:
    """Say an error in one line, and where it was raised; its message may quote what the application sent."""
    from otel_kpi.redaction import redact_text

    traceback, place = error.__traceback__, ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = f" ({code.co_filename}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    try:
        message = redact_text(" ".join(str(error).split()))[:200]
    except Exception:
        message = "its message cannot be shown"
    return f"{type(error).__qualname__}: {message}{place}"


def _count(name: str) -> None:
    global _counter
    if _counter is None:
        _counter = metrics.get_meter("otel_kpi.instrumentation", __version__).create_counter(
            _ERRORS, "{error}", "Errors of an instrumentor that did not reach the application."
        )
    _counter.add(1, {"instrumentor": name})
