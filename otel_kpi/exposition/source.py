"""What this process has measured, read out of its MeterProvider.

Where the pipeline exports cumulative sums, its own reader is read, so a measurement costs what it did without us and
what was counted before anybody asked is there. Elsewhere a reader is added when the endpoints are, and begins at zero
then.

Callbacks of the application are asked by the thread that exports and by no other, as often as an export asks them,
and once more when somebody wants to see the figures; all else is read each time.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

from otel_kpi import _compat, record
from otel_kpi.exposition.exemplars import Exemplars
from otel_kpi.exposition.families import Families, Family, translate
from otel_kpi.exposition.labels import Labels
from otel_kpi.exposition.totals import Identity
from otel_kpi.sdk import producers

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource


class OnDemandReader(MetricReader):
    """Keeps cumulative sums for who looks."""

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        """A flush of the provider; nobody waits for it."""

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing is left to do."""


class Source:
    """The figures of one process, from its first measurement or its fork on.

    Args:
        provider: Of which they are.
        reader: Whose sums they are.
        exported: Whether the reader exports, so that exemplars have to be kept for it.
    """

    def __init__(self, provider: MeterProvider, reader: MetricReader, *, exported: bool) -> None:
        self._provider = provider
        self._reader = reader
        self._labels = Labels()
        self._exemplars = Exemplars(sent=exported)
        self._whole: Families = {}
        self._who: tuple[Resource | None, Identity] = (None, Identity("", "", ""))
        self.asked_at = -math.inf
        """When callbacks were asked, in seconds of `time.monotonic`."""

    def ask(self) -> None:
        """Read everything, callbacks included; what they said before stays while another collection asks them."""
        try:
            data = _compat.read_metrics(self._provider, self._reader)
        except TimeoutError:
            return
        if data is not None:
            self._exemplars.taken(data, self._labels)
        self._keep(producers.completed(self._provider, data or MetricsData([])))

    def exporting(self, data: MetricsData) -> None:
        """See what is about to be sent, all of it freshly collected."""
        self._exemplars.sending(data, self._labels)
        self._keep(data)

    def families(self) -> Families:
        """What was measured until now; what only callbacks of the application know is as old as `asked_at` says."""
        # opentelemetry-sdk has the names of instruments in small letters.
        tallied = {(scope, name.lower()) for scope, name in record.tallied()}
        data = _compat.read_metrics(
            self._provider, self._reader, asked=lambda scope, name: (scope, name) in tallied
        )
        if data is not None:
            self._exemplars.taken(data, self._labels)
        return {**self._whole, **translate(data, self._labels)}

    def shown(self) -> Families:
        """The same with exemplars."""
        families = {
            name: Family(name, each.kind, each.brief, each.unit, each.series)
            for name, each in self.families().items()
        }
        self._exemplars.show(families)
        return families

    def identity(self) -> Identity:
        """Who this process is."""
        resource = _compat.resource_of_metrics(self._provider)
        if resource is not self._who[0]:
            self._who = (resource, Identity.of(resource.attributes))
        return self._who[1]

    def _keep(self, data: MetricsData | None) -> None:
        self._whole = translate(data, self._labels)
        self.asked_at = time.monotonic()
