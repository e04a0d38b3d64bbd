"""What runs around or through a pipeline, in the words of the pack: frames, checks, tasks and commands of others.

Nothing here imports another library before it has: a frame is known by where its class comes from, a task by what
`sys.modules` holds. `otel_kpi.packs.etl.adapters.django` alone is a module of Django's and imports it.
"""

from __future__ import annotations

from otel_kpi.packs.etl.adapters import celery, schedulers
from otel_kpi.packs.etl.adapters.execution import Task
from otel_kpi.packs.etl.adapters.frames import Volume, volume
from otel_kpi.packs.etl.adapters.pandera import Failed, failed

__all__ = ["Failed", "Task", "Volume", "failed", "task", "volume"]


def task() -> Task | None:
    """The task that is being executed here, of whatever executes tasks; None outside of one. Never raises."""
    return celery.task() or schedulers.airflow() or schedulers.dagster() or schedulers.prefect()
