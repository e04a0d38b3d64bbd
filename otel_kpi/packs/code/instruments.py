"""What is measured of functions that are named for it."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Histogram, Pack

FUNCTION_NAME: Final = Attribute(
    name="code.function.name",
    brief="The function, with its module and class, or the name that it was given.",
    budget=100,
    examples=("shop.orders.place", "shop.orders.Basket.total"),
    source="OpenTelemetry https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/",
)
ERROR_TYPE: Final = Attribute(
    name="error.type",
    brief="Class of the exception that came out of the call.",
    budget=30,
    required=False,
    examples=("TimeoutError", "ValueError"),
    source="OpenTelemetry https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/",
)

FUNCTION_DURATION: Final = Histogram(
    name="kpi.code.function.duration",
    unit="s",
    brief="Duration of a call of a function that is decorated with `timed`.",
    attributes=(FUNCTION_NAME, ERROR_TYPE),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    source="A8",
    systems=("S0",),
)

PACK: Final = Pack(
    name="code",
    title="Functions",
    brief="How long calls of your own functions take, and which of them fail.",
    instruments=(FUNCTION_DURATION,),
)
