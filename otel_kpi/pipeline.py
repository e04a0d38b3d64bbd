"""From settings to providers: what is built for a process, and put together.

`create_pipeline` builds and returns; it changes nothing outside itself. The configurator makes the result
the process's own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader

from otel_kpi import _compat
from otel_kpi.components import (
    budget,
    id_generator,
    log_limits,
    preferred_aggregation,
    preferred_temporality,
    sampler,
    span_limits,
)
from otel_kpi.parts import parts_of
from otel_kpi.resource import create_resource, instance_base, process_resource
from otel_kpi.sdk import self_metrics
from otel_kpi.sdk.cardinality import CardinalityGuard
from otel_kpi.sdk.channel import Channel, Exporter, Signal
from otel_kpi.sdk.condition import DestinationCondition
from otel_kpi.sdk.exporter import ForeignExporter, OtlpExporter
from otel_kpi.sdk.faults import FAULTS
from otel_kpi.sdk.metrics import ChannelReader, MetricChannel
from otel_kpi.sdk.processors import LogQueue, SpanQueue
from otel_kpi.sdk.redacted import redacted_log, redacted_span
from otel_kpi.sdk.tracers import RememberingTracerProvider
from otel_kpi.sdk.worker import ExportWorker, begin_drain_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from otel_kpi.config import Settings
    from otel_kpi.instrumentation.prometheus.bridge import Bridge
    from otel_kpi.model import Derivation
    from otel_kpi.parts import Outlet, Parts
    from otel_kpi.sdk.derivations import Derivations
    from otel_kpi.sdk.transport import Transport

_logger = logging.getLogger("otel_kpi")
_OWN_SCOPES = frozenset({"otel_kpi.sdk", "otel_kpi.process", "opentelemetry-sdk"})


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The providers of a process, and the threads that send what they record."""

    service: str
    instance_base: str
    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    readers: tuple[ChannelReader, ...]
    workers: tuple[ExportWorker, ...]
    guard: CardinalityGuard
    derivations: Derivations | None = None
    bridge: Bridge | None = None

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        """Have every destination's thread send what waits, side by side and by one deadline."""
        return begin_drain_together(self.workers, deadline, final=final)

    def waiting(self) -> int:
        """Items that were recorded and neither sent nor lost yet."""
        return sum(worker.waiting() for worker in self.workers)

    def has_recorded(self) -> bool:
        """Whether this process has anything to tell beside what it says of itself."""
        channels = [channel for worker in self.workers for channel in worker.channels]
        return (
            self.waiting() > 0
            or any(channel.tally.sent or channel.tally.lost for channel in channels)
            or any(
                instrument.instrumentation_scope.name not in _OWN_SCOPES
                for instrument in self.guard.recorded()
            )
        )

    def start(self) -> None:
        """Start the threads."""
        for worker in self.workers:
            worker.start()

    def before_fork(self) -> None:
        """Wait until the threads can be left behind."""
        for worker in self.workers:
            worker.before_fork()
        if self.bridge is not None:
            self.bridge.before_fork()

    def after_fork_in_child(self) -> None:
        """Begin anew in a forked child: no sums, an instance of its own, new threads."""
        _compat.update_resource(
            process_resource(self.service, self.instance_base),
            self.tracer_provider,
            self.meter_provider,
            self.logger_provider,
        )
        self.guard.forget()
        if self.derivations is not None:
            self.derivations.forget()
        FAULTS.forget()
        if self.bridge is not None:
            self.bridge.after_fork_in_child()
            _complete(self.meter_provider, self.readers)
        for reader in self.readers:
            _compat.empty_metric_state(self.meter_provider, reader)
        for worker in self.workers:
            worker.after_fork_in_child()

    def clear_metrics(self) -> None:
        """Forget every sum, and which attribute values there were."""
        self.guard.forget()
        for reader in self.readers:
            _compat.empty_metric_state(self.meter_provider, reader)

    def stop(self) -> None:
        """Stop the threads; what waits to be sent goes on waiting."""
        for worker in self.workers:
            worker.stop()

    def restart(self) -> None:
        """Start threads anew."""
        for worker in self.workers:
            worker.restart()

    def merge_resource(self, resource: Resource) -> None:
        """Change the resource of what is recorded from now on."""
        _compat.update_resource(resource, self.tracer_provider, self.meter_provider, self.logger_provider)


