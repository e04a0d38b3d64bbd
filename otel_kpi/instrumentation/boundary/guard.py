"""What stands between one instrumentor and the application."""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context

from otel_kpi import record
from otel_kpi.instrumentation.boundary.calls import Call, restore
from otel_kpi.instrumentation.boundary.results import GUARDS
from otel_kpi.packs.telemetry.instruments import INSTRUMENTATION_ERRORS
from otel_kpi.sdk.faults import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

MOST_ERRORS: Final = 10
"""After so many an instrumentor is off for the life of the process."""

_lock: Final = threading.Lock()
_boundaries: dict[str, Any] = {}
_errors: Final = record.counter(INSTRUMENTATION_ERRORS, "otel_kpi.instrumentation")


class Boundary:
    """Guards what one instrumentor puts in place. There is one for each name in a process.

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
                    in_one_line(error),
                )
            elif errors == MOST_ERRORS:
                _logger.warning(
                    "%s is switched off after %d errors: no telemetry of it from now on", self.name, errors
                )
            _errors.add(1, self.name)
        except Exception:
            pass  # it is counted in `errors`; there is no one left to tell

    def wrap(self, wrapper: Callable[..., Any]) -> Callable[..., Any]:
        """Guard a wrapper as wrapt calls it: `(wrapped, instance, args, kwargs)`.

        The wrapper may be a coroutine function, and may return coroutines, generators, asynchronous generators and
        context managers of contextlib: what these raise later is guarded too.
        """
        return functools.partial(
            self.call_async if inspect.iscoroutinefunction(wrapper) else self.call, wrapper
        )

    def call(
        self, wrapper: Callable[..., Any], wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any
    ) -> Any:
        """Call a wrapper, or what it wraps."""
        if not self.open:
            return wrapped(*args, **kwargs)
        call = Call(wrapped)
        before = context.get_current()
        try:
            # A copy: what the wrapper puts in is not what the caller gave.
            result = wrapper(call, instance, args, {**kwargs})
        except Exception as error:
            if call.is_of(error):
                call.error = None
                raise
            self.failed(error)
        else:
            guard = GUARDS.get(type(result))
            if guard is not None and result is not call.result:
                return guard(self.failed, result, call, args, kwargs)
            return result
        return call.recovered(before, args, kwargs)

    async def call_async(
        self, wrapper: Callable[..., Any], wrapped: Callable[..., Any], instance: Any, args: Any, kwargs: Any
    ) -> Any:
        """Await a wrapper, or what it wraps."""
        if not self.open:
            return await wrapped(*args, **kwargs)
        call = Call(wrapped)
        before = context.get_current()
        try:
            return await wrapper(call, instance, args, {**kwargs})
        except Exception as error:
            if call.is_of(error):
                call.error = None
                raise
            self.failed(error)
        return await call.recovered_async(before, args, kwargs)

    def listener(self, callback: Callable[..., Any], *, begins: bool = False) -> Callable[..., Any]:
        """Guard a callback, or a coroutine function, whose result nobody needs: every error of it is ours.

        Args:
            callback: What is called.
            begins: Whether it attaches a context that another callback detaches: taken back after an error.
        """
        if inspect.iscoroutinefunction(callback):

            @functools.wraps(callback)
            async def guarded_async(*args: Any, **kwargs: Any) -> Any:
                if not self.open:
                    return None
                before = context.get_current()
                try:
                    return await callback(*args, **kwargs)
                except Exception as error:
                    self.failed(error)
                return restore(before) if begins else None

            return guarded_async

        @functools.wraps(callback)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if not self.open:
                return None
            before = context.get_current()
            try:
                return callback(*args, **kwargs)
            except Exception as error:
                self.failed(error)
            return restore(before) if begins else None

        return guarded


def known_boundary(name: str) -> Boundary | None:
    """Give the boundary of that name if anybody asked for it before."""
    return _boundaries.get(name)
