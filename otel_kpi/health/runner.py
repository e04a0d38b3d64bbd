"""Runs the checks: one daemon thread that decides, and one for each check while it is asked.

A check that does not come back within its time is given up: its outcome says so, its thread is left to itself, and
the check is not asked again before that thread has ended. So there is never more than one thread for a check.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi import _compat
from otel_kpi.health.declaration import Known, Outcome
from otel_kpi.health.result import INVALID, Result, judged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from otel_kpi.health.declaration import Declaration

_logger: Final = logging.getLogger("otel_kpi.health")
_LONGEST_NAME: Final = 100
_IDLE: Final = 60.0
_TIMED_OUT: Final = "TimeoutError"

_SILENT: Final = frozenset({"database", "cache"})
"""Kinds of checks whose statements and connections are not measured either: they are not the application's."""

UNHEALTHY: Final = Result("unhealthy")


@dataclass(slots=True, eq=False)
class _Run:
    """One asking on its way."""

    began: float
    time: float
    given_up: bool = False


@dataclass(slots=True, eq=False)
class _State:
    declaration: Declaration
    outcome: Outcome | None = None
    run: _Run | None = None
    due: float = 0.0
    loop: asyncio.AbstractEventLoop | None = field(default=None, repr=False)

    def close(self) -> None:
        """Close the loop, unless a run is on it; who ends that run comes here again."""
        if self.run is None and self.loop is not None:
            self.loop.close()
            self.loop = None


