"""Threads: the work that a thread does for a span stands in that span's trace, and no other work does.

Context does not travel into threads by itself. Upstream's instrumentor gives each new thread that of whoever happens
to start it, for life: a consumer or a pool's worker that a request starts puts all its later spans into the trace of
that request, and its baggage into every later call
(asked for in https://github.com/open-telemetry/opentelemetry-python-contrib/issues/737). And it patches `Thread.run`, which
subclasses override. Here

- a thread, or a timer, is lent the context of the span that starts it, until that span has ended;
- a task of a `ThreadPoolExecutor` is lent the context of the span that submits it, and for a minute longer: a task
  is one piece of work and may well begin when its request has been answered. The pool's threads get none.

The first span that begins after that is a trace of its own, linked to the span that the thread came from
(`sdk.processors`). `asyncio.to_thread`, Starlette's and Django's thread pools carry the context themselves, and
are as they were. Processes of a `ProcessPoolExecutor` or of `multiprocessing` are not reached.
"""

from __future__ import annotations

import threading
import types
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.sdk.lent_context import LentContext

if TYPE_CHECKING:
    from collections.abc import Callable

_GRACE: Final = 60.0
"""Seconds after the end of its span for which a task still works for it."""

_EMPTY: Final = context.Context()


class Instrumentor:
    """Wraps `Thread.start` and `ThreadPoolExecutor.submit`."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap both; opentelemetry-sdk has imported them."""
        from concurrent.futures import ThreadPoolExecutor

        from wrapt import wrap_function_wrapper

        boundary = Boundary("threading")
        wrap_function_wrapper(threading.Thread, "start", boundary.wrap(_start))
        wrap_function_wrapper(ThreadPoolExecutor, "submit", boundary.wrap(_submit))

    def uninstrument(self) -> None:
        """Unwrap. Threads and tasks that have begun keep what they were lent."""
        from concurrent.futures import ThreadPoolExecutor

        from opentelemetry.instrumentation.utils import unwrap

        unwrap(threading.Thread, "start")
        unwrap(ThreadPoolExecutor, "submit")


def _start(wrapped: Callable[..., Any], thread: threading.Thread, args: Any, kwargs: Any) -> Any:
    lender = _lender()
    if lender is None:
        return wrapped(*args, **kwargs)
    # On the thread itself: a subclass has a `run` of its own, and whoever wraps that of the class misses it. As a
    # method, since others who do the same (sentry-sdk) look for the function behind it.
    run = _Run(LentContext(lender), thread.run)
    vars(thread)["run"] = types.MethodType(run, thread)
    try:
        return wrapped(*args, **kwargs)
    except BaseException:
        vars(thread).pop("run", None)
        raise


def _submit(wrapped: Callable[..., Any], _executor: Any, args: Any, kwargs: Any) -> Any:
    lender = _lender()
    if lender is None or not args:
        return wrapped(*args, **kwargs)
    task = _Task(LentContext(lender, _GRACE), args[0])
    # A thread that the pool starts for this task works for others afterwards.
    token = context.attach(_EMPTY)
    try:
        return wrapped(task, *args[1:], **kwargs)
    finally:
        context.detach(token)


def _lender() -> context.Context | None:
    """The current context, if there is anything in it to lend."""
    current = context.get_current()
    if isinstance(current, LentContext) and not current.is_open():
        return None
    return current or None


class _Run:
    """The `run` of one thread."""

    __slots__ = ("_context", "_run")

    def __init__(self, lent: LentContext, run: Callable[[], None]) -> None:
        self._context = lent
        self._run = run

    def __call__(self, thread: threading.Thread) -> None:
        vars(thread).pop(
            "run", None
        )  # it refers to the thread, which would then wait for the garbage collector
        token = context.attach(self._context)
        try:
            self._run()
        finally:
            context.detach(token)


class _Task:
    """A function that a pool calls, in the context of who submitted it."""

    __slots__ = ("_context", "_function")

    def __init__(self, lent: LentContext, function: Callable[..., Any]) -> None:
        self._context = lent
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = context.attach(self._context)
        try:
            return self._function(*args, **kwargs)
        finally:
            context.detach(token)
