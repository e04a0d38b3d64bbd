"""Batches of a source: an object to iterate over, which knows when a batch is over and never stays current.

A generator that holds a span leaks it into whoever breaks out of the loop. This is no generator: a stage is current
while the source is asked for the next batch, and within a `with` around the loop, and nowhere else. What the source
took and what the loop took are two numbers.
"""

from __future__ import annotations

import operator
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from opentelemetry import context

from otel_kpi.packs.etl import handles
from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl.batch import Batch, Budget, told, write_span
from otel_kpi.packs.etl.definition import named
from otel_kpi.packs.etl.outcome import SUCCESS, Outcome, outcome
from otel_kpi.packs.etl.scope import Scope, innermost
from otel_kpi.packs.etl.slices import size_of
from otel_kpi.packs.etl.source import Source
from otel_kpi.packs.etl.stage import Stage, Stages
from otel_kpi.packs.etl.tally import Tally, lock
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from opentelemetry.context import Context

T = TypeVar("T")

_SIZE: Final = 1000
"""Records of a batch, where what was asked for is no size."""
_ABANDONED: Final = Outcome("cancellation")


class Batches(Generic[T]):
    """Iterates over batches, once; made by `batches()`. For `for` and `async for`, best within `with`."""

    def __init__(self, source: Any, size: int | None, stages: Stages | None, slow: float | None) -> None:
        self._source = Source(source, size)
        self._stages = stages
        self._tally: Tally | None = None
        self._opening = threading.RLock()
        self._within: Context | None = None
        self._owned = False
        self._entered = False
        self._over = False
        self._batch: Batch | None = None
        self._index = 0
        self._spans = Budget(slow)
        self._source_seconds = 0.0
        self._work_seconds = 0.0

    # --- for the application

    @property
    def stage(self) -> Tally:
        """The stage that the batches belong to."""
        return self._open()

    def count(
        self,
        *,
        valid: int | None = None,
        invalid: int | None = None,
        written: int | None = None,
        rejected: int | None = None,
        skipped: int | None = None,
    ) -> None:
        """Say what became of the records of this batch; what was read is known.

        Args:
            valid: Records that passed a check.
            invalid: Records that did not.
            written: Records that a target took.
            rejected: Records that were refused otherwise.
            skipped: Records that were left out on purpose.
        """
        tally, batch = self._open(), self._batch
        given = (
            ("valid", valid), ("invalid", invalid), ("written", written), ("rejected", rejected), ("skipped", skipped),
        )  # fmt: skip
        for status, records in given:
            if records is None:
                continue
            count = tally._count(status, records)  # noqa: SLF001 - of the same pack
            if batch is not None:
                batch.counts[status] = batch.counts.get(status, 0) + count

    def errors(self, types: Mapping[str, int] | Iterable[str] | str) -> None:
        """Count errors of validation by type, `{"missing_email": 7}`."""
        self._open().errors(types)

    def failed(self, error: BaseException | str) -> None:
        """Say that this batch went wrong, although the loop goes on.

        Args:
            error: What was raised and handled, or a word for it.
        """
        if self._batch is not None:
            how = Outcome("failure", error) if isinstance(error, str) else outcome(error)
            self._batch.failure = how if how.result != "success" else Outcome("failure")

    def close(self) -> None:
        """Close the source and end the stage, as leaving the `with` does."""
        self._close(None)

    async def aclose(self) -> None:
        """Close the source and end the stage, as leaving the `async with` does."""
        await self._close_async(None)

    # --- iteration

    def __enter__(self) -> Self:
        self._open()
        if self._owned and not self._entered and isinstance(self._tally, Scope):
            self._tally.attach()
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close_async(error)

    def __iter__(self) -> Iterator[T]:
        self._source.check()
        return self

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    def __next__(self) -> T:
        if self._over:
            raise StopIteration
        self._settle(SUCCESS)
        began = time.perf_counter()
        pulled = self._source.resumed()
        known = len(pulled)
        try:
            found = self._source.pull(self._context(), pulled)
        except BaseException as error:
            self._ran_dry(error, pulled, known)
            raise
        return self._hand(found, began, known)

    async def __anext__(self) -> T:
        if self._over:
            raise StopAsyncIteration
        self._settle(SUCCESS)
        began = time.perf_counter()
        pulled = self._source.resumed()
        known = len(pulled)
        try:
            found = await self._source.pull_async(self._context(), pulled)
        except BaseException as error:
            self._ran_dry(error, pulled, known)
            raise
        return self._hand(found, began, known)

    def __length_hint__(self) -> int:
        return self._source.length_hint()

    def __del__(self) -> None:
        try:
            if self._tally is not None and not self._over:
                batch = self._batch
                counted = batch is not None and batch.counts
                # Dropped without a word: by `break`, or by an exception that is not seen from here.
                self._settle(SUCCESS if counted else _ABANDONED)
                self._end(GeneratorExit())
        except Exception as error:
            failed("the end of abandoned batches", error)

    # --- what the source gives

    def _hand(self, found: Any, began: float, known: int) -> Any:
        """Count what came, of which some is counted already, and remember it as the batch that is worked on."""
        size = size_of(found)
        tally = self._open()
        if size is not None:
            tally._count("read", size - known)  # noqa: SLF001 - of the same pack
        with lock():
            batch = Batch(self._index, size)
            self._index += 1
            self._source_seconds += batch.handed - began
            # Another worker may have taken one meanwhile.
            before, self._batch = self._batch, batch
        if before is not None:
            self._account(before, SUCCESS)
        return found

    def _ran_dry(self, error: BaseException, pulled: list[Any], known: int) -> None:
        if pulled:
            # The source gave these before it failed, or before the wait for more was cancelled.
            self._open()._count("read", len(pulled) - known)  # noqa: SLF001 - of the same pack
            self._source.keep(pulled)
        if not self._entered:
            self._end(None if isinstance(error, (StopIteration, StopAsyncIteration)) else error)

    def _close(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._open()
        self._settle(SUCCESS if error is None else outcome(error))
        try:
            self._source.close(self._context())
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._end(error)

    async def _close_async(self, error: BaseException | None) -> None:
        if self._over:
            return
        self._open()
        self._settle(SUCCESS if error is None else outcome(error))
        try:
            await self._source.aclose(self._context())
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._end(error)

    # --- accounts

    def _open(self) -> Tally:
        """The stage that the batches belong to, begun if it is theirs."""
        if self._tally is not None:
            return self._tally
        with self._opening:  # two threads may ask for the first batch at once
            if self._tally is None:
                around = innermost() if self._stages is None else None
                if around is None:
                    around = (self._stages or Stages("batches", None, None, None, None)).begin()
                    self._owned = True
                self._within = around.context if isinstance(around, Scope) else context.get_current()
                self._tally = around
            return self._tally

    def _context(self) -> Context:
        self._open()
        return context.get_current() if self._within is None else self._within

    def _settle(self, how: Outcome) -> None:
        """Account for the batch that was handed out last, if that has not been done."""
        with lock():
            batch, self._batch = self._batch, None
        if batch is not None:
            self._account(batch, how)

    def _account(self, batch: Batch, how: Outcome) -> None:
        try:
            tally = self._open()
            seconds = time.perf_counter() - batch.handed
            if how.result == "success" and batch.failure is not None:
                how = batch.failure
            if batch.size is None and batch.counts:
                batch.size = told(batch.counts)
                tally._count("read", batch.size)  # noqa: SLF001 - of the same pack
            tally.report()
            type_ = tally.stage_type or "other"
            handles.batches.add(1, tally.model, type_, how.result)
            if batch.size is not None:
                handles.batch_size.record(batch.size, tally.model, type_)
            with lock():
                before = self._work_seconds
                self._work_seconds += seconds
                spanned = self._spans.take(batch, seconds, how, before)
            if spanned:
                write_span(tally, self._within, batch, seconds, how)
        except Exception as error:
            failed("a batch", error)

    def _end(self, error: BaseException | None) -> None:
        """End the stage if it is theirs, else leave their numbers on it."""
        if self._over:
            return
        self._over = True
        try:
            said = {
                names.BATCH_COUNT.name: self._index,
                names.SOURCE_TIME.name: round(self._source_seconds, 6),
                names.WORK_TIME.name: round(self._work_seconds, 6),
            }
            tally = self._open()
            if isinstance(tally, Stage):
                _add_to(tally, said)
            if self._owned and isinstance(tally, Scope):
                tally.end(error)
        except Exception as fault:
            failed("the end of batches", fault)


def _add_to(stage: Stage, said: dict[str, float]) -> None:
    """Add the numbers of a loop to those of others in the same stage."""
    with lock():
        extra = stage.extra = stage.extra or {}
        for name, value in said.items():
            extra[name] = extra.get(name, 0) + value


@overload
def batches(
    source: Iterable[T] | AsyncIterable[T],
    /,
    size: None = None,
    *,
    stage: str | None = None,
    type: str | None = None,
    pipeline: str | None = None,
    model: str | None = None,
    slow: float | None = None,
) -> Batches[T]: ...
@overload
def batches(
    source: Iterable[T] | AsyncIterable[T],
    /,
    size: int,
    *,
    stage: str | None = None,
    type: str | None = None,
    pipeline: str | None = None,
    model: str | None = None,
    slow: float | None = None,
) -> Batches[list[T]]: ...
def batches(  # noqa: PLR0913 - options with defaults, by name
    source: Any,
    /,
    size: int | None = None,
    *,
    stage: str | None = None,
    type: str | None = None,  # noqa: A002 - the word of the convention
    pipeline: str | None = None,
    model: str | None = None,
    slow: float | None = None,
) -> Any:
    """The batches of a source, each counted: what was read, how long it took, how it ended.

    Args:
        source: Anything to iterate over, also asynchronously; a frame of pandas or polars, a table, an array.
        size: Records in a batch. Without one, what the source gives are batches already.
        stage: Name of a stage of their own; else they belong to the current one.
        type: Of that stage, see `stage`.
        pipeline: Of that stage; the current run's unless given.
        model: Of that stage; the run's unless given.
        slow: Seconds after which a batch is slow and has a span.

    `for` and `async for`; within `with` or `async with` an exception in the loop is seen, what the loop calls stands
    under the stage, and source and stage are closed at once, also by `break`. Telemetry never raises; the source's
    own exceptions go on.
    """
    own = None if stage is None else Stages(named(stage, "batches"), type, pipeline, model, None)
    return Batches[Any](source, _size(size), own, slow)


def _size(size: Any) -> int | None:
    if size is None:
        return None
    try:
        number = operator.index(size)
    except Exception:
        number = 0
    if number < 1:
        said = named(size, type(size).__name__)
        failed("a size of batches", ValueError(f"{said} is no size; batches have {_SIZE} records"))
        return _SIZE
    return number
