"""Private parts of opentelemetry-api and opentelemetry-sdk."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from opentelemetry.metrics import CallbackOptions

from otel_kpi._compat.histograms import before_collection
from otel_kpi._compat.observations import forget_unfinished, without_observed
from otel_kpi._compat.processors import quiet_callbacks
from otel_kpi._compat.series_starts import since, tell_series_starts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

# --- opentelemetry-sdk: resource and metric state


def update_resource(
    resource: Resource,
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    logger_provider: LoggerProvider | None,
) -> None:
    """Merge `resource` over that of each provider, for telemetry recorded from now on.

    opentelemetry-sdk makes a provider's resource final, but does the same itself after a fork.
    """
    for provider in (tracer_provider, meter_provider, logger_provider):
        if provider is not None:
            provider._update_resource(resource)  # pyright: ignore[reportPrivateUsage]


def empty_metric_state(provider: MeterProvider, reader: MetricReader) -> None:
    """Forget every sum of a reader, so that a forked child does not report its parent's.

    opentelemetry-sdk copies the parent's sums into the child: the series of both then add up to more than
    was counted. Locks are renewed too, since a thread of the parent may have held them at the fork.
    """
    consumer: Any = provider._measurement_consumer
    consumer._lock = threading.Lock()
    consumer.remove_metric_reader(reader)
    consumer.add_metric_reader(reader)
    for instrument in consumer._async_instruments:
        if isinstance(instrument, _Guarded):
            instrument.asked = time.time_ns()
    meters: Any = provider._meters  # pyright: ignore[reportPrivateUsage]
    for meter in tuple(meters.values()):
        meter._instrument_registration_lock = threading.Lock()


def read_metrics(
    provider: MeterProvider,
    reader: MetricReader,
    *,
    asked: Callable[[str, str], bool] | None = None,
    patience: float = 0.2,
) -> MetricsData | None:
    """Collect for a reader without handing it what was collected.

    A reader's own `collect` is an export, and asks every callback of the application. This one is for who looks on,
    each second.

    Args:
        provider: The provider that the reader is of.
        reader: Whose sums are read; exemplars leave its reservoirs.
        asked: Whether the callbacks of an instrument, by its scope and its name, are asked; None is all of them.
        patience: Seconds to wait for another collection; then what needs no callback is read alone.

    Raises:
        TimeoutError: All callbacks were to be asked, and another collection asks them.
    """
    consumer: Any = provider._measurement_consumer
    storage: Any = consumer._reader_storages.get(reader)
    if storage is None:
        return None
    if not consumer._lock.acquire(timeout=patience):
        if asked is None:
            raise TimeoutError("another collection asks the callbacks")
        return without_observed(storage).collect()
    try:
        for each in consumer._async_instruments:
            instrument: Any = getattr(each, "_instrument", each)
            scope = getattr(instrument, "instrumentation_scope", None)  # None: see before_collection
            if scope is None or asked is None or asked(scope.name, instrument.name):
                for measurement in each.callback(CallbackOptions()):
                    storage.consume_measurement(measurement, False)
        return storage.collect()
    finally:
        consumer._lock.release()


def resource_of_metrics(provider: MeterProvider) -> Resource:
    """The resource of a provider, which it says of what was measured and of nothing else."""
    return provider._sdk_config.resource  # pyright: ignore[reportPrivateUsage] - it is written nowhere else


def holds_metric_lock(frame: FrameType | None) -> bool:
    """Say whether the code that a signal interrupted holds a lock of opentelemetry-sdk's metrics.

    Each instrument and each attribute set has one while a measurement is recorded, and a collection waits for it.
    """
    while frame is not None:
        module = str(frame.f_globals.get("__name__"))
        if module.startswith("otel_kpi.sdk."):
            return False  # it waits for the export thread and holds nothing
        if frame.f_code is read_metrics.__code__:
            return True
        if module.startswith("opentelemetry.sdk.metrics._internal."):
            lock = getattr(frame.f_locals.get("self"), "_lock", None)
            held = getattr(lock, "_is_owned", None) or getattr(lock, "locked", None)
            if held is not None and held():
                return True
        frame = frame.f_back
    return False


# --- opentelemetry-sdk: a measurement on its way into a series


class Followers(Protocol):
    """What follows from measurements; neither method raises."""

    def follow(self, measurement: Any) -> None:
        """Record what follows from a measurement that was recorded."""
        ...

    def derived(self, measurement: Any) -> Iterable[Any]:
        """Give the measurements that follow from one of an observable instrument."""
        ...


def guard_measurements(
    provider: MeterProvider,
    admit: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
    failed: Callable[[Any, BaseException], None] = lambda _part, _error: None,
    followers: Followers | None = None,
) -> None:
    """Have each measurement of a provider recorded under the attributes that `admit(instrument, attributes)` gives.

    What a view, an aggregation or a callback of the application's raises goes to `failed`, with the part. After a
    measurement the `followers` record what follows from it.

    The one public place to choose attributes is a view, and that is by name: it cannot look at a value. All
    instruments hand their measurements to one consumer; those of observable ones are asked for at a collection.
    """
    consumer: Any = provider._measurement_consumer
    consume = consumer.consume_measurement

    def consume_guarded(measurement: Any) -> None:
        try:
            attributes = measurement.attributes
            if attributes:
                admitted = admit(measurement.instrument, attributes)
                if admitted is not attributes:
                    object.__setattr__(measurement, "attributes", admitted)
            consume(measurement)
            if followers is not None:
                followers.follow(measurement)
        except Exception as error:
            failed(f"metric {measurement.instrument.name}", error)

    consumer.consume_measurement = consume_guarded

    def register_guarded(instrument: Any) -> None:
        quiet_callbacks(instrument, failed)
        # Without the consumer's lock: a collection holds it while callbacks run, and one of them may make an
        # instrument. `append` is one step, and who walks through the list meets the new one.
        consumer._async_instruments.append(_Guarded(instrument, admit, followers))

    consumer.register_asynchronous_instrument = register_guarded
    for each in consumer._async_instruments:
        quiet_callbacks(each, failed)
    consumer._async_instruments = [_Guarded(each, admit, followers) for each in consumer._async_instruments]
    before_collection(provider, lambda: forget_unfinished(consumer))
    tell_series_starts()


class _Guarded:
    """An observable instrument as the consumer sees it: something with a callback."""

    def __init__(
        self,
        instrument: Any,
        admit: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
        followers: Followers | None,
    ) -> None:
        self._instrument = instrument
        self._admit = admit
        self._followers = followers
        self.asked = time.time_ns()
        """When it was asked the last time, or made; a series that is new was not there then."""

    def callback(self, options: Any) -> Iterable[Any]:
        before, self.asked = self.asked, time.time_ns()
        return since(before, self._measurements(options))

    def _measurements(self, options: Any) -> Iterable[Any]:
        for measurement in self._instrument.callback(options):
            attributes = measurement.attributes
            if attributes:
                object.__setattr__(measurement, "attributes", self._admit(measurement.instrument, attributes))
            yield measurement
            if self._followers is not None:
                yield from self._followers.derived(measurement)


def derived_measurement(
    measurement: Any, value: float, instrument: Any, attributes: Mapping[str, Any]
) -> Any:
    """A measurement of another instrument, of the same moment and in the same context.

    The constructor cleans the attributes, which takes longer than all the rest, and these are clean.
    """
    derived = object.__new__(measurement.__class__)
    derived.__dict__.update(measurement.__dict__)
    derived.__dict__.update(value=value, instrument=instrument, attributes=attributes)
    return derived


def attributes_of_views(provider: MeterProvider, instrument: Any) -> frozenset[str] | None:
    """Give the names that a provider's views leave on the series of an instrument; `None` is all of them.

    A provider does not say which views it has, nor a view which instruments it is for.
    """
    config: Any = provider._sdk_config
    views = [view for view in config.views if view._match(instrument)]
    if not views or any(view._attribute_keys is None for view in views):
        return None
    return frozenset[str]().union(*(view._attribute_keys for view in views))


# --- opentelemetry-api: values of attributes


def guard_attribute_values() -> None:
    """Have attribute values that are too much for the application's thread cut, and those that raise become text.

    opentelemetry-api walks through lists and mappings without end, and calls `str()` on values of other types: a
    value that contains itself raises `RecursionError` in the application, `range(10**12)` takes all memory, and what
    a `__str__` raises comes through.
    """
    from opentelemetry import attributes

    clean: Any = attributes._clean_attribute_value  # pyright: ignore[reportPrivateUsage]
    if getattr(clean, "guarded", False):
        return

    def guarded(value: Any, *arguments: Any) -> Any:
        if type(value) in _SCALARS:
            return clean(value, *arguments)
        return _bounded_value(value, lambda one: clean(one, *arguments), 0, [_MOST_NODES])

    guarded.guarded = True  # pyright: ignore[reportFunctionMemberAccess]
    attributes._clean_attribute_value = guarded  # pyright: ignore[reportPrivateUsage]


_MOST_NODES = 20_000
_MOST_ATTRIBUTES = 256
_DEEPEST = 16
_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})


def _bounded_value(value: Any, clean: Callable[[Any], Any], depth: int, budget: list[int]) -> Any:
    """A value as OpenTelemetry keeps it, as far as redaction looks at it: 16 levels, 20,000 values."""
    try:
        budget[0] -= 1
        if type(value) in _SCALARS:
            return clean(value)
        if isinstance(value, Mapping):
            if depth < _DEEPEST:
                return _bounded_mapping(cast("Mapping[Any, Any]", value), clean, depth, budget)
        elif not isinstance(value, Sequence) or isinstance(value, str | bytes):
            return clean(value)
        elif depth < _DEEPEST:
            members: list[Any] = []
            for each in cast("Sequence[Any]", value):
                if budget[0] <= 0:
                    break
                members.append(_bounded_value(each, clean, depth + 1, budget))
            return tuple(members)
    except Exception:
        pass
    return f"<{type(value).__name__}>"


def _bounded_mapping(
    mapping: Mapping[Any, Any], clean: Callable[[Any], Any], depth: int, budget: list[int]
) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    # All attributes of a span come as one mapping; one that is too large takes nothing from the others.
    own = depth == 0 and len(mapping) <= _MOST_ATTRIBUTES
    for key, each in mapping.items():
        budget[0] -= 1
        if own:
            budget = [_MOST_NODES]
        elif budget[0] <= 0:
            break
        if type(key) is str and key:
            # Written out for speed: each attribute of each span comes here.
            kind = type(each)
            if kind is str:
                kept[key] = clean(each)
            elif kind in _SCALARS:
                kept[key] = each
            else:
                kept[key] = _bounded_value(each, clean, depth + 1, budget)
        else:
            # Which keys there may be is OpenTelemetry's decision.
            for name in clean({key: None}):
                kept[name] = _bounded_value(each, clean, depth + 1, budget)
    return kept


def bounded_attributes(attributes: dict[str, Any], dropped: int) -> BoundedAttributes:
    """Attributes of a span that were checked before, as the SDK keeps them.

    The constructor checks each value once more, which costs more than redacting all of them.
    """
    from opentelemetry.attributes import BoundedAttributes

    bounded = BoundedAttributes()
    bounded._dict = attributes  # pyright: ignore[reportAttributeAccessIssue]
    bounded.dropped = dropped
    return bounded


def changed_span(span: ReadableSpan, **fields: Any) -> ReadableSpan | None:
    """A copy of a finished span in which some of its private fields are others.

    The constructor looks through everything once more, which costs twice what redacting it does. None for a span
    whose inside is not what it was.
    """
    from opentelemetry.sdk.trace import ReadableSpan

    state = getattr(span, "__dict__", {})
    if not state.keys() >= fields.keys():
        return None
    copied = ReadableSpan.__new__(ReadableSpan)
    copied.__dict__.update(state)
    copied.__dict__.update(fields)
    return copied


# --- opentelemetry-sdk: components that are chosen by name


def sampler_by_name(name: str, argument: str | None) -> Sampler:
    """Build a sampler from OpenTelemetry's names or a plug-in.

    Raises:
        LookupError: No sampler of that name is installed.
        ValueError: The argument is not what the sampler takes.
    """
    from opentelemetry.sdk._configuration import _import_sampler_factory  # pyright: ignore[reportPrivateUsage]

    try:
        factory = _import_sampler_factory(name)
    except RuntimeError as error:
        raise LookupError(str(error)) from error
    if name in {"traceidratio", "parentbased_traceidratio"}:
        return factory(1.0 if argument is None else float(argument))
    return factory(argument)


def id_generator_by_name(name: str) -> IdGenerator:
    """Build an id generator from its entry point.

    Raises:
        LookupError: No id generator of that name is installed.
    """
    from opentelemetry.sdk._configuration import _import_id_generator  # pyright: ignore[reportPrivateUsage]

    try:
        return _import_id_generator(name)
    except RuntimeError as error:
        raise LookupError(str(error)) from error


# --- opentelemetry-sdk: a finished span


def span_parts(span: ReadableSpan) -> tuple[Any, ...]:
    """Everything that a finished span says, in one go.

    The properties of opentelemetry-sdk copy each collection and take a lock for it, which costs as much as
    encoding the span; the span has ended, so nobody changes them. A span of another make, or one whose inside
    is not what it was, is read through its properties.

    Returns:
        name, context, parent, kind (0 to 4), status, start and end (nanoseconds), attributes, events, links,
        and the dropped counts of the last three.
    """
    try:
        fields = span.__dict__
        attributes, events, links = fields["_attributes"], fields["_events"], fields["_links"]
        return (
            fields["_name"],
            fields["_context"],
            fields["_parent"],
            fields["_kind"]._value_,
            fields["_status"],
            fields["_start_time"],
            fields["_end_time"],
            attributes._dict,
            events._dq,
            links._dq,
            attributes.dropped,
            events.dropped,
            links.dropped,
        )
    except (AttributeError, KeyError):
        return (
            span.name,
            span.context,
            span.parent,
            span.kind.value,
            span.status,
            span.start_time,
            span.end_time,
            span.attributes,
            span.events,
            span.links,
            span.dropped_attributes,
            span.dropped_events,
            span.dropped_links,
        )
