"""The execution that a run is part of, in whatever runs tasks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """The task that is being executed.

    Attributes:
        name: Its name, `shop.tasks.refresh`.
        run_id: What the scheduler calls this execution: Celery's id of the task, or the run of Airflow, Dagster or
            Prefect that it belongs to. The same for every attempt.
        attempt: 1 is the first.
        trigger: `retry` after the first attempt, else what asked for it; None where the scheduler does not say.
    """

    name: str
    run_id: str
    attempt: int
    trigger: str | None
