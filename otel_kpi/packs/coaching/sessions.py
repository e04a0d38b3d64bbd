"""Coaching sessions: one that a block of code holds, and one that is told of when it is over.

A session has no span: it lasts for half an hour and many requests, each with a trace of its own. What is said in it
belongs together by `llm.conversation(id)`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from otel_kpi.packs.coaching import handles
from otel_kpi.packs.decoration import Scope, decorated

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    F = TypeVar("F", bound="Callable[..., Any]")


def track_coaching_session(kind: str, duration: float) -> None:
    """Record a coaching session that has ended.

    Args:
        kind: As `"web_user"`; at most 20 distinct ones. Never who it was.
        duration: Seconds from its beginning to its end.

    Exported as ``kpi_coaching_sessions_total`` and ``kpi_coaching_session_duration_seconds``, and as
    ``coaching_sessions_total{kind}`` and ``coaching_session_duration_seconds{kind}``. Never raises.
    """
    _count(kind)
    _measure(kind, duration)


def _count(kind: str) -> None:
    handles.sessions.add(1, kind)
    handles.coaching_sessions.add(1, kind)


def _measure(kind: str, duration: float) -> None:
    handles.session_duration.record(duration, kind)
    handles.coaching_session_duration.record(duration, kind)


class _Held(Scope):
    """A session from when it began to its end, which comes once."""

    __slots__ = ("_kind", "_started")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        _count(kind)
        handles.sessions_active.add(1, kind)
        self._started = [time.perf_counter()]

    def end(self, error: BaseException | None = None) -> None:  # noqa: ARG002 - however it ends, it has
        try:
            # One `pop` succeeds, whichever thread calls.
            started = self._started.pop()
        except IndexError:
            return
        handles.sessions_active.add(-1, self._kind)
        _measure(self._kind, time.perf_counter() - started)


class Session:
    """A session that a block of code holds; made by `session()`."""

    __slots__ = ("_held", "_kind")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._held: list[_Held] = []

    def end(self) -> None:
        """End it before its block does."""
        try:
            self._held.pop().end()
        except IndexError:
            return

    def __enter__(self) -> Self:
        self._held.append(_Held(self._kind))
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def __call__(self, function: F) -> F:
        """Decorate a function: each call is a session, a generator's until its last value."""
        return decorated(lambda: _Held(self._kind), function)


def session(kind: str) -> Session:
    """A coaching session for the time of a block: `with` or `async with`, or a decorator.

    Args:
        kind: As of `track_coaching_session`.

    It is counted when it begins; the same series, and ``kpi_coaching_sessions_active`` besides. Never raises.
    """
    return Session(kind)
