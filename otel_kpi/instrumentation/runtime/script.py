"""The root of a batch script: what its client calls and statements stand under, so that a run is one trace.

A parent is given to what would otherwise be a trace of its own: calls of clients and publications, and what other
instrumentors record. It is no current span: a request never sees it, a thread does without having been handed
anything, and it can be withdrawn at any moment. Spans that the application starts itself stay the roots that they
are. It is sent when the process ends, and only if something stands under it.

It is withdrawn when the process turns out to serve (an application is handed to a server, a span of kind SERVER or
CONSUMER begins), and after an hour or 10,000 spans: who polls for ever would collect everything in one trace whose
root never arrives. What comes later is a trace of its own again, with a link to the root.
"""

from __future__ import annotations

import builtins
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from otel_kpi import _compat, forks
from otel_kpi._version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context

    from otel_kpi.sdk.tracers import RememberingTracerProvider

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

MOST_SPANS: Final = 10_000
LONGEST: Final = 3600.0
"""Seconds since the process began."""

_OUTGOING: Final = (SpanKind.CLIENT, SpanKind.PRODUCER)
_INCOMING: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
_INSTRUMENTORS: Final = (
    "opentelemetry.instrumentation.",
    "openinference.instrumentation.",
    "otel_kpi.instrumentation.",
)
_WORKERS: Final = ("celery.apps.worker", "celery.apps.beat")
"""Modules that only a process which serves for ever imports."""

_WITH_COMMANDS: Final = frozenset({"django", "django-admin", "manage.py"})


class ScriptRoot:
    """The root of this process, made when something needs it.

    Args:
        provider: Where its tracer comes from.
        most_spans: How many spans stand under it before it is withdrawn.
        longest: Seconds after which it is withdrawn.
    """

    def __init__(
        self, provider: RememberingTracerProvider, *, most_spans: int = MOST_SPANS, longest: float = LONGEST
    ) -> None:
        self._provider = provider
        self._began_at = time.time_ns()
        self._began = time.monotonic()
        self._most_spans = most_spans
        self._longest = longest
        self._lock = threading.Lock()
        self._span: trace.Span | None = None
        self._link: Link | None = None
        self._spans = 0
        self._ended = False
        self._exit = _Exit()

    # --- called for each span that starts

    def place(
        self, scope: str, parent: Context | None, kind: SpanKind, links: Sequence[Link]
    ) -> tuple[Context | None, Sequence[Link]]:
        """Say under what a span begins: as it was, or under the root. Never raises.

        Args:
            scope: Name of the tracer.
            parent: The context that the span was given.
            kind: The span's kind.
            links: The span's links.
        """
        try:
            return self._place(scope, parent, kind, links)
        except Exception as error:
            self._ended = True
            self._provider.place = None
            _logger.warning("the calls of this script have no root: %r", error)
            return parent, links

    def _place(
        self, scope: str, parent: Context | None, kind: SpanKind, links: Sequence[Link]
    ) -> tuple[Context | None, Sequence[Link]]:
        if kind in _INCOMING:
            self.withdraw()
            return parent, links
        if kind not in _OUTGOING and not scope.startswith(_INSTRUMENTORS):
            return parent, links
        # An empty context makes a root on purpose, unless it is the current one: instrumentors hand that on.
        on_purpose = parent is not None and not parent and parent is not context.get_current()
        if on_purpose or trace.get_current_span(parent).get_span_context().is_valid:
            return parent, links
        root = self._take()
        if root is not None:
            return trace.set_span_in_context(root, parent), links
        return parent, links if self._link is None else (*links, self._link)

    def _take(self) -> trace.Span | None:
        with self._lock:
            if self._ended:
                return None
            if self._span is None:
                if not is_script():
                    self._let_go()
                    return None
                self._span = self._provider.get_tracer("otel_kpi.script", __version__).start_span(
                    name_of_script(),
                    context.Context(),
                    attributes={
                        "process.executable.name": os.path.basename(sys.executable or "python"),  # noqa: PTH119 - no pathlib at start
                        "process.pid": os.getpid(),
                    },
                    start_time=self._began_at,
                )
                self._exit.watch()
            elif self._spans >= self._most_spans or time.monotonic() - self._began > self._longest:
                self._link = Link(self._span.get_span_context())
                self._let_go()
                return None
            self._spans += 1
            return self._span

    # --- its end

    def withdraw(self) -> None:
        """End it now: the process serves, or serves no purpose that it could be the root of."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if not self._ended:
            self._ended = True
            self._provider.place = None if self._link is None else self.place
            if self._span is not None:
                self._span.end()

    def end(self, number: int | None) -> None:
        """End it with the process. Takes no lock: a signal handler comes here while its own thread is inside.

        Args:
            number: The signal that ends the process, if one does.
        """
        span, self._span = self._span, None
        ended, self._ended = self._ended, True
        if span is None or ended or not span.is_recording():
            return
        if number is not None:
            span.set_attribute("process.exit.code", 128 + number)
            span.set_attribute("error.type", signal.Signals(number).name)
            span.set_status(Status(StatusCode.ERROR, signal.Signals(number).name))
        else:
            self._exit.tell(span)
        span.end()

    def after_fork_in_child(self) -> None:
        """In a child what needs a parent stands under the parent's root, which the parent ends."""
        self._lock = threading.Lock()
        span = self._span
        if span is not None:
            self._span = trace.NonRecordingSpan(span.get_span_context())
        elif not self._ended:
            self._ended = True
            self._provider.place = None


