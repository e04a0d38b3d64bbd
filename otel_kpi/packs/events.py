"""Log records with the name of an event: what is told of one thing that happened, at once and whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, context
from opentelemetry._logs import LogRecord, SeverityNumber

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context


def emit(  # noqa: PLR0913 - what a log record has, by name
    scope: str,
    name: str,
    attributes: Mapping[str, Any],
    *,
    severity: SeverityNumber = SeverityNumber.INFO,
    severity_text: str | None = None,
    body: str | None = None,
    within: Context | None = None,
    timestamp: int | None = None,
) -> None:
    """Emit an event. Raises what the SDK or an attribute raises: who calls counts what was not recorded.

    Args:
        scope: Instrumentation scope.
        name: The event's.
        attributes: Those that are None are left out.
        severity: How bad it is.
        severity_text: In the words of the source; OpenTelemetry's unless given.
        body: One sentence for people.
        within: The context whose span it belongs to; the current one unless given.
        timestamp: When it happened, in nanoseconds since 1970; now unless given.
    """
    now = time.time_ns()
    # Looked up at each event: a logger of the API keeps the provider that it found, and one may be set later.
    _logs.get_logger(scope).emit(
        LogRecord(
            timestamp=now if timestamp is None else timestamp,
            observed_timestamp=now,
            context=context.get_current() if within is None else within,
            severity_number=severity,
            severity_text=severity.name if severity_text is None else severity_text,
            body=body,
            attributes={key: value for key, value in attributes.items() if value is not None},
            event_name=name,
        )
    )
