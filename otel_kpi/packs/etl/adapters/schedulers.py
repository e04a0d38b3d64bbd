"""The task of Airflow, Dagster or Prefect that a run is part of, by what each of them says in public.

Nothing here imports them; whoever has not done so is in no task of theirs. Outside of a task they raise or say None.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from otel_kpi.packs.etl.adapters.execution import Task

_AIRFLOW: Final = {
    "scheduled": "schedule",
    "manual": "manual",
    "backfill": "backfill",
    "asset_triggered": "event",
}
"""By the type of the DAG's run."""
_DAGSTER: Final = {
    "dagster/backfill": "backfill",
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "event",
}
"""By the tag that its run has."""


def airflow() -> Task | None:
    """The task instance of Airflow 3; never raises."""
    try:
        sdk: Any = sys.modules.get("airflow.sdk")
        if sdk is None:
            return None
        context = sdk.get_current_context()
        instance, run = context["ti"], context["dag_run"]
        attempt = int(instance.try_number)
        kind = getattr(run.run_type, "value", run.run_type)
        trigger = "retry" if attempt > 1 else _AIRFLOW.get(str(kind))
        return Task(f"{instance.dag_id}.{instance.task_id}", str(context["run_id"]), attempt, trigger)
    except Exception:
        return None


def dagster() -> Task | None:
    """The op or the asset of Dagster; never raises."""
    try:
        library: Any = sys.modules.get("dagster")
        if library is None:
            return None
        context = library.OpExecutionContext.get()
        attempt = int(context.retry_number) + 1
        asked = next((word for tag, word in _DAGSTER.items() if context.has_tag(tag)), "manual")
        name = f"{context.job_name}.{context.op_def.name}"
        return Task(name, str(context.run_id), attempt, "retry" if attempt > 1 else asked)
    except Exception:
        return None


def prefect() -> Task | None:
    """The task of Prefect, or the flow outside of a task; never raises."""
    try:
        library: Any = sys.modules.get("prefect")
        if library is None or not (run_id := library.runtime.flow_run.id):
            return None
        runtime = library.runtime
        in_task = runtime.task_run.id is not None
        attempt = int((runtime.task_run if in_task else runtime.flow_run).run_count or 1)
        name = (
            f"{runtime.flow_run.flow_name}.{runtime.task_run.name}" if in_task else runtime.flow_run.flow_name
        )
        return Task(str(name), str(run_id), attempt, "retry" if attempt > 1 else None)
    except Exception:
        return None
