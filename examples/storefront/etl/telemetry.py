"""Spans and instruments of an ETL run, in `opentelemetry-api` alone.

Without an SDK in the process every call here does nothing, so the job runs as well without
observation. Names follow the release candidate `cicd.pipeline.*`, under `kpi.etl.*`.
"""

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

PIPELINE = "catalogue"
MODEL_NAME = "catalogue"  # the KPI model: the label that rules and dashboards select by
BUCKETS = (0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)  # seconds

tracer = trace.get_tracer("storefront.etl")
_meter = metrics.get_meter("storefront.etl")

run_duration = _meter.create_histogram(
    "kpi.etl.pipeline.run.duration",
    unit="s",
    description="Duration of a run.",
    explicit_bucket_boundaries_advisory=BUCKETS,
)
stage_duration = _meter.create_histogram(
    "kpi.etl.stage.duration",
    unit="s",
    description="Duration of a stage.",
    explicit_bucket_boundaries_advisory=BUCKETS,
)
records = _meter.create_counter("kpi.etl.records.processed", unit="{record}", description="Records by stage.")
validation_errors = _meter.create_counter(
    "kpi.etl.validation.errors", unit="{error}", description="Rejected records by reason."
)
quality = _meter.create_gauge(
    "kpi.etl.quality_score", unit="{score}", description="Share of a run's records that were valid, 0 to 100."
)


@contextmanager
def run(run_id: str) -> Generator[Span]:
    """A run: a trace of its own, linked to whatever triggered it.

    The trigger's context comes in the environment as `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
    """
    carrier = {name.lower(): os.environ[name] for name in ("TRACEPARENT", "TRACESTATE") if name in os.environ}
    trigger = trace.get_current_span(propagate.extract(carrier)).get_span_context()
    attributes = {
        "kpi.etl.pipeline.name": PIPELINE,
        "kpi.etl.run.id": run_id,
        "kpi.etl.run.trigger": "event" if trigger.is_valid else "manual",
    }
    links = [Link(trigger)] if trigger.is_valid else []
    begun = time.perf_counter()
    with tracer.start_as_current_span(
        f"run {PIPELINE}", kind=SpanKind.SERVER, links=links, attributes=attributes
    ) as span:
        with _result(span) as result:
            yield span
        run_duration.record(time.perf_counter() - begun, {"model_name": MODEL_NAME, **result})


@contextmanager
def stage(name: str) -> Generator[Span]:
    """A stage of the run: extract, validate, transform or load."""
    attributes = {"kpi.etl.pipeline.name": PIPELINE, "kpi.etl.stage.name": name, "kpi.etl.stage.type": name}
    begun = time.perf_counter()
    with tracer.start_as_current_span(f"{name} {PIPELINE}", attributes=attributes) as span:
        with _result(span) as result:
            yield span
        stage_duration.record(
            time.perf_counter() - begun, {"model_name": MODEL_NAME, "kpi.etl.stage.type": name, **result}
        )


def volume(span: Span, *, read: int = 0, written: int = 0, rejected: int = 0) -> None:
    """Say on a span how many records came, went and were refused."""
    span.set_attributes(
        {
            "kpi.etl.records.read": read,
            "kpi.etl.records.written": written,
            "kpi.etl.records.rejected": rejected,
        }
    )


def processed(stage_type: str, counts: Mapping[str, int]) -> None:
    """Add up records of a stage by status: one report for the whole stage, none for a record."""
    for status, count in counts.items():
        records.add(
            count,
            {"model_name": MODEL_NAME, "kpi.etl.stage.type": stage_type, "kpi.etl.record.status": status},
        )


@contextmanager
def _result(span: Span) -> Generator[dict[str, str]]:
    """Write how it ended on the span, and into the dictionary for the metric."""
    result = {"kpi.etl.result": "success"}
    try:
        yield result
    except BaseException as error:
        # Also a SystemExit: the SDK would end that span as if nothing had happened.
        cancelled = isinstance(error, (SystemExit, KeyboardInterrupt))
        result["kpi.etl.result"] = "cancellation" if cancelled else "failure"
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(StatusCode.ERROR, str(error))
        raise
    finally:
        span.set_attributes(dict(result))
