"""What telemetry says of itself: what was sent, what was lost, and which errors did not reach the application.

Who looks for a series that is missing begins here.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Pack
from otel_kpi.record import DROPPED_VALUES, OVERFLOWED_VALUES

_SDK: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/"
_FAIL_OPEN: Final = "STYLE: the one place where an error is swallowed counts it"

# --- attributes

DESTINATION: Final = Attribute(
    name="otel.component.name",
    brief="Where the exporter sends to.",
    budget=20,
    examples=("http://localhost:4318",),
    source=_SDK,
)
PART: Final = Attribute(
    name="otel.component.type",
    brief="The full name of the part that raised the error.",
    budget=101,
    examples=("shop.telemetry.CustomerSampler",),
    source=_SDK,
)
LOSS: Final = Attribute(
    name="error.type",
    brief="Why it was lost; not there for what was sent.",
    budget=50,
    examples=("rejected", "refused", "invalid", "exit"),
    source=_SDK,
    required=False,
)
QUEUE_FULL: Final = Attribute(
    name="error.type", brief="Why it was dropped.", members=("queue_full",), source=_SDK
)
INSTRUMENTOR: Final = Attribute(
    name="instrumentor",
    brief="Name of the instrumentor, as `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` has it.",
    budget=200,
    examples=("redis",),
    source="the table of instrumentors",
)


def _exported(item: str, unit: str, what: str) -> Counter:
    return Counter(
        name=f"otel.sdk.exporter.{item}.exported",
        unit=unit,
        brief=f"{what} for which the export has ended, by the reason where it failed.",
        attributes=(DESTINATION, LOSS),
        source=_SDK,
        observable=True,
    )


def _processed(item: str, unit: str, what: str) -> Counter:
    return Counter(
        name=f"otel.sdk.processor.{item}.processed",
        unit=unit,
        brief=f"{what} that found the queue full and were dropped.",
        attributes=(DESTINATION, QUEUE_FULL),
        source=_SDK,
        observable=True,
    )


SPANS_EXPORTED: Final = _exported("span", "{span}", "Spans")
DATA_POINTS_EXPORTED: Final = _exported("metric_data_point", "{data_point}", "Data points of metrics")
LOGS_EXPORTED: Final = _exported("log", "{log_record}", "Log records")
SPANS_DROPPED: Final = _processed("span", "{span}", "Spans")
LOGS_DROPPED: Final = _processed("log", "{log_record}", "Log records")
SDK_ERRORS: Final = Counter(
    name="otel_kpi.sdk.errors",
    unit="{error}",
    brief="Errors of samplers, processors, callbacks and views that did not reach the application.",
    attributes=(PART,),
    source=_FAIL_OPEN,
    observable=True,
)
INSTRUMENTATION_ERRORS: Final = Counter(
    name="otel_kpi.instrumentation.errors",
    unit="{error}",
    brief="Errors of an instrumentor that did not reach the application.",
    attributes=(INSTRUMENTOR,),
    source=_FAIL_OPEN,
)
CONTENT_LOST: Final = Counter(
    name="otel_kpi.content.lost",
    unit="{text}",
    brief="Prompts, answers and documents that should have been kept apart and were not.",
    attributes=(
        Attribute(
            name="otel_kpi.content.reason",
            brief="`full` when too much waited to be written, `error` when it could not be.",
            members=("full", "error"),
        ),
    ),
    source=_FAIL_OPEN,
)

PACK: Final = Pack(
    name="telemetry",
    title="Telemetry itself",
    brief="What was sent, what was lost and why, and which errors of telemetry did not reach the application.",
    instruments=(
        SPANS_EXPORTED,
        DATA_POINTS_EXPORTED,
        LOGS_EXPORTED,
        SPANS_DROPPED,
        LOGS_DROPPED,
        DROPPED_VALUES,
        OVERFLOWED_VALUES,
        INSTRUMENTATION_ERRORS,
        CONTENT_LOST,
        SDK_ERRORS,
    ),
)