def create_pipeline(settings: Settings, parts: Parts | None = None) -> Pipeline:
    """Build the providers and their way out. Never raises: what cannot be built is named and left out.

    Args:
        settings: Those of the process.
        parts: What a declarative file says beside them; None is what follows from the settings alone.
    """
    parts = parts or parts_of(settings)
    resource = create_resource(settings, parts)
    service = str(resource.attributes["service.name"])
    base = instance_base(resource.attributes)
    resource = resource.merge(process_resource(service, base))

    plan = _Plan(parts)

    tracer_provider = RememberingTracerProvider(
        sampler=parts.sampler or sampler(settings),
        resource=resource,
        shutdown_on_exit=False,
        id_generator=parts.id_generator or id_generator(settings),
        span_limits=span_limits(settings),
        **_scopes(parts, "tracer"),
    )
    for exporter, own in plan.exporters("traces"):
        channel = plan.channel(exporter, own, (own.span_queue, own.span_batch, own.span_delay), redacted_span)
        tracer_provider.add_span_processor(SpanQueue(channel, plan.drain))

    own_readers = [
        ChannelReader(
            plan.metric_channel(exporter, own),
            temporality=preferred_temporality(own.temporality),
            aggregation=preferred_aggregation(own.histogram_aggregation),
            drain=plan.drain,
        )
        for exporter, own in plan.exporters("metrics")
    ]
    readers: list[MetricReader] = [*own_readers, *plan.foreign_readers]
    filters = {
        "always_on": AlwaysOnExemplarFilter,
        "always_off": AlwaysOffExemplarFilter,
        "trace_based": TraceBasedExemplarFilter,
    }
    meter_provider = MeterProvider(
        metric_readers=readers,
        resource=resource,
        exemplar_filter=filters[settings.exemplar_filter](),
        shutdown_on_exit=False,
        views=parts.views,
        **_scopes(parts, "meter"),
    )
    guard = CardinalityGuard(
        budget(settings), lambda instrument: _compat.attributes_of_views(meter_provider, instrument)
    )
    derivations = _derivations(settings)
    _compat.guard_measurements(meter_provider, guard.admit, FAULTS.failed, derivations)

    logger_provider = LoggerProvider(
        resource=resource,
        shutdown_on_exit=False,
        multi_log_record_processor=_compat.guarded_log_processors(FAULTS.failed),
        meter_provider=meter_provider,
        log_record_limits=log_limits(settings),
        **_scopes(parts, "logger"),
    )
    for exporter, own in plan.exporters("logs"):
        channel = plan.channel(exporter, own, (own.log_queue, own.log_batch, own.log_delay), redacted_log)
        logger_provider.add_log_record_processor(LogQueue(channel, plan.drain))

    workers = tuple(plan.workers.values())
    self_metrics.observe(meter_provider, [channel for worker in workers for channel in worker.channels])
    plan.say_what_is_left_out()
    return Pipeline(
        service=service,
        instance_base=base,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        logger_provider=logger_provider,
        readers=tuple(own_readers),
        workers=workers,
        guard=guard,
        derivations=derivations,
        bridge=_bridge(settings, meter_provider, own_readers),
    )


def _bridge(settings: Settings, provider: MeterProvider, readers: Sequence[ChannelReader]) -> Bridge | None:
    """Have what prometheus_client keeps go out too, where a setting asks for it."""
    if not settings.prometheus_client:
        return None
    from otel_kpi.instrumentation.prometheus.bridge import SCOPE, Bridge
    from otel_kpi.sdk import producers

    bridge = Bridge(CardinalityGuard(budget(settings)).admit, FAULTS.failed)
    producers.add(provider, SCOPE, bridge)
    _complete(provider, readers)
    return bridge


def _complete(provider: MeterProvider, readers: Sequence[ChannelReader]) -> None:
    from otel_kpi.sdk import producers

    for reader in readers:
        reader.complete = producers.completing(provider, deltas=not reader.cumulative)


def _derivations(settings: Settings) -> Derivations | None:
    """What follows from measurements; None, and nothing is imported, where no setting asks for it."""
    if not (settings.chat_prefix and settings.compatibility_series):
        return None
    from otel_kpi.sdk.derivations import Derivations

    def load() -> tuple[Derivation, ...]:
        from otel_kpi.packs.chat.instruments import PACK

        return PACK.derivations

    return Derivations(load, FAULTS.failed)


