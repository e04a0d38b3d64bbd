"""Parts of the SDK as settings have them: sampler, ids, limits, temporality."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk.metrics import (
    Counter,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality
from opentelemetry.sdk.metrics.view import (
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.sdk.trace import SpanLimits

from otel_kpi import _compat
from otel_kpi.sdk.cardinality import Budget

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.view import Aggregation
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

    from otel_kpi.config import Settings

_logger = logging.getLogger("otel_kpi")


def sampler(settings: Settings) -> Sampler | None:
    """The sampler that the settings name, or the default and one line."""
    try:
        return _compat.sampler_by_name(settings.sampler, settings.sampler_arg)
    except Exception as error:
        _logger.warning(
            "OTEL_TRACES_SAMPLER=%r with OTEL_TRACES_SAMPLER_ARG=%r is not used (%s); using parentbased_always_on",
            settings.sampler,
            settings.sampler_arg,
            error,
        )
        return _compat.sampler_by_name("parentbased_always_on", None)


def id_generator(settings: Settings) -> IdGenerator | None:
    """Who makes ids; None is the SDK's own."""
    if settings.id_generator == "random":
        return None
    try:
        return _compat.id_generator_by_name(settings.id_generator)
    except Exception as error:
        _logger.warning("OTEL_PYTHON_ID_GENERATOR=%r is not used: %s", settings.id_generator, error)
        return None


def span_limits(settings: Settings) -> SpanLimits:
    """How much a span may carry."""

    def first(*values: int | None) -> int:
        return next((value for value in values if value is not None), 0)

    return SpanLimits(
        max_events=settings.span_event_count,
        max_links=settings.span_link_count,
        max_span_attributes=first(settings.span_attribute_count, settings.attribute_count),
        max_event_attributes=first(settings.event_attribute_count, settings.attribute_count),
        max_link_attributes=first(settings.link_attribute_count, settings.attribute_count),
        max_attribute_length=settings.attribute_length,
        max_span_attribute_length=first(settings.span_attribute_length, settings.attribute_length),
    )


def log_limits(settings: Settings) -> LogRecordLimits:
    """How much a log record may carry."""
    return LogRecordLimits(
        max_attributes=settings.attribute_count,
        max_attribute_length=settings.attribute_length,
        max_log_record_attributes=settings.log_attribute_count or settings.attribute_count,
        max_log_record_attribute_length=settings.log_attribute_length or settings.attribute_length,
    )


def budget(settings: Settings) -> Budget:
    """How many values the attributes of metrics may take."""
    return Budget(
        values=settings.metric_attribute_values,
        identifiers=settings.metric_identifiers,
        series=settings.metric_series,
        exceptions=dict(settings.metric_attribute_budgets),
    )


def preferred_temporality(preference: str) -> dict[type, AggregationTemporality]:
    """The preferences of the OTLP exporter's specification, by kind of instrument."""
    cumulative, delta = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
    observable = delta if preference == "delta" else cumulative
    synchronous = cumulative if preference == "cumulative" else delta
    return {
        Counter: synchronous,
        UpDownCounter: cumulative,
        Histogram: synchronous,
        ObservableCounter: observable,
        ObservableUpDownCounter: cumulative,
        ObservableGauge: cumulative,
    }


def preferred_aggregation(name: str) -> dict[type, Aggregation]:
    """What becomes of histograms, by kind of instrument."""
    if name == "base2_exponential_bucket_histogram":
        return {Histogram: ExponentialBucketHistogramAggregation()}
    return {Histogram: ExplicitBucketHistogramAggregation()}
