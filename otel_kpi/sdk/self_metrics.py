"""What the export path says of itself: how much was sent, and how much was lost, and why.

Names: https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/. An observable counter costs nothing until it is
collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation

from otel_kpi._version import __version__
from otel_kpi.sdk.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from opentelemetry.sdk.metrics import MeterProvider

    from otel_kpi.sdk.channel import Channel, Signal

# Signal → what the convention calls its items, and the unit.
_ITEMS: dict[Signal, tuple[str, str]] = {
    "traces": ("span", "{span}"),
    "metrics": ("metric_data_point", "{data_point}"),
    "logs": ("log", "{log_record}"),
}
_BEFORE_EXPORT = "queue_full"


def observe(provider: MeterProvider, channels: Sequence[Channel]) -> None:
    """Register the counters of `channels`.

    `otel.sdk.exporter.*.exported` counts what was sent, and with `error.type` what was not (`rejected`, `refused`,
    `invalid`, `exit`). `otel.sdk.processor.*.processed` with `error.type="queue_full"` counts what found no place.
    """
    meter = provider.get_meter("otel_kpi.sdk", __version__)
    meter.create_observable_counter(
        "otel_kpi.sdk.errors",
        [_faults],
        "{error}",
        "Errors of samplers, processors, callbacks and views that did not reach the application.",
    )
    for signal, (item, unit) in _ITEMS.items():
        of_signal = [channel for channel in channels if channel.signal == signal]
        if not of_signal:
            continue
        meter.create_observable_counter(
            f"otel.sdk.exporter.{item}.exported",
            [_exported(of_signal)],
            unit,
            "Items for which the export has ended, by the reason where it failed.",
        )
        if signal != "metrics":
            meter.create_observable_counter(
                f"otel.sdk.processor.{item}.processed",
                [_dropped(of_signal)],
                unit,
                "Items that found the queue full and were dropped.",
            )


def _faults(_: CallbackOptions) -> Iterable[Observation]:
    for name, count in tuple(FAULTS.counts.items()):
        yield Observation(count, {"otel.component.type": name})


def _exported(channels: Sequence[Channel]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe_exported(_: CallbackOptions) -> Iterable[Observation]:
        for channel in filter(_has_news, channels):
            component = {"otel.component.name": channel.exporter.destination}
            yield Observation(channel.tally.sent, component)
            for reason, count in tuple(channel.tally.lost.items()):
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