class _Plan:
    """Exporters by signal, and one worker for each destination, while a pipeline is being built."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.workers: dict[str, ExportWorker] = {}
        self._conditions: dict[str, DestinationCondition] = {}
        self._transports: dict[str, Any] = {}
        self._places: list[tuple[Signal, str]] = []
        self.foreign_readers: list[MetricReader] = []
        self._left_out: dict[tuple[str, str], list[Signal]] = {}

    def drain(self, deadline: float) -> bool:
        return begin_drain_together(self.workers.values(), deadline, final=False)()

    def say_what_is_left_out(self) -> None:
        """One line for each reason, however many signals it concerns."""
        for (name, reason), signals in self._left_out.items():
            _logger.warning("%s are not exported by %r: %s", ", ".join(signals), name, reason)

    def exporters(self, signal: Signal) -> list[tuple[Exporter, Settings]]:
        exporters: list[tuple[Exporter, Settings]] = []
        for outlet in self._parts.of(signal):
            try:
                if outlet.name == "otlp" and outlet.make is None:
                    exporter = self._otlp(signal, outlet.settings)
                else:
                    exporter = self._foreign(signal, outlet)
            except Exception as error:
                self._left_out.setdefault((outlet.name, str(error)), []).append(signal)
                continue
            if exporter is not None:
                exporters.append((exporter, outlet.settings))
        return exporters

    def channel(
        self,
        exporter: Exporter,
        settings: Settings,
        knobs: tuple[int, int, int],
        prepare: Callable[[Any], Any],
    ) -> Channel:
        worker, condition = self._worker(exporter, settings)
        capacity, batch, delay = knobs
        channel = Channel(
            exporter,
            condition,
            capacity=capacity,
            batch_size=batch,
            delay=delay / 1000.0,
            wake=worker.wake,
            prepare=prepare,
        )
        worker.add(channel)
        return channel

    def metric_channel(self, exporter: Exporter, settings: Settings) -> MetricChannel:
        worker, condition = self._worker(exporter, settings)
        channel = MetricChannel(
            exporter,
            condition,
            interval=settings.metric_interval / 1000.0,
            cumulative=settings.temporality == "cumulative",
            wake=worker.wake,
        )
        worker.add(channel)
        return channel

    def _worker(self, exporter: Exporter, settings: Settings) -> tuple[ExportWorker, DestinationCondition]:
        destination = exporter.destination
        if destination not in self.workers:
            condition = self._conditions[destination] = DestinationCondition(destination)
            self.workers[destination] = ExportWorker(condition, _timeout(settings, exporter.signal))
        return self.workers[destination], self._conditions[destination]

    def _otlp(self, signal: Signal, settings: Settings) -> Exporter:
        from otel_kpi.sdk.transport import Transport

        url = otlp_address(signal, settings)
        place = (signal, _origin(url))
        self._places.append(place)
        times = self._places.count(place)
        if times == 1:
            return otlp_exporter(signal, settings, self._transports.setdefault(_origin(url), Transport()))
        # A second exporter of a file to the same receiver: what is said of one is not true of the other.
        exporter = otlp_exporter(signal, settings, Transport())
        exporter.destination = f"{url.rpartition('@')[2]} ({times})"
        return exporter

    def _foreign(self, signal: Signal, outlet: Outlet) -> Exporter | None:
        made = outlet.make() if outlet.make is not None else _installed(signal, outlet.name)()
        if isinstance(made, MetricReader) and not isinstance(made, MetricExporter):
            self.foreign_readers.append(made)
            return None
        return ForeignExporter(signal, made, f"exporter {outlet.name}")


def _installed(signal: Signal, name: str) -> Callable[[], Any]:
    from importlib.metadata import entry_points

    found = next(iter(entry_points(group=f"opentelemetry_{signal}_exporter", name=name)), None)
    if found is None:
        raise LookupError("no exporter of that name is installed")
    return found.load()


def otlp_exporter(signal: Signal, settings: Settings, transport: Transport) -> Exporter:
    """Build our OTLP exporter of a signal.

    Args:
        signal: What is sent.
        settings: Where to, and how.
        transport: The connection, which exporters of one destination may share; gRPC has its own.

    Raises:
        ImportError: gRPC is set and not installed.
    """
    from otel_kpi.sdk.transport import Endpoint

    protocol = settings.protocol.of(signal)
    compression = settings.compression.of(signal)
    endpoint = Endpoint(
        url=otlp_address(signal, settings),
        headers=settings.headers.of(signal),
        timeout=_timeout(settings, signal),
        gzip="auto" if compression == "auto" else "always" if compression == "gzip" else "never",
        certificate=settings.certificate.of(signal),
        client_key=settings.client_key.of(signal),
        client_certificate=settings.client_certificate.of(signal),
    )
    origin = _origin(endpoint.url)
    if protocol == "grpc":
        from otel_kpi.sdk.otlp_grpc import GrpcExporter

        return GrpcExporter(signal, endpoint, f"{origin} (grpc)")
    from otel_kpi.sdk.otlp import Encoding

    return OtlpExporter(signal, endpoint, origin, Encoding(protocol), transport)


def otlp_address(signal: Signal, settings: Settings) -> str:
    """Where OTLP of a signal goes, as it is used."""
    url = settings.endpoint.of(signal)
    return _grpc_address(url, signal) if settings.protocol.of(signal) == "grpc" else url


def _timeout(settings: Settings, signal: Signal) -> float:
    """Seconds of one export: the shorter of the request's and the export's own limit."""
    limits = {
        "traces": settings.span_timeout,
        "logs": settings.log_timeout,
        "metrics": settings.metric_timeout,
    }
    return min(settings.timeout.of(signal), limits[signal]) / 1000.0


def _scopes(parts: Parts, kind: str) -> dict[str, Any]:
    configurator = parts.configurators.get(kind)
    return {} if configurator is None else _compat.configured_scopes(kind, configurator)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}"


def _grpc_address(url: str, signal: Signal) -> str:
    """The address without the path that HTTP has for the signal, and with gRPC's port where it is the default."""
    base = url.removesuffix(f"/v1/{signal}")
    return "http://localhost:4317" if base == "http://localhost:4318" else base