class _Exit:
    """How the process ends, as far as Python says it.

    Nothing tells an exit handler the status. `sys.exit` leaves a witness on its exception: when that dies and no
    frame is left, nobody has caught it. A bare `raise SystemExit(3)` is not seen, nor one that an event loop keeps,
    and nothing is said then.
    """

    def __init__(self) -> None:
        self.code: int | None = None

    def watch(self) -> None:
        exit_ = sys.exit
        if getattr(exit_, "watched", False):
            return

        def watched(status: Any = None, /) -> None:
            raise self._witnessed(status)  # in no variable: its traceback would hold it, and it would not die

        watched.watched = True  # pyright: ignore[reportFunctionMemberAccess]
        watched.__name__, watched.__doc__ = "exit", exit_.__doc__
        sys.exit = watched

    def _witnessed(self, status: Any) -> SystemExit:
        error = SystemExit(status)
        if threading.current_thread() is threading.main_thread():
            error.__dict__["_otel_kpi"] = _Witness(self, status)
        return error

    def tell(self, span: trace.Span) -> None:
        error = getattr(sys, "last_value", None)
        if isinstance(error, BaseException) and not isinstance(error, SystemExit):
            code = 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
            span.set_attribute("error.type", type(error).__qualname__)
        elif self.code is not None:
            code = self.code
            if code:
                span.set_status(Status(StatusCode.ERROR, f"exit status {code}"))
                span.set_attribute("error.type", str(code))
        else:
            return
        span.set_attribute("process.exit.code", code)


class _Witness:
    def __init__(self, exit_: _Exit, status: Any) -> None:
        self._exit = exit_
        self._code = 0 if status is None else status & 0xFF if isinstance(status, int) else 1

    def __del__(self) -> None:
        if sys._getframe().f_back is None:  # noqa: SLF001 - CPython's documented way to its own frames
            self._exit.code = self._code


# --- what this process is


def is_script() -> bool:
    """Say whether somebody started this process to do one thing: no prompt, no kernel, no test run, no child."""
    if hasattr(sys, "ps1") or sys.flags.interactive or hasattr(builtins, "__IPYTHON__"):
        return False
    if "ipykernel" in sys.modules or "_pytest" in sys.modules or _main_module().startswith("unittest"):
        return False
    multiprocessing = sys.modules.get("multiprocessing")
    return multiprocessing is None or multiprocessing.parent_process() is None


def name_of_script() -> str:
    """Name a run after its program and command, never after its arguments."""
    command = _compat.click_command()
    if command:
        return command
    program = _program()
    words = [word for word in sys.argv[1:2] if word and not word.startswith("-")]
    return f"{program} {words[0]}" if program in _WITH_COMMANDS and words else program


def _program() -> str:
    module = _main_module()
    if module:
        return module.removesuffix(".__main__")
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    return "python" if first in {"", "-", "-c"} else os.path.basename(first)  # noqa: PTH119 - no pathlib at start


def _main_module() -> str:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return str(getattr(spec, "name", ""))


# --- the one of this process

_root: ScriptRoot | None = None


def begin(provider: RememberingTracerProvider) -> ScriptRoot:
    """Have what would be an orphan in this process stand under one root, while it is a script."""
    global _root
    root = _root = ScriptRoot(provider)
    provider.place = root.place
    forks.in_child(root.after_fork_in_child)
    for module in _WORKERS:
        _compat.after_import(module, _became_worker)
    return root


def became_server() -> None:
    """Say that this process serves from now on."""
    if _root is not None:
        _root.withdraw()


def _became_worker(_module: Any) -> None:
    became_server()
