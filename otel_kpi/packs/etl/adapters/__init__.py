"""What runs around or through a pipeline, in the words of the pack: frames, checks, tasks and commands of others.

Nothing here imports another library before it has: a frame is known by where its class comes from, a task by what
`sys.modules` holds. `otel_kpi.packs.etl.adapters.django` alone is a module of Django's and imports it.
"""

from __future__ import annotations

from otel_kpi.packs.etl.adapters.celery import Task, task
from otel_kpi.packs.etl.adapters.frames import Volume, volume
from otel_kpi.packs.etl.adapters.pandera import Failed, failed

__all__ = ["Failed", "Task", "Volume", "failed", "task", "volume"]
