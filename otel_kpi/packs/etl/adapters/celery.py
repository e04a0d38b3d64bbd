"""The task of Celery's that a run is part of: which attempt it is, and what its own exceptions mean.

The run of a task is linked to the execution's span and not its child: a retry is another run, and a night's load
does not belong into the trace of the request that asked for it. Nothing here imports Celery; whoever has not done
so is in no task.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from otel_kpi.packs.etl.adapters.execution import Task

_ENDINGS: Final = {
    "celery.exceptions.Retry": "failure",
    "celery.exceptions.Reject": "failure",
    "celery.exceptions.Ignore": "skip",
    "billiard.exceptions.SoftTimeLimitExceeded": "timeout",
    "billiard.exceptions.TimeLimitExceeded": "timeout",
    "billiard.exceptions.Terminated": "cancellation",
}


def task() -> Task | None:
    """The task that this thread executes; None outside of one, and in one that was called as a function.

    Its trigger is `event`: a message asked for it, and whether Celery's beat sent that is not written in it.
    Never raises.
    """
    try:
        celery = sys.modules.get("celery")
        current: Any = celery.current_task if celery is not None else None
        request = current.request if current else None
        if request is None or request.called_directly or not request.id:
            return None
        retries = int(request.retries or 0)
        return Task(str(current.name), str(request.id), retries + 1, "retry" if retries else "event")
    except Exception:
        return None


def outcome(error: BaseException | None) -> tuple[str, Any] | None:
    """How an exception of Celery's ends a run, and the exception to name; None for any other.

    `Retry` is a failure of what made the task retry; `Ignore` leaves a task out on purpose.
    """
    for cls in type(error).__mro__ if error is not None else ():
        result = _ENDINGS.get(f"{cls.__module__}.{cls.__qualname__}")
        if result is not None:
            cause = getattr(error, "exc", None)
            return result, cause if isinstance(cause, BaseException) else error
    return None
