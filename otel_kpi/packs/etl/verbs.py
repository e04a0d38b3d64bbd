"""The verbs for the stage or run that is current, wherever in its code one is.

Outside of a run they count all the same, for the model that is named or as `unknown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi.packs.etl.scope import Scope, innermost
from otel_kpi.packs.etl.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date, datetime

    from otel_kpi.packs.etl.tally import Amount


def current() -> Scope | None:
    """The stage or run that is current; None outside of one."""
    found = innermost()
    return found if isinstance(found, Scope) else None


def _here(model: str | None = None) -> Tally:
    found = innermost() if model is None else None
    if found is None:
        found = Tally(model)
        found.at_once = True
    return found


def read(records: Amount = None, *, bytes: int | None = None) -> None:  # noqa: A002 - the word for them
    """Count records that came in, see `Tally.read`."""
    _here().read(records, bytes=bytes)


def written(records: Amount = None, *, bytes: int | None = None) -> None:  # noqa: A002 - the word for them
    """Count records that went out, see `Tally.written`."""
    _here().written(records, bytes=bytes)


def valid(records: Amount = 1) -> None:
    """Count records that passed a check."""
    _here().valid(records)


def invalid(records: Amount = 1, reason: str | None = None) -> None:
    """Count records that did not pass a check, see `Tally.invalid`."""
    _here().invalid(records, reason)


def rejected(records: Amount = 1, reason: str | None = None) -> None:
    """Count records that were refused, see `Tally.rejected`."""
    _here().rejected(records, reason)


def skipped(records: Amount = 1) -> None:
    """Count records that were left out on purpose."""
    _here().skipped(records)


def errors(types: Mapping[str, int] | Iterable[str] | str) -> None:
    """Count errors of validation by type, see `Tally.errors`."""
    _here().errors(types)


def data_points(count: int) -> None:
    """Count single values, see `Tally.data_points`."""
    _here().data_points(count)


def retried(error: BaseException | str | None = None) -> None:
    """Count a further attempt at something, see `Tally.retried`."""
    _here().retried(error)


def quality_score(score: float, *, model: str | None = None) -> None:
    """Say how good a model's data are now.

    Args:
        score: 0 to 100, in `{score}`. Another value is dropped, and counted in `otel_kpi.dropped_values`.
        model: The KPI model, at most 40 distinct ones; that of the current run unless given.

    Exported as the gauge `kpi_etl_quality_score{model_name}`.
    """
    _here(model).quality_score(score)


def freshness(
    newest: datetime | date | float | str, dataset: str | None = None, *, model: str | None = None
) -> None:
    """Say how old a data set's newest record is, see `Tally.freshness`."""
    _here(model).freshness(newest, dataset)


def check(
    name: str,
    passed: bool,  # noqa: FBT001 - `check("unique", frame.is_unique)` reads as it should
    *,
    column: str | None = None,
    failed: int | None = None,
    severity: str = "warning",
) -> None:
    """Tell the result of a check of data quality, see `Tally.check`."""
    _here().check(name, passed, column=column, failed=failed, severity=severity)


def failed_checks(cases: Any) -> None:
    """Tell what a validation by pandera found, see `Tally.failed_checks`."""
    _here().failed_checks(cases)
