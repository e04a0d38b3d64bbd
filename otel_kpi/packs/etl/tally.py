"""What a run, a stage or a loop over batches has counted so far, and the verbs to count with.

Records are added up as plain numbers, and go to the instruments in thousands, at the end of a batch and at the end of
the stage: one measurement for each would cost more than most transformations. Everything is exact however the work
ends, under threads too; in a forked child, and after the end, what is counted goes out at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_kpi import forks
from otel_kpi.packs.etl import adapters, events, handles
from otel_kpi.packs.etl.datasets import dataset_name
from otel_kpi.packs.etl.moments import seconds_since_1970
from otel_kpi.packs.faults import failed as not_recorded
from otel_kpi.packs.outcome import error_type

if TYPE_CHECKING:
    from datetime import date, datetime

    Amount = int | Any
    """A number, or the records themselves: a list, a frame. What is lazy is not asked."""

DUE: Final = 1000
"""Records after which a tally goes to the instruments."""
_MOST: Final = 2**53
_LONGEST: Final = 128
_MOST_TYPES: Final = 50
"""Types of errors that a span names; the instrument has a budget of its own."""
_CLOCKS_DIFFER: Final = 300.0
"""Seconds: a record that is newer than now by less is as new as can be."""

TYPE_OF: Final = {
    "read": "extract",
    "written": "load",
    "valid": "validate",
    "invalid": "validate",
    "rejected": "validate",
    "skipped": "transform",
}
"""Where records belong that a run counts outside of its stages."""


class Volumes(NamedTuple):
    """What was counted.

    Attributes:
        records: By status, as in `kpi.etl.record.status`.
        bytes: `read` and `write`.
        errors: By type.
    """

    records: dict[str, int]
    bytes: dict[str, int]
    errors: dict[str, int]

    def add(self, other: Volumes) -> None:
        """Add another's."""
        for mine, theirs in zip(self, other, strict=True):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count


def nothing() -> Volumes:
    """Nothing counted yet."""
    return Volumes({}, {}, {})


