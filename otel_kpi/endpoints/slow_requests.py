"""One line for each request that took longer than the limit."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

_logger: Final = logging.getLogger("otel_kpi.slow_requests")

UNMATCHED: Final = "(no route)"
"""In the place of a route where the request has none. A path is never written: it carries values."""

_DEFAULT: Final = 5.0
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)
_OTHER: Final = "_OTHER"
"""OpenTelemetry's word for another method: a caller may write anything for one, of any length."""


class Watch:
    """The time of one request, which is slow once.

    Args:
        limit: Seconds from which it is slow; None never is.
    """

    __slots__ = ("_began", "_limit")

    def __init__(self, limit: float | None) -> None:
        self._began = time.perf_counter()
        self._limit = limit

    @property
    def seconds(self) -> float:
        """How long it has taken until now."""
        return time.perf_counter() - self._began

    @property
    def is_over(self) -> bool:
        """Whether `end` has nothing more to say."""
        return self._limit is None

    def end(self) -> float | None:
        """Give the seconds that it took if it was slow; None if not, and each further time."""
        limit, self._limit = self._limit, None
        if limit is None:
            return None
        seconds = self.seconds
        return seconds if seconds >= limit else None


def limit() -> float | None:
    """Seconds from which a request is slow, `OTEL_KPI_SLOW_REQUEST`; None when no request is."""
    try:
        from otel_kpi.process import configured

        here = configured()
        if here is not None:
            milliseconds: Any = here.resolved.settings.slow_request
        else:
            import os

            from otel_kpi.resolution import load

            milliseconds = load(os.environ)[0].slow_request
        return milliseconds / 1000 or None
    except Exception:
        return _DEFAULT


def report(method: str, route: str | None, seconds: float, status: int | None) -> None:
    """Write the line; the record carries the same values as fields. Never raises.

    Args:
        method: Of the request.
        route: Its template; None where no route matched.
        seconds: How long it took.
        status: The status code of its response; None when it ended without one.
    """
    fields = {
        "method": method if method in _METHODS else _OTHER,
        "route": route or UNMATCHED,
        "duration": f"{seconds:.2f}s",
    }
    if status is not None:
        fields["statusCode"] = str(status)
    try:
        _logger.warning(
            "Slow request detected: %s %s took %s (status %s)",
            fields["method"],
            fields["route"],
            fields["duration"],
            fields.get("statusCode", "none"),
            extra=fields,
        )
    except Exception:
        # A handler or filter of the application's that raises is the application's; its request goes on.
        return