class Runner:
    """Asks checks in the background.

    Args:
        declarations: The checks.
        told: Is called with each outcome, in the thread of its check; must not raise.
    """

    def __init__(
        self,
        declarations: Mapping[str, Declaration],
        told: Callable[[Declaration, Outcome], None] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._told = told
        self._states: dict[str, _State] = {name: _State(each) for name, each in declarations.items()}

    @property
    def is_running(self) -> bool:
        """Whether its thread lives, in this process."""
        return self._thread is not None and self._thread.is_alive() and self._pid == os.getpid()

    def start(self) -> None:
        """Start the thread, unless it lives. Never raises: a system without threads to give is one line."""
        with self._lock:
            if self.is_running or self._stopped:
                return
            self._thread = threading.Thread(target=self._work, name="otel-kpi-health", daemon=True)
            # Instrumented threads take their starter's context along; this one outlives any request.
            token = context.attach(context.Context())
            try:
                self._thread.start()
            except RuntimeError as error:
                self._thread = None
                _logger.warning("health checks do not run: %s", error)
            finally:
                context.detach(token)

    def stop(self) -> None:
        """Ask nothing any more; what is asked now is left to itself."""
        self._stopped = True
        self._wake.set()
        with self._lock:
            for state in self._states.values():
                state.close()

    def declare(self, declarations: Mapping[str, Declaration]) -> None:
        """Take new declarations; what is known of those that stay is kept."""
        with self._lock:
            before = self._states
            kept = {
                name: state for name, state in before.items() if declarations.get(name) is state.declaration
            }
            self._states = {name: kept.get(name) or _State(each) for name, each in declarations.items()}
            for name in before.keys() - kept.keys():
                before[name].close()
        self._wake.set()

    def known(self) -> tuple[Known, ...]:
        """What is known of each check now. Takes no lock."""
        found: list[Known] = []
        for state in self._states.values():
            run = state.run
            since = run.time if run is not None and run.given_up else None
            found.append(Known(state.declaration, state.outcome, since))
        return tuple(found)

    # --- the thread that decides

    def _work(self) -> None:
        while not self._stopped:
            self._wake.clear()
            try:
                pause = self._step(time.monotonic())
            except Exception:
                # Nothing in there is known to raise. If it does, health must not be a thread that has died.
                _logger.warning("health checks were held up; they go on", exc_info=True)
                pause = 1.0
            self._wake.wait(pause)

    def _step(self, now: float) -> float:
        """Give up what hangs, start what is due; returns the seconds until there is something to do."""
        told: list[tuple[_State, Outcome, Outcome | None]] = []
        starting: list[tuple[_State, _Run]] = []
        pause = _IDLE
        with self._lock:
            if self._stopped:
                return 0.0
            for state in self._states.values():
                if state.run is not None:
                    self._give_up(state, state.run, now, told)
                elif now >= state.due:
                    self._begin(state, now, told, starting)
            for state in self._states.values():
                at = state.due
                if state.run is not None and not state.run.given_up:
                    at = state.run.began + state.declaration.timeout
                # What is due and waits for its dependencies is woken by their end.
                if at > now:
                    pause = min(pause, at - now)
        for state, run in starting:
            self._start_thread(state, run)
        for state, outcome, before in told:
            self._tell(state, outcome, before)
        return pause

    def _give_up(self, state: _State, run: _Run, now: float, told: list[Any]) -> None:
        declaration = state.declaration
        if run.given_up:
            if now >= state.due and state.outcome is not None:
                # It hangs still, which is known anew at each interval, and is no other run.
                state.due = now + declaration.interval
                state.outcome = replace(state.outcome, at=now, time=time.time())
        elif now >= run.began + declaration.timeout:
            run.given_up = True
            state.due = now + declaration.interval
            outcome = Outcome(UNHEALTHY, now, time.time(), now - run.began, _TIMED_OUT)
            self._settle(state, outcome, told)

    def _begin(self, state: _State, now: float, told: list[Any], starting: list[tuple[_State, _Run]]) -> None:
        declaration = state.declaration
        needed = [(name, self._states[name]) for name in declaration.depends_on if name in self._states]
        if any(other.outcome is None for _, other in needed):
            return
        state.due = now + declaration.interval
        down = tuple(
            name
            for name, other in needed
            if other.outcome is not None and other.outcome.result.status == "unhealthy"
        )
        if down:
            self._settle(state, Outcome(UNHEALTHY, now, time.time(), blocked_by=down), told)
            return
        state.run = _Run(now, time.time())
        starting.append((state, state.run))

    def _settle(self, state: _State, outcome: Outcome, told: list[Any]) -> None:
        before, state.outcome = state.outcome, outcome
        told.append((state, outcome, before))
        if before is None or before.result.status != outcome.result.status:
            for other in self._states.values():
                if state.declaration.name in other.declaration.depends_on:
                    other.due = 0.0
            self._wake.set()

    def _tell(self, state: _State, outcome: Outcome, before: Outcome | None) -> None:
        status = outcome.result.status
        if status != (before.result.status if before is not None else "healthy"):
            why = outcome.error or (
                "waits for " + ", ".join(outcome.blocked_by)
                if outcome.blocked_by
                else outcome.result.details.get("message", "")
            )
            level = logging.INFO if status == "healthy" else logging.WARNING
            name = state.declaration.name
            _logger.log(level, "health check %r is %s%s", name, status, f": {why}" if why else "")
        if self._told is not None:
            self._told(state.declaration, outcome)

    # --- the thread of a check

    def _start_thread(self, state: _State, run: _Run) -> None:
        name = f"otel-kpi-health-{state.declaration.name}"
        try:
            threading.Thread(target=self._ask, args=(state, run), name=name, daemon=True).start()
        except RuntimeError as error:
            # The process has no more threads, which is no fault of what would be asked: nothing is known of it.
            with self._lock:
                state.run = None
            _logger.warning("health check %r is not asked: %s", state.declaration.name, error)

    def _ask(self, state: _State, run: _Run) -> None:
        result, error = self._answer_of(state)
        ended = time.monotonic()
        told: list[tuple[_State, Outcome, Outcome | None]] = []
        with self._lock:
            late = run.given_up or ended >= run.began + state.declaration.timeout
            if late and not run.given_up:
                result, error = UNHEALTHY, _TIMED_OUT
            state.run = None
            is_wanted = not self._stopped and self._states.get(state.declaration.name) is state
            if not run.given_up and is_wanted:
                outcome = Outcome(result, ended, time.time(), ended - run.began, error)
                self._settle(state, outcome, told)
            if not is_wanted:
                state.close()
        self._wake.set()
        for each in told:
            self._tell(*each)

    def _answer_of(self, state: _State) -> tuple[Result, str | None]:
        try:
            from otel_kpi.instrumentation.servers.excluded_urls import excluded_context

            # What a check does leaves no trace, as with a probe's request; the thread ends, and its context with it.
            context.attach(excluded_context())
            if state.declaration.check.kind in _SILENT:
                context.attach(_compat.suppressed_context(flag=True))
            timeout = state.declaration.timeout
            returned = state.declaration.check.run(timeout)
            if inspect.isawaitable(returned):
                returned = self._awaited(state, returned, timeout)
            result = judged(returned)
        # A check that calls `sys.exit` ends itself and not the process.
        except BaseException as error:
            # Its type alone: a message tells addresses, users, statements.
            return UNHEALTHY, _name_of(type(error))
        if result is not None:
            return result, None
        if state.outcome is None or state.outcome.error != INVALID:
            _logger.warning(
                "health check %r returned what is no result (%s): None, True, False, a status, or a health.Result",
                state.declaration.name,
                _name_of(type(returned)),
            )
        return UNHEALTHY, INVALID

    @staticmethod
    def _awaited(state: _State, awaitable: Awaitable[Any], timeout: float) -> Any:
        """Wait on the check's own loop, which lasts, so that what it keeps between two runs stays usable."""
        if state.loop is None:
            state.loop = asyncio.new_event_loop()

        async def wait() -> Any:
            return await asyncio.wait_for(awaitable, timeout)

        return state.loop.run_until_complete(wait())


def _name_of(cls: type) -> str:
    """Give the name of a class; one that was made at run time may have anything for a name, or raise."""
    try:
        name = cls.__name__
        return name[:_LONGEST_NAME] if type(name) is str and name.isidentifier() else "Unnamed"
    except Exception:
        return "Unnamed"