class _Lock:
    """One for all tallies: it is held for the time of an addition, and a forked child makes it anew."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


_one = _Lock()


def lock() -> threading.RLock:  # pyright: ignore[reportInvalidTypeForm] - a class only since Python 3.13
    """What is held while tallies change."""
    return _one.lock


class Tally:
    """Counts for one model; a run, a stage, or what goes on in another process's run.

    Attributes:
        model: `model_name` of every series.
        pipeline: The pipeline; None outside of one.
        run_id: Of the run; None outside of one.
        stage_type: `kpi.etl.stage.type` of its records; None lets each status say.
        quality: The last score; None when there is none.
        due: Records after which it goes to the instruments.
        at_once: Whether what is counted goes out at once: nobody will end this tally.
    """

    # Of the class until they differ: most stages count little, and a stage shall cost little.
    quality: float | None = None
    at_once: bool = False
    _volumes: Volumes | None = None
    due: float = DUE
    _pending: dict[str, int] | None = None
    _pending_errors: dict[str, int] | None = None

    def __init__(
        self,
        model: str | None,
        pipeline: str | None = None,
        run_id: str | None = None,
        stage_type: str | None = None,
    ) -> None:
        self.model = model
        self.pipeline = pipeline
        self.run_id = run_id
        self.stage_type = stage_type

    @property
    def volumes(self) -> Volumes:
        """What was counted."""
        if self._volumes is None:
            self._volumes = nothing()
        return self._volumes

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return self._volumes is None and self.quality is None

    # --- verbs

    def read(self, records: Amount = None, *, bytes: int | None = None) -> None:  # noqa: A002 - the word for them
        """Count records that came in.

        Args:
            records: How many, or the records: a list, a frame of pandas or polars, whose bytes are known too.
            bytes: Their volume, where it is known.
        """
        self._count("read", records, bytes, "read")

    def written(self, records: Amount = None, *, bytes: int | None = None) -> None:  # noqa: A002 - as above
        """Count records that went out: rows that a database took, lines of a file."""
        self._count("written", records, bytes, "write")

    def valid(self, records: Amount = 1) -> None:
        """Count records that passed a check."""
        self._count("valid", records)

    def invalid(self, records: Amount = 1, reason: str | None = None) -> None:
        """Count records that did not pass a check, and with a reason as many errors of that type."""
        self._refuse("invalid", records, reason)

    def rejected(self, records: Amount = 1, reason: str | None = None) -> None:
        """Count records that were refused, and with a reason as many errors of that type.

        Args:
            records: How many.
            reason: One word, `missing_email`, never the value: at most 50 distinct ones are told apart.
        """
        self._refuse("rejected", records, reason)

    def skipped(self, records: Amount = 1) -> None:
        """Count records that were left out on purpose: known already, or of another tenant."""
        self._count("skipped", records)

    def errors(self, types: Mapping[str, int] | Iterable[str] | str) -> None:
        """Count errors of validation by type.

        Args:
            types: `{"missing_email": 7}`, or one type for each error: `["missing_email", "negative_price"]`.
        """
        try:
            if isinstance(types, str):
                types = {types: 1}
            if isinstance(types, Mapping):
                for name, count in types.items():
                    self._error(name, count)
            else:
                for name in types:
                    self._error(name, 1)
        except Exception as error:
            not_recorded("errors of validation", error)

    def data_points(self, count: int) -> None:
        """Count single values: a record of twelve columns is twelve."""
        handles.data_points.add(count, self.model)

    def retried(self, error: BaseException | str | None = None) -> None:
        """Count a further attempt at something inside, for example a page that is fetched again."""
        kind = error_type(error) if isinstance(error, BaseException) else error
        handles.retries.add(1, self.model, kind)

    def quality_score(self, score: float) -> None:
        """Say how good the model's data are now.

        Args:
            score: 0 to 100. Another value is dropped, and counted in `otel_kpi.dropped_values`.
        """
        handles.quality_score.set(score, self.model)
        try:
            if 0 <= score <= 100:  # noqa: PLR2004 - the range of a score
                self.quality = float(score)
        except Exception:
            pass  # the handle has counted it

    def freshness(self, newest: datetime | date | float | str, dataset: str | None = None) -> None:
        """Say how old the newest record is.

        Args:
            newest: When it was made: a datetime (one without a zone is UTC), a date, ISO 8601 text, seconds since
                1970.
            dataset: Which data set; the run's first output unless given.

        Exported as `kpi_etl_freshness_lag_seconds`, its age now, and `kpi_etl_freshness_time_seconds`, its time.
        """
        try:
            name = dataset_name(dataset) or self._dataset()
            moment = seconds_since_1970(newest)
            if moment is None:
                handles.freshness_time.set(float("nan"), self.model, name)  # dropped, and counted
                return
            lag = time.time() - moment
            handles.freshness_time.set(moment, self.model, name)
            handles.freshness_lag.set(0.0 if -_CLOCKS_DIFFER < lag < 0 else lag, self.model, name)
        except Exception as error:
            not_recorded("the freshness of a data set", error)

    def check(
        self,
        name: str,
        passed: bool,  # noqa: FBT001 - `check("unique", frame.is_unique)` reads as it should
        *,
        column: str | None = None,
        failed: int | None = None,
        severity: str = "warning",
    ) -> None:
        """Tell the result of a check of data quality, as a log event `kpi.etl.check.result`.

        Args:
            name: The check, `email_not_null`.
            passed: Whether the data passed.
            column: Which column it looked at.
            failed: How many records did not pass; that many errors of the type `name` are counted.
            severity: `critical`, `warning` or `info`.
        """
        try:
            # A column of truths has none of its own, and says so by raising.
            passed = bool(passed)
            events.check_result(self, name, passed=passed, column=column, failed=failed, severity=severity)
        except Exception as error:
            not_recorded("the result of a check", error)
            return
        if not passed:
            self._error(name, 1 if failed is None else failed)

    def failed_checks(self, cases: Any) -> None:
        """Tell what a validation by pandera found: checks, columns and counts, never values.

        Args:
            cases: The `SchemaErrors` or its `failure_cases`.
        """
        for each in adapters.failed(cases):
            self.check(each.check, False, column=each.column, failed=each.count)

    # --- for the pack

    def report(self) -> None:
        """Hand what is pending to the instruments."""
        if self._pending is None and self._pending_errors is None:
            return
        with _one.lock:
            pending, self._pending = self._pending, None
            errors, self._pending_errors = self._pending_errors, None
        for status, count in (pending or {}).items():
            if self._is_ours(status):
                handles.records.add(count, self.model, self.stage_type or TYPE_OF[status], status)
        for name, count in (errors or {}).items():
            handles.validation_errors.add(count, self.model, name)

    def forget_pending(self) -> None:
        """In a forked child: what was pending is the parent's to tell."""
        self._pending = self._pending_errors = None
        self.at_once = True

    def _dataset(self) -> str | None:
        return self.pipeline or self.model

    def _is_ours(self, status: str) -> bool:  # noqa: ARG002 - a run's tally asks
        """Whether records of a status are for this tally to tell, and no other has told them."""
        return True

    def _count(
        self, status: str, records: Any, bytes_: int | None = None, direction: str | None = None
    ) -> int:
        """Count records of any shape; how many there were, and 0 where that is not known."""
        if type(records) is not int or not 0 <= records < _MOST:
            records, bytes_ = self._measured(records, bytes_, status)
        if records is not None:
            self._tally(status, records)
        if bytes_ is not None and direction is not None:
            self._count_bytes(bytes_, direction)
        return records or 0

    def _tally(self, status: str, records: int, reason: str | None = None) -> None:
        with _one.lock:
            counts = self.volumes.records
            counts[status] = counts.get(status, 0) + records
            if self._pending is None:
                self._pending = {}
            pending = self._pending[status] = self._pending.get(status, 0) + records
            if reason is not None:
                self._note(reason, records)
        if pending >= self.due or self.at_once:
            self.report()

    def _note(self, kind: str, count: int) -> None:
        """Add errors of a type, within the lock."""
        errors = self.volumes.errors
        if kind not in errors and len(errors) >= _MOST_TYPES:
            kind = "other"
        errors[kind] = errors.get(kind, 0) + count
        if self._pending_errors is None:
            self._pending_errors = {}
        self._pending_errors[kind] = self._pending_errors.get(kind, 0) + count

    def _count_bytes(self, count: int, direction: str) -> None:
        handles.io.add(count, self.model, direction)
        try:
            if 0 <= count < _MOST:
                with _one.lock:
                    self.volumes.bytes[direction] = self.volumes.bytes.get(direction, 0) + int(count)
        except Exception:
            pass  # the handle has counted it

    def _measured(self, records: Any, bytes_: int | None, status: str) -> tuple[int | None, int | None]:
        """The number of records, and their bytes, of anything that is no plain number; None where there is none."""
        if records is None and bytes_ is not None:
            return None, bytes_  # bytes were told, and no records
        volume = adapters.volume(records)
        number = _whole(records) if volume.records is None or isinstance(records, float) else volume.records
        if number is None or not 0 <= number < _MOST:
            # The handle drops it, and counts it under its reason.
            wrong: Any = records if isinstance(records, int) or _is_no_number(records) else None
            handles.records.add(wrong, self.model, self.stage_type or TYPE_OF[status], status)
            return None, bytes_
        return number, volume.bytes if bytes_ is None else bytes_

    def _refuse(self, status: str, records: Any, reason: Any) -> None:
        if type(records) is int and 0 < records < _MOST and type(reason) is str and len(reason) <= _LONGEST:
            self._tally(status, records, reason)
            return
        count = self._count(status, records)
        if reason is not None and count:
            self._error(reason, count)

    def _error(self, kind: Any, count: Any) -> None:
        if type(count) is int and 0 < count < _MOST and type(kind) is str and len(kind) <= _LONGEST:
            with _one.lock:
                self._note(kind, count)
            if self.at_once:
                self.report()
            return
        number = _whole(count)
        if number is None or not 0 <= number < _MOST:
            handles.validation_errors.add(count, self.model, kind)  # which drops it, and says so
        elif number:
            try:
                text = str(kind)[:_LONGEST]
            except Exception:
                text = "other"
            self._error(text, number)


def _whole(records: Any) -> int | None:
    """A whole number of another type, numpy's or a Decimal; None of what is none."""
    try:
        if not isinstance(records, str | bytes) and float(records).is_integer():
            return int(records)
    except Exception:
        pass  # what has no number is none
    return None


def _is_no_number(records: Any) -> bool:
    return isinstance(records, float) and not math.isfinite(records)


def _after_fork() -> None:
    # A thread of the parent may have held it.
    _one.lock = threading.RLock()


forks.in_child(_after_fork)
