"""OpenTelemetry's declarative configuration (`OTEL_CONFIG_FILE`), within our budget at exit.

The file builds the SDK: upstream's processors and exporters, with threads and retries of their own. Left alone they
hold the end of the process for as long as these take (15 s and more without a receiver), and a signal loses what they
hold. Here each provider has a thread that does nothing but flush it when the lifecycle asks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from otel_kpi import _compat
from otel_kpi.sdk.drain import Bell, Drain

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("otel_kpi")

_LONGEST_SLEEP = 3600.0  # seconds


def configure_from_file(path: str) -> DeclaredProviders | None:
    """Build the SDK from a file and make it global; None, and one line that says why, when that cannot be done."""
    try:
        from opentelemetry.configuration import configure_sdk, load_config_file
    except ImportError:
        _logger.warning(
            "OTEL_CONFIG_FILE=%r needs: pip install 'otel-kpi[config]'; nothing is exported", path
        )
        return None
    try:
        configure_sdk(load_config_file(path))
    except Exception as error:
        _logger.warning("OTEL_CONFIG_FILE=%r is not used, nothing is exported: %s", path, error)
        return None
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    found = (trace.get_tracer_provider(), metrics.get_meter_provider(), get_logger_provider())
    # What the file does not name stays the API's own, which has nothing to flush.
    return DeclaredProviders(tuple(provider for provider in found if hasattr(provider, "force_flush")))


class DeclaredProviders:
    """The providers that a file built, as the lifecycle drives them.

    Args:
        providers: Those of opentelemetry-sdk.
    """

    def __init__(self, providers: tuple[Any, ...]) -> None:
        self._flushers = tuple(_Flusher(provider) for provider in providers)
        for flusher in self._flushers:
            _compat.forget_exit_handler(flusher.provider)

    def start(self) -> None:
        """Start the threads; at exit the interpreter allows no new ones."""
        for flusher in self._flushers:
            flusher.start()

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        """Have every provider send what waits, side by side."""
        ends = [flusher.begin_drain(deadline, final=final) for flusher in self._flushers]

        def end() -> bool:
            sent = min([each() for each in ends], default=True)
            if final and not sent:
                _logger.warning("the process ends before all of its telemetry was sent")
            return sent

        return end

    def waiting(self) -> int:
        """Unknown: whatever a forked child recorded is not worth holding it up."""
        return 0

    def before_fork(self) -> None:
        """Nothing: upstream's processors do what they do."""

    def after_fork_in_child(self) -> None:
        """Begin anew with empty sums; upstream has renewed its own threads."""
        for flusher in self._flushers:
            _compat.empty_metric_states(flusher.provider)
        self.start()


class _Flusher:
    """The thread that flushes one provider. Upstream's `force_flush` ignores its timeout, so nobody else may call it."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider

    def start(self) -> None:
        self._bell = Bell()
        self._drains: deque[Drain] = deque()
        threading.Thread(target=self._run, name="otel-kpi-flush", daemon=True).start()

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        drain = Drain(deadline, final=final)
        self._drains.append(drain)
        self._bell.ring()
        return lambda: bool(drain.wait())

    def _run(self) -> None:
        ended = False
        while True:
            self._bell.wait(_LONGEST_SLEEP)
            while self._drains:
                drain = self._drains.popleft()
                sent = True
                try:
                    if drain.final and not ended:
                        ended = True
                        self.provider.shutdown()
                    elif not ended:
                        left = max(0.0, drain.deadline - time.monotonic())
                        sent = self.provider.force_flush(int(left * 1000.0))
                except Exception as error:
                    sent = False
                    _logger.warning("telemetry was not sent: %s", error)
                drain.finish(sent=sent)
