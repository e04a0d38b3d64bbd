"""An ETL processor in the words of the KPI system: an operation that is timed, records and batches that are counted.

For code that is written against those words. They count in the same series as `run`, `stage` and `batches`; who
writes anew uses these, which have spans besides.
"""

from __future__ import annotations

import os
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.etl import handles
from otel_kpi.packs.etl.stage import stage_type
from otel_kpi.packs.outcome import result_of

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_operation: Final[ContextVar[EndTimer | None]] = ContextVar("otel_kpi_etl_operation", default=None)


class EndTimer:
    """Ends an operation when it is called; made by `ETLProcessor.time_operation()`, and a context manager as well."""

    __slots__ = ("_before", "_began", "_model", "_outer", "_process", "_seconds", "stage_type")

    def __init__(self, model_name: str, stage_type: str) -> None:
        self._model = model_name
        self.stage_type = stage_type
        self._seconds: float | None = None
        # An operation may be begun while an exception is handled, which is then not its own.
        self._before = sys.exception()
        self._outer = _operation.get()
        _operation.set(self)
        handles.active_processors.add(1, model_name)
        self._process = os.getpid()
        self._began = time.perf_counter()

    def __call__(self) -> float:
        """End the operation.

        Called while an exception of the operation is on its way, as in `finally`, its result is what that one says.

        Returns:
            Seconds that it took. A second call changes nothing.
        """
        error = sys.exception()
        return self._end(None if error is self._before else error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> float:
        if self._seconds is None:
            self._seconds = time.perf_counter() - self._began
            self._before = None
            # A fork of the process that began it leaves the end to that one.
            if self._process == os.getpid():
                handles.active_processors.add(-1, self._model)
                handles.stage_duration.record(self._seconds, self._model, self.stage_type, result_of(error))
            if _operation.get() is self:
                _operation.set(self._outer)
        return self._seconds


class ETLProcessor:
    """What a processor says of itself; made by `ETLInstrumentation.instrument_etl_processor()`."""

    __slots__ = ()

    def time_operation(self, model_name: str, stage: str) -> EndTimer:
        """Measure an operation: its time, and that a processor is active until it ends.

        Args:
            model_name: The KPI model, for example `"marketing"`; at most 40 distinct values.
            stage: `"validation"`, `"transformation"`, `"storage"`, or one of the pack's types of stages.

        Returns:
            What ends it, to be called once: `kpi.etl.stage.duration`.
        """
        return EndTimer(model_name, stage_type(stage))

    def record_processed(
        self, model_name: str, status: str, count: int = 1, *, stage: str | None = None
    ) -> None:
        """Count records: `kpi.etl.records.processed`.

        Args:
            model_name: The KPI model.
            status: What became of them, `"valid"`, `"invalid"`, `"rejected"`, `"skipped"`, `"read"`, `"written"`.
            count: How many.
            stage: Where; that of the operation under way unless told otherwise.
        """
        handles.records.add(count, model_name, _stage(stage), status)

    def set_quality_score(self, model_name: str, score: float) -> None:
        """Say how good the model's data are, 0 to 100: `kpi.etl.quality_score`."""
        handles.quality_score.set(score, model_name)

    def batch_processed(
        self, model_name: str, status: str, size: int | None = None, *, stage: str | None = None
    ) -> None:
        """Count a batch: `kpi.etl.batches.processed` and, with a size in records, `kpi.etl.batch.size`.

        Args:
            model_name: The KPI model.
            status: How it ended, `"success"`, `"error"`, `"failure"`, `"timeout"`, `"cancellation"` or `"skip"`.
            size: Records in it.
            stage: Where; that of the operation under way unless told otherwise.
        """
        where = _stage(stage)
        handles.batches.add(1, model_name, where, status)
        if size is not None:
            handles.batch_size.record(size, model_name, where)

    def validation_error(self, model_name: str, error_type: str, count: int = 1) -> None:
        """Count errors that validation found: `kpi.etl.validation.errors`; `error_type` is one of at most 50 words."""
        handles.validation_errors.add(count, model_name, error_type)

    def data_points_processed(self, model_name: str, count: int) -> None:
        """Count single values: `kpi.etl.data_points.processed`."""
        handles.data_points.add(count, model_name)


class ETLInstrumentation:
    """Where the words come from."""

    @staticmethod
    def instrument_etl_processor() -> ETLProcessor:
        """Get what a processor says of itself."""
        return ETLProcessor()


def _stage(given: str | None) -> Any:
    if given is not None:
        return stage_type(given)
    under_way = _operation.get()
    return None if under_way is None else under_way.stage_type
