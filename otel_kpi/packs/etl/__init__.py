"""ETL pipelines: a run, its stages and batches as one trace; their volume, quality and freshness as metrics.

    from otel_kpi import etl

    @etl.pipeline("marketing", outputs=["postgres://db:5432/kpi.public.facts"])
    def main():
        with etl.stage("extract"):
            rows = fetch()
            etl.read(rows)
        with etl.batches(rows, size=1000, stage="validate") as batches:
            for batch in batches:
                good, bad = check(batch)
                batches.count(valid=len(good), invalid=len(bad))
        etl.quality_score(97.2)

Everything is opentelemetry-api alone: without an SDK it does nothing, and it never raises. docs/etl.md shows the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi.packs.etl.adapters import Volume
from otel_kpi.packs.etl.adapters import volume as frame
from otel_kpi.packs.etl.batches import Batches, batches
from otel_kpi.packs.etl.bound import bound
from otel_kpi.packs.etl.carrier import carrier, environment, read_manifest, traceparent, write_manifest
from otel_kpi.packs.etl.instruments import PACK
from otel_kpi.packs.etl.outcome import Failure, Skip
from otel_kpi.packs.etl.run import Run, pipeline, run
from otel_kpi.packs.etl.stage import Stage, stage
from otel_kpi.packs.etl.verbs import (
    check,
    current,
    data_points,
    errors,
    failed_checks,
    freshness,
    invalid,
    quality_score,
    read,
    rejected,
    retried,
    skipped,
    valid,
    written,
)

if TYPE_CHECKING:
    from otel_kpi.packs.etl.adapters.django import DjangoCommand

__all__ = [
    "PACK",
    "Batches",
    "DjangoCommand",
    "Failure",
    "Run",
    "Skip",
    "Stage",
    "Volume",
    "batches",
    "bound",
    "carrier",
    "check",
    "current",
    "data_points",
    "environment",
    "errors",
    "failed_checks",
    "frame",
    "freshness",
    "invalid",
    "pipeline",
    "quality_score",
    "read",
    "read_manifest",
    "rejected",
    "retried",
    "run",
    "skipped",
    "stage",
    "traceparent",
    "valid",
    "write_manifest",
    "written",
]


def __getattr__(name: str) -> Any:
    if name == "DjangoCommand":  # imports Django, which only its users have
        from otel_kpi.packs.etl.adapters.django import DjangoCommand

        return DjangoCommand
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
