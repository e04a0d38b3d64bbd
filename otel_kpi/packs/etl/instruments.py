"""What an ETL pipeline measures, and the conventions of its spans and events.

There is no accepted convention for data pipelines (semantic-conventions#1688 and #3762 are open), so the names are
our own, shaped like the release candidate `cicd.pipeline.*`. Attributes carry the namespace `kpi.etl.`; bare is
`model_name` alone, which the documents fix.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Event, Gauge, Histogram, Pack, Span, UpDownCounter
from otel_kpi.packs.attributes import ERROR_TYPE, MODEL_NAME
from otel_kpi.packs.outcome import RESULTS

_CICD: Final = "OpenTelemetry cicd.pipeline.*"
_LINEAGE: Final = "OpenLineage"

DURATION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0,
    3600.0,
)  # fmt: skip
"""Seconds, 5 ms to 1 h: a stage that looks something up, and one that loads a night's files."""
SIZE_BUCKETS: Final = (
    1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0, 50_000.0, 100_000.0, 1_000_000.0,
)  # fmt: skip
"""Records in a batch."""

# --- attributes of instruments

STAGE_TYPE: Final = Attribute(
    name="kpi.etl.stage.type",
    brief="What the stage does.",
    members=("extract", "validate", "transform", "load", "store"),
)
RECORD_STATUS: Final = Attribute(
    name="kpi.etl.record.status",
    brief="What became of the records: read, found valid or invalid, rejected by a stage, left out on purpose, written.",
    members=("read", "valid", "invalid", "rejected", "skipped", "written"),
)
RESULT: Final = Attribute(
    name="kpi.etl.result",
    brief="How it ended: `failure` when data or a check were at fault, `error` when anything else was raised.",
    members=RESULTS,
    source=_CICD,
)
TRIGGER: Final = Attribute(
    name="kpi.etl.run.trigger",
    brief="What started the run.",
    members=("schedule", "manual", "event", "backfill", "retry"),
    source="OpenTelemetry faas.trigger",
    required=False,
)
VALIDATION_ERROR_TYPE: Final = Attribute(
    name="error.type",
    brief="What was wrong with the records, a word of the pipeline's; never the value itself.",
    budget=50,
    examples=("missing_email", "negative_price"),
    source="OpenTelemetry error.type",
)
DIRECTION: Final = Attribute(
    name="kpi.etl.io.direction",
    brief="Into the pipeline or out of it.",
    members=("read", "write"),
    source="OpenTelemetry disk.io.direction",
)
DATASET: Final = Attribute(
    name="kpi.etl.dataset.name",
    brief="The data set, `namespace/name`; a part that looks like a password is left out.",
    budget=200,
    examples=("postgres://db:5432/kpi.public.facts",),
    source="OpenLineage dataset naming",
)

# --- runs

