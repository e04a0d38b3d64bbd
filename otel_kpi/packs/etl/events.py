"""Log events of a run: that it began, that it goes on, and what checks found.

A span is only seen when it has ended. A run of three hours is seen by its events meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import SeverityNumber

from otel_kpi.packs import events
from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl.handles import SCOPE
from otel_kpi.packs.faults import failed as not_recorded

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_kpi.packs.etl.tally import Tally

_SEVERITIES: Final = {
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "critical": SeverityNumber.ERROR,
}


def emit(
    name: str, body: str, attributes: dict[str, Any], severity: str = "info", within: Context | None = None
) -> None:
    """Emit a log record with an event name. Never raises.

    Args:
        name: The event's.
        body: One sentence for people.
        attributes: Those that are None are left out.
        severity: `info`, `warning` or `critical`.
        within: The context whose span it belongs to; the current one unless given.
    """
    try:
        number = _SEVERITIES.get(severity, SeverityNumber.WARN)
        events.emit(SCOPE, name, attributes, severity=number, body=body, within=within)
    except Exception as error:
        not_recorded(f"the event {name}", error)


def check_result(  # noqa: PLR0913 - what there is to say, by name
    tally: Tally, name: str, *, passed: bool, column: str | None, failed: int | None, severity: str
) -> None:
    """Emit what a check of data quality found."""
    severity = severity if severity in _SEVERITIES else "warning"
    said = "passed" if passed else "failed" if failed is None else f"failed for {failed} records"
    emit(
        names.CHECK_RESULT.name,
        f"check {name} {said}",
        {
            names.PIPELINE_NAME.name: tally.pipeline,
            names.RUN_ID.name: tally.run_id,
            "test.case.name": name,
            "test.case.result.status": "pass" if passed else "fail",
            "kpi.etl.check.severity": severity,
            "kpi.etl.check.column": column,
            "kpi.etl.check.failed": failed,
        },
        "info" if passed else severity,
    )
