"""What the export path says of itself: how much was sent, and how much was lost, and why.

Declared in `otel_kpi.packs.telemetry`. An observable counter costs nothing until it is collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation

from otel_kpi._version import __version__
from otel_kpi.packs.telemetry import instruments
from otel_kpi.sdk.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider

    from otel_kpi.model import Counter
    from otel_kpi.sdk.channel import Channel, Signal

_EXPORTED: dict[Signal, Counter] = {
    "traces": instruments.SPANS_EXPORTED,
    "metrics": instruments.DATA_POINTS_EXPORTED,
    "logs": instruments.LOGS_EXPORTED,
}
_PROCESSED: dict[Signal, Counter] = {
    "traces": instruments.SPANS_DROPPED,
    "logs": instruments.LOGS_DROPPED,
}
_BEFORE_EXPORT = "queue_full"


def observe(provider: MeterProvider, channels: Sequence[Channel]) -> None:
    """Register the counters of `channels`.

    `otel.sdk.exporter.*.exported` counts what was sent, and with `error.type` what was not (`rejected`, `refused`,
    `invalid`, `exit`). `otel.sdk.processor.*.processed` with `error.type="queue_full"` counts what found no place.
    """
    meter = provider.get_meter("otel_kpi.sdk", __version__)
    _create(meter, instruments.SDK_ERRORS, _faults)
    for signal, exported in _EXPORTED.items():
        of_signal = [channel for channel in channels if channel.signal == signal]
        if not of_signal:
            continue
        _create(meter, exported, _exported(of_signal))
        if signal in _PROCESSED:
            _create(meter, _PROCESSED[signal], _dropped(of_signal))


def _create(
    meter: Meter, declared: Counter, callback: Callable[[CallbackOptions], Iterable[Observation]]
) -> None:
    # Not by a handle of `otel_kpi.record`: each pipeline has counters of its own channels.
    meter.create_observable_counter(declared.name, [callback], declared.unit, declared.brief)


def _faults(_: CallbackOptions) -> Iterable[Observation]:
    for name, count in FAULTS.counts.copy().items():
        yield Observation(count, {"otel.component.type": name})


def _exported(channels: Sequence[Channel]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe_exported(_: CallbackOptions) -> Iterable[Observation]:
        for channel in filter(_has_news, channels):
            component = {"otel.component.name": channel.exporter.destination}
            yield Observation(channel.tally.sent, component)
            for reason, count in channel.tally.lost.copy().items():
                if reason != _BEFORE_EXPORT:
                    yield Observation(count, {**component, "error.type": reason})

    return observe_exported


def _dropped(channels: Sequence[Channel]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe_dropped(_: CallbackOptions) -> Iterable[Observation]:
        for channel in filter(_has_news, channels):
            # Zero is said too: a counter that is born at its first loss shows no increase.
            yield Observation(
                channel.tally.lost.get(_BEFORE_EXPORT, 0),
                {"otel.component.name": channel.exporter.destination, "error.type": _BEFORE_EXPORT},
            )

    return observe_dropped


def _has_news(channel: Channel) -> bool:
    """A process that recorded nothing says nothing, and asks no Collector to be there."""
    return channel.tally.sent > 0 or bool(channel.tally.lost)
