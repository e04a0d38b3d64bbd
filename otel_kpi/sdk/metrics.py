"""Metrics on their way out: collected at an interval, sent by the same thread as spans and log records."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData

from otel_kpi.sdk.channel import LAST_COLLECTION, Channel
from otel_kpi.sdk.series_times import put_right

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics.view import Aggregation

    from otel_kpi.sdk.channel import Condition, Exporter

_logger = logging.getLogger("otel_kpi.export")


class MetricChannel(Channel):
    """Collects and sends at an interval.

    With cumulative temporality a batch that could not be sent is let go: the next collection carries the same
    sums, and newer ones. With delta temporality the batch is kept, and nothing is collected until it is gone.

    Args:
        exporter: Sends the data.
        condition: Is told of every attempt.
        interval: Seconds between two collections.
        cumulative: Whether a later collection makes an earlier one needless.
        wake: Unused; metrics wait for their interval.
    """

    def __init__(
        self,
        exporter: Exporter,
        condition: Condition,
        *,
        interval: float,
        cumulative: bool,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(exporter, condition, capacity=1, batch_size=1, delay=interval, wake=wake)
        self._cumulative = cumulative
        self.collect: Callable[[float], None] | None = None
        self._collected_last = False

    def has_full_batch(self) -> bool:
        """Metrics are never early."""
        return False

    def pump(self, now: float, timeout: float) -> None:
        """Collect, send, and come again an interval after this one was due."""
        due = self.next_due
        self._let_go()
        if self.waiting() == 0:
            self._collect(timeout)
        super().pump(now, timeout)
        self._let_go()
        # Kept on the grid of the interval, so that collection takes no time off the clock of the next one.
        self.next_due = (
            max(due + self._delay, time.monotonic()) if self._pending is None else self._not_before
        )

    def drain(self, deadline: float, *, final: bool) -> bool:
        """Collect once more and send."""
        self._let_go()
        # An older delta goes first; what was counted since then is in none but the next.
        if self.waiting() > 0 and not super().drain(deadline, final=False) and not final:
            return False
        self._collect(deadline - time.monotonic())
        self._collected_last = final
        return super().drain(deadline, final=final)

    def forfeit(self) -> int:
        """Count what waits as lost, and the last collection where there was no time for it: nothing else tells of it."""
        if not self._collected_last and self.collect is not None:
            self._collected_last = True
            self.tally.lose(LAST_COLLECTION)
        return super().forfeit()

    def forget(self) -> None:
        """Begin anew in a forked child, which has a last collection of its own."""
        super().forget()
        self._collected_last = False

    def _collect(self, timeout: float) -> None:
        if self.collect is None:
            return
        try:
            self.collect(max(timeout, 0.0) * 1000.0)
        except Exception as error:
            # A callback of the application that raises or takes too long costs this collection, not the thread.
            self.tally.lose("collection")
            _logger.warning("metrics were not collected: %s", error)

    def _let_go(self) -> None:
        if self._cumulative:
            self._pending = None
            self._queue.clear()


class ChannelReader(MetricReader):
    """Hands collected metrics to a channel; the channel decides when.

    Args:
        channel: Where the data go.
        temporality: Temporality by kind of instrument.
        aggregation: Aggregation by kind of instrument.
        drain: Called by `force_flush`; takes the deadline and says whether everything went out.
    """

    def __init__(
        self,
        channel: MetricChannel,
        *,
        temporality: dict[type, AggregationTemporality],
        aggregation: dict[type, Aggregation],
        drain: Callable[[float], bool],
    ) -> None:
        super().__init__(preferred_temporality=temporality, preferred_aggregation=aggregation)
        self._channel = channel
        self._drain = drain
        self.cumulative = all(each is AggregationTemporality.CUMULATIVE for each in temporality.values())
        self.watch: Callable[[MetricsData], None] | None = None  # sees what is about to be sent
        self.complete: Callable[[MetricsData], MetricsData] | None = None  # adds what is kept elsewhere
        self._received = False
        channel.collect = self._collect_into_channel

    def _collect_into_channel(self, timeout_millis: float) -> None:
        self._received = False
        self.collect(timeout_millis=timeout_millis)
        if self.complete is not None and not self._received:
            self._receive_metrics(MetricsData([]))  # the SDK had nothing, and then hands over nothing

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002 - as upstream calls it
        self._received = True
        put_right(metrics_data)
        if self.complete is not None:
            metrics_data = self.complete(metrics_data)
        if metrics_data.resource_metrics:
            if self.watch is not None:
                self.watch(metrics_data)
            self._channel.offer(metrics_data)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Collect and send now."""
        return self._drain(time.monotonic() + timeout_millis / 1000.0)

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Collect and send a last time; the worker itself ends with the process."""
        self._drain(time.monotonic() + timeout_millis / 1000.0)