RUN_DURATION: Final = Histogram(
    name="kpi.etl.pipeline.run.duration",
    unit="s",
    brief="Duration of a run.",
    attributes=(MODEL_NAME, RESULT, ERROR_TYPE),
    source="B1; OpenTelemetry cicd.pipeline.run.duration",
    systems=("S0",),
    buckets=DURATION_BUCKETS,
)
RUNS: Final = Counter(
    name="kpi.etl.pipeline.runs",
    unit="{run}",
    brief="Runs that ended.",
    attributes=(MODEL_NAME, TRIGGER, RESULT),
    source="B1",
    systems=("S0",),
)
ACTIVE_RUNS: Final = UpDownCounter(
    name="kpi.etl.pipeline.run.active",
    unit="{run}",
    brief="Runs under way.",
    attributes=(MODEL_NAME,),
    source="B1; OpenTelemetry cicd.pipeline.run.active",
    systems=("S0",),
)
ACTIVE_PROCESSORS: Final = UpDownCounter(
    name="kpi.etl.processors.active",
    unit="{processor}",
    brief="Stages under way: what is working on data now.",
    attributes=(MODEL_NAME,),
    source="B1: active processors",
    systems=("S0",),
)
RUN_ELAPSED: Final = Gauge(
    name="kpi.etl.pipeline.run.elapsed",
    unit="s",
    brief="Time since the oldest run under way began: a run that hangs has no duration yet.",
    attributes=(MODEL_NAME,),
    source="B1: runs",
    systems=("S0",),
    minimum=0,
    observable=True,
)
RETRIES: Final = Counter(
    name="kpi.etl.retries",
    unit="{retry}",
    brief="Attempts after the first, of a run or inside a stage.",
    attributes=(MODEL_NAME, ERROR_TYPE),
    source="B1; OpenTelemetry http.request.resend_count",
    systems=("S0",),
)
LAST_SUCCESS_TIME: Final = Gauge(
    name="kpi.etl.pipeline.last_success.time",
    unit="s",
    brief="When the last successful run ended, in seconds since 1970.",
    attributes=(MODEL_NAME,),
    source="Prometheus: instrumenting batch jobs",
    minimum=0,
)
LAST_RUN_TIME: Final = Gauge(
    name="kpi.etl.pipeline.last_run.time",
    unit="s",
    brief="When the last run ended, however it did, in seconds since 1970.",
    attributes=(MODEL_NAME,),
    source="Prometheus: instrumenting batch jobs",
    minimum=0,
)
LAST_RUN_DURATION: Final = Gauge(
    name="kpi.etl.pipeline.last_run.duration",
    unit="s",
    brief="How long the last run took.",
    attributes=(MODEL_NAME,),
    source="Prometheus: instrumenting batch jobs",
    minimum=0,
)
LAST_RUN_RECORDS: Final = Gauge(
    name="kpi.etl.pipeline.last_run.records",
    unit="{record}",
    brief="Records of the last run, by what became of them.",
    attributes=(MODEL_NAME, RECORD_STATUS),
    source="Prometheus: instrumenting batch jobs",
    minimum=0,
)

# --- stages, batches, records

STAGE_DURATION: Final = Histogram(
    name="kpi.etl.stage.duration",
    unit="s",
    brief="Duration of a stage.",
    attributes=(MODEL_NAME, STAGE_TYPE, RESULT),
    source="B1",
    systems=("S0",),
    buckets=DURATION_BUCKETS,
)
RECORDS: Final = Counter(
    name="kpi.etl.records.processed",
    unit="{record}",
    brief="Records, by stage and by what became of them.",
    attributes=(MODEL_NAME, STAGE_TYPE, RECORD_STATUS),
    source="B1",
    systems=("S0",),
)
DATA_POINTS: Final = Counter(
    name="kpi.etl.data_points.processed",
    unit="{data_point}",
    brief="Single values: a record of twelve columns is twelve data points.",
    attributes=(MODEL_NAME,),
    source="B1: data points processed",
    systems=("S0",),
)
BATCHES: Final = Counter(
    name="kpi.etl.batches.processed",
    unit="{batch}",
    brief="Batches, by stage and by how they ended.",
    attributes=(MODEL_NAME, STAGE_TYPE, RESULT),
    source="B1",
    systems=("S0",),
)
BATCH_SIZE: Final = Histogram(
    name="kpi.etl.batch.size",
    unit="{record}",
    brief="Records in a batch.",
    attributes=(MODEL_NAME, STAGE_TYPE),
    source="B1",
    systems=("S0",),
    buckets=SIZE_BUCKETS,
)
IO: Final = Counter(
    name="kpi.etl.io",
    unit="By",
    brief="Bytes read and written, as far as the pipeline says so.",
    attributes=(MODEL_NAME, DIRECTION),
    source="OpenTelemetry instrument naming: io",
)

# --- quality and freshness

QUALITY_SCORE: Final = Gauge(
    name="kpi.etl.quality_score",
    unit="{score}",
    brief="How good the model's latest data are, 0 to 100.",
    attributes=(MODEL_NAME,),
    prometheus="kpi_etl_quality_score",
    source="B1; the alert ETLQualityLow",
    systems=("S0",),
    minimum=0,
    maximum=100,
)
VALIDATION_ERRORS: Final = Counter(
    name="kpi.etl.validation.errors",
    unit="{error}",
    brief="Errors that validation found, by type.",
    attributes=(MODEL_NAME, VALIDATION_ERROR_TYPE),
    source="B1; OpenTelemetry cicd.pipeline.run.errors",
    systems=("S0",),
)
FRESHNESS_LAG: Final = Gauge(
    name="kpi.etl.freshness.lag",
    unit="s",
    brief="Age of a data set's newest record when it was last looked at.",
    attributes=(MODEL_NAME, DATASET),
    source="B1; semantic-conventions#3762",
    systems=("S0",),
    minimum=0,
)
FRESHNESS_TIME: Final = Gauge(
    name="kpi.etl.freshness.time",
    unit="s",
    brief="Time of a data set's newest record, in seconds since 1970: `time() -` it is the lag now.",
    attributes=(MODEL_NAME, DATASET),
    source="B1; Prometheus: timestamps, not time since",
    systems=("S0",),
    minimum=0,
)

