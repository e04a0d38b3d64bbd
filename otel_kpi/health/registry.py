"""The checks of a process and the answers that follow from them."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_kpi.health import answers
from otel_kpi.health.checks.check import Check
from otel_kpi.health.declaration import (
    INTERVAL,
    MOST_CHECKS,
    TIMEOUT,
    Declaration,
    declared,
    machine,
    shown,
    without_cycles,
)
from otel_kpi.health.runner import Runner
from otel_kpi.health.uptime import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from otel_kpi.exposition.answer import Answer
    from otel_kpi.health.declaration import Known, Outcome

_logger: Final = logging.getLogger("otel_kpi.health")

Which = Literal["full", "live", "ready", "instrumentation"]


class Health:
    """Checks, and what is known of them.

    Args:
        told: Is called with each outcome; must not raise.
        identity: Gives version and environment of the service, what is not known as None; must not raise.
        metrics: Gives what the instrumentation says of itself, or None; must not raise.
    """

    def __init__(
        self,
        told: Callable[[Declaration, Outcome], None] | None = None,
        identity: Callable[[], tuple[str | None, str | None]] = lambda: (None, None),
        metrics: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self._told = told
        self._identity = identity
        self._metrics = metrics
        self._lock = threading.Lock()
        self._declarations = machine()
        self._runner = Runner(self._declarations, told)
        self._left_behind: list[Runner] = []

    def check(  # noqa: PLR0913 - what a person may say of a check
        self,
        name: str,
        target: Any,
        *,
        critical: bool | None = None,
        timeout: float = TIMEOUT,
        interval: float = INTERVAL,
        depends_on: Iterable[str] = (),
    ) -> None:
        """Declare a check; see `otel_kpi.health.check`."""
        try:
            declaration = declared(
                name, target, critical=critical, timeout=timeout, interval=interval, depends_on=depends_on
            )
        except Exception as error:
            known = shown(name) if type(name) is str else ""
            _logger.warning("health check %r cannot be asked: %s", known, error)
            if not known:
                return
            declaration = Declaration(known, Check("function", _refuse(error)), critical=bool(critical))
        with self._lock:
            if declaration.name not in self._declarations and len(self._declarations) >= MOST_CHECKS:
                _logger.warning("health check %r is left out: there are %d", declaration.name, MOST_CHECKS)
                return
            kept = without_cycles(self._declarations, declaration)
            if kept != declaration.depends_on:
                left = sorted(set(declaration.depends_on) - set(kept))
                _logger.warning(
                    "%s cannot depend on what depends on it: %s", declaration.name, ", ".join(left)
                )
                declaration = replace(declaration, depends_on=kept)
            self._declarations = {**self._declarations, declaration.name: declaration}
            self._runner.declare(self._declarations)

    def clear(self) -> None:
        """Forget every check but those of the machine, and what is known."""
        with self._lock:
            self._runner.stop()
            self._declarations = machine()
            self._runner = Runner(self._declarations, self._told)

    def start(self) -> None:
        """Begin to ask, before somebody wants to know."""
        if not self._runner.is_running:
            self._runner.start()

    def stop(self) -> None:
        """Ask nothing any more, until the next question."""
        with self._lock:
            self._runner.stop()
            self._runner = Runner(self._declarations, self._told)

    def known(self) -> tuple[Known, ...]:
        """What is known of each check now."""
        return self._runner.known()

    def answer(self, which: Which) -> Answer:
        """Answer from what is known; see `otel_kpi.health.answer`."""
        began = time.perf_counter()
        moment = answers.Moment(time.monotonic(), time.time())
        if which == "live":
            return answers.live(moment)
        self.start()
        known = self._runner.known()
        if which == "ready":
            return answers.ready(known, moment)
        version, environment = self._identity()
        identity = answers.Identity(started(), version, environment)
        if which == "instrumentation":
            return answers.instrumentation(known, moment, identity, self._metrics())
        return answers.full(known, moment, identity, time.perf_counter() - began)

    def after_fork_in_child(self) -> None:
        """Begin anew: threads and locks stayed with the parent, and what it knew, it knew of itself."""
        self._lock = threading.Lock()
        # Kept and never closed: an event loop in there shares its selector with the parent's.
        self._left_behind.append(self._runner)
        self._runner = Runner(self._declarations, self._told)


def _refuse(error: Exception) -> Callable[[float], None]:
    kind = type(error)

    def run(_timeout: float) -> None:
        raise kind

    return run
