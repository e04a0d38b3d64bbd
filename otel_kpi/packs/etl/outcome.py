"""How a run, a stage or a batch ended, from what was raised in it.

`packs.outcome` knows what every pack knows; here is what only a pipeline has: nothing to do, data that are at fault,
a task queue that tries again, and a signal that the application's own handler turned into an exit.
"""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_kpi.packs.etl.adapters import celery
from otel_kpi.packs.outcome import error_type, result_of

if TYPE_CHECKING:
    from types import FrameType


class Skip(Exception):  # noqa: N818 - it is no error
    """Raise it where there is nothing to do: the stages around it and the run end as `skip`.

    A function that `etl.pipeline` decorates then returns None. Out of a `with` it goes on, as any exception does.
    """


class Failure(Exception):  # noqa: N818 - the word of the result
    """Raise it when the data are at fault, or a check of them: the result is `failure` and not `error`."""


class Outcome(NamedTuple):
    """How something ended.

    Attributes:
        result: One of `packs.outcome.RESULTS`.
        error_type: `error.type`; None where nothing went wrong.
        error: What to record on the span; None where there is nothing to say.
    """

    result: str
    error_type: str | None = None
    error: BaseException | None = None


SUCCESS: Final = Outcome("success")

_AT_FAULT: Final = frozenset(["SchemaError", "SchemaErrors", "ValidationError"])
"""pandera's, pydantic's, jsonschema's, Django's: a check said no."""
_SKIPPED: Final = frozenset(["AirflowSkipException"])
_CANCELLED: Final = frozenset(["CancelledError", "Cancelled", "CancelledRun"])
"""asyncio's and concurrent.futures', trio's, Prefect's."""


def outcome(error: BaseException | None) -> Outcome:
    """How an exception ends what it leaves. Never raises."""
    if error is None:
        return SUCCESS
    try:
        return _outcome(error)
    except Exception:
        return Outcome("error", None, error)


def _outcome(error: BaseException) -> Outcome:
    if isinstance(error, GeneratorExit):
        return Outcome("cancellation")  # whoever iterated stopped before the end; that is no error
    if isinstance(error, SystemExit):
        return _of_exit(error)
    names = {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, Skip) or names & _SKIPPED:
        return Outcome("skip")
    queued = celery.outcome(error)
    if queued is not None:
        result, cause = queued
        return Outcome(result) if result == "skip" else Outcome(result, error_type(cause), cause)
    return Outcome(_result(error, names), error_type(error), error)


def _result(error: BaseException, names: set[str]) -> str:
    if isinstance(error, (Failure, AssertionError)) or names & _AT_FAULT:
        return "failure"
    if names & _CANCELLED:
        return "cancellation"
    if isinstance(error, BaseExceptionGroup):
        members: tuple[BaseException, ...] = error.exceptions
        results = {outcome(each).result for each in members}
        return results.pop() if len(results) == 1 else "error"
    return result_of(error)


def _of_exit(error: SystemExit) -> Outcome:
    number = _signal_of(error)
    if number is not None:
        return Outcome("cancellation", number.name, error)
    # `sys.exit()` and `sys.exit(0)` are how a script says that it is done.
    if error.code in (None, 0):
        return SUCCESS
    return Outcome("cancellation", "SystemExit", error)


def _signal_of(error: SystemExit) -> signal.Signals | None:
    """The signal in whose handler the exit was raised: `sys.exit(0)` there is no success.

    A handler is called with the number and the frame that was interrupted, which is also the frame below its own.
    """
    traceback = error.__traceback__
    while traceback is not None:
        frame: FrameType = traceback.tb_frame
        given = tuple(_arguments(frame))
        for number, interrupted in itertools.pairwise(given):
            if interrupted is frame.f_back and interrupted is not None and isinstance(number, int):
                try:
                    return signal.Signals(number)
                except ValueError:
                    continue
        traceback = traceback.tb_next
    return None


def _arguments(frame: FrameType) -> list[Any]:
    """The values of a frame's positional arguments, also of those that came as `*args`."""
    code, values = frame.f_code, frame.f_locals
    given = [values.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & 0x04:  # inspect.CO_VARARGS
        given.extend(values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ()))
    return given