# --- attributes of spans and events

PIPELINE_NAME: Final = Attribute(
    name="kpi.etl.pipeline.name", brief="The pipeline.", examples=("marketing",), source=_CICD
)
RUN_ID: Final = Attribute(
    name="kpi.etl.run.id",
    brief="Identifies the run; on spans and events only.",
    examples=("2026-11-21T04:00",),
)
ATTEMPT: Final = Attribute(
    name="kpi.etl.run.attempt",
    brief="1 is the first.",
    type="int",
    required=False,
    source="Airflow try_number",
)
NOMINAL_START: Final = Attribute(
    name="kpi.etl.run.nominal_start",
    brief="Begin of the interval whose data the run is about, ISO 8601.",
    required=False,
    source=f"{_LINEAGE} NominalTimeRunFacet",
)
NOMINAL_END: Final = Attribute(
    name="kpi.etl.run.nominal_end", brief="Its end.", required=False, source=f"{_LINEAGE} NominalTimeRunFacet"
)
RUN_ELAPSED_TIME: Final = Attribute(
    name="kpi.etl.run.elapsed", brief="Seconds since the run began.", type="double"
)
INPUTS: Final = Attribute(
    name="kpi.etl.input.datasets", brief="What it reads.", type="string[]", required=False, source=_LINEAGE
)
OUTPUTS: Final = Attribute(
    name="kpi.etl.output.datasets", brief="What it writes.", type="string[]", required=False, source=_LINEAGE
)
STAGE_NAME: Final = Attribute(
    name="kpi.etl.stage.name", brief="The stage, a name of the pipeline's own.", examples=("deduplicate",)
)
BATCH_INDEX: Final = Attribute(
    name="kpi.etl.batch.index", brief="Number of the batch in its stage, from 0.", type="int"
)
BATCH_RECORDS: Final = Attribute(name="kpi.etl.batch.size", brief="Records in the batch.", type="int")
_VOLUME: Final = (
    *(
        Attribute(name=f"kpi.etl.records.{status}", brief=brief, type="int", required=False)
        for status, brief in (
            ("read", "Records that came in."),
            ("written", "Records that went out."),
            ("valid", "Records that passed a check."),
            ("rejected", "Records that were refused, by a check or by a target."),
            ("skipped", "Records that were left out on purpose."),
        )
    ),
    Attribute(name="kpi.etl.bytes.read", brief="Bytes that came in.", type="int", required=False),
    Attribute(name="kpi.etl.bytes.written", brief="Bytes that went out.", type="int", required=False),
    Attribute(name="kpi.etl.quality_score", brief="0 to 100.", type="double", required=False),
    Attribute(
        name="kpi.etl.validation.errors",
        brief="Errors that validation found, as `type=count`, the most frequent first.",
        type="string[]",
        required=False,
    ),
)
BATCH_COUNT: Final = Attribute(
    name="kpi.etl.batches.count", brief="Batches of the stage, whether they have a span or not.", type="int",
    required=False,
)  # fmt: skip
SOURCE_TIME: Final = Attribute(
    name="kpi.etl.batches.source_time",
    brief="Seconds that the source took to give the batches.",
    type="double",
    required=False,
)
WORK_TIME: Final = Attribute(
    name="kpi.etl.batches.work_time",
    brief="Seconds that the batches were worked on.",
    type="double",
    required=False,
)
UNLINKED: Final = Attribute(
    name="kpi.etl.links.omitted",
    brief="Upstream spans beyond the 127 that are linked.",
    type="int",
    required=False,
)

