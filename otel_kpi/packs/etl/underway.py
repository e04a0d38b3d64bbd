"""Runs and stages that have begun and not ended: who beats for them, and who ends them when the process does.

A signal that nobody handles ends a process without a word to Python's `with`. The distribution's end of the process
asks here first, so the run leaves with its counts and the result `cancellation`. A forked child has none of its own:
what it inherits is its parent's to end.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from otel_kpi import endings, forks
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from otel_kpi.packs.etl.outcome import Outcome

_MOST: Final = 10_000
"""Beyond it they go unremembered: somebody begins without end."""
_WAIT: Final = 0.5
"""Seconds that a signal waits for the spans to be ended."""


class Open(Protocol):
    """What can be ended from outside."""

    began: float
    inherited: bool

    def cancel(self, outcome: Outcome) -> None:
        """End it with the process."""
        ...

    def forget_pending(self) -> None:
        """In a forked child: what was pending is the parent's to tell."""
        ...


_open: dict[int, Open] = {}


def remember(scope: Open) -> None:
    """Note that something has begun."""
    if len(_open) < _MOST:
        _open[id(scope)] = scope


def forget(scope: Open) -> None:
    """Note that it has ended."""
    _open.pop(id(scope), None)


def all_open() -> list[Open]:
    """What is under way now, the outermost first."""
    return list(_open.values())


def _end(number: int | None) -> None:
    """End what is open, the innermost first."""
    if not _open:
        return
    if number is None:
        _cancel_all(None)
        return
    # The signal may have interrupted a span while it held its lock: only another thread can wait for that.
    thread = threading.Thread(target=_cancel_all, args=(number,), name="otel-kpi-etl-end", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        _cancel_all(number)  # the system has no more threads
    else:
        thread.join(_WAIT)


def _cancel_all(number: int | None) -> None:
    import signal

    from otel_kpi.packs.etl.outcome import Outcome

    outcome = Outcome("cancellation", "exit" if number is None else signal.Signals(number).name)
    for scope in reversed(all_open()):
        try:
            scope.cancel(outcome)
        except Exception as error:
            failed("the end of a run", error)


def _after_fork() -> None:
    for scope in all_open():
        scope.inherited = True
        scope.forget_pending()
    _open.clear()


endings.before_end(_end)
forks.in_child(_after_fork)