RUN_SPAN: Final = Span(
    id="kpi.etl.run",
    name="run {kpi.etl.pipeline.name}",
    kind="server",
    brief="A run from its first line to its last, a trace of its own; CONSUMER when a queue gave it.",
    attributes=(
        PIPELINE_NAME, MODEL_NAME, RUN_ID, TRIGGER, ATTEMPT, NOMINAL_START, NOMINAL_END, INPUTS, OUTPUTS, RESULT,
        ERROR_TYPE, UNLINKED, *_VOLUME,
    ),
    source="OpenTelemetry span.cicd.pipeline.run.server",
    systems=("S0",),
)  # fmt: skip
STAGE_SPAN: Final = Span(
    id="kpi.etl.stage",
    name="{kpi.etl.stage.name} {kpi.etl.pipeline.name}",
    kind="internal",
    brief="A stage of a run.",
    attributes=(
        PIPELINE_NAME, STAGE_NAME, STAGE_TYPE, RESULT, ERROR_TYPE, BATCH_COUNT, SOURCE_TIME, WORK_TIME, *_VOLUME,
    ),
    source="OpenTelemetry span.cicd.pipeline.task.internal",
    systems=("S0",),
)  # fmt: skip
BATCH_SPAN: Final = Span(
    id="kpi.etl.batch",
    name="batch {kpi.etl.stage.name}",
    kind="internal",
    brief="A batch while it is worked on: the first hundred of a stage, each that failed, each that was slow.",
    attributes=(BATCH_INDEX, BATCH_RECORDS, RESULT, ERROR_TYPE, *_VOLUME),
    source="OpenTelemetry messaging.batch.message_count",
    systems=("S0",),
)

RUN_START: Final = Event(
    name="kpi.etl.run.start",
    brief="A run begins: its span will only be seen when it ends.",
    attributes=(PIPELINE_NAME, MODEL_NAME, RUN_ID, TRIGGER, ATTEMPT),
    source="opentelemetry-specification#373",
)
RUN_HEARTBEAT: Final = Event(
    name="kpi.etl.run.heartbeat",
    brief="A run is still under way, and so far it has counted this much.",
    attributes=(
        PIPELINE_NAME,
        MODEL_NAME,
        RUN_ID,
        RUN_ELAPSED_TIME,
        Attribute(name="kpi.etl.stage.name", brief="The stage that it is in.", required=False),
        *_VOLUME,
    ),
    source="opentelemetry-python-contrib#3564",
)
CHECK_RESULT: Final = Event(
    name="kpi.etl.check.result",
    brief="What a check of data quality found.",
    attributes=(
        PIPELINE_NAME,
        RUN_ID,
        Attribute(name="test.case.name", brief="The check.", examples=("email_not_null",), source="OpenTelemetry"),
        Attribute(
            name="test.case.result.status", brief="How it went.", members=("pass", "fail"), source="OpenTelemetry"
        ),
        Attribute(
            name="kpi.etl.check.severity", brief="How much it matters.", members=("critical", "warning", "info")
        ),
        Attribute(
            name="kpi.etl.check.column", brief="The column.", required=False,
            source="OpenLineage DataQualityAssertions",
        ),
        Attribute(
            name="kpi.etl.check.failed", brief="Records that failed it.", type="int", required=False
        ),
    ),
    source="OpenLineage DataQualityAssertionsDatasetFacet, TestRunFacet",
)  # fmt: skip

PACK: Final = Pack(
    name="etl",
    title="ETL pipelines",
    brief="Which stage is slow, what was rejected and why, how good and how fresh the data are.",
    instruments=(
        RECORDS, STAGE_DURATION, QUALITY_SCORE, VALIDATION_ERRORS, BATCHES, BATCH_SIZE, DATA_POINTS, IO,
        RUNS, RUN_DURATION, ACTIVE_RUNS, RUN_ELAPSED, ACTIVE_PROCESSORS, RETRIES, FRESHNESS_LAG, FRESHNESS_TIME,
        LAST_SUCCESS_TIME, LAST_RUN_TIME, LAST_RUN_DURATION, LAST_RUN_RECORDS,
    ),
    spans=(RUN_SPAN, STAGE_SPAN, BATCH_SPAN),
    events=(RUN_START, RUN_HEARTBEAT, CHECK_RESULT),
)  # fmt: skip
