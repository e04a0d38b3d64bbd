"""The handles of the pack's instruments, one for each: two of one declaration would report one series twice."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from otel_kpi import record
from otel_kpi.packs.security import instruments

if TYPE_CHECKING:
    from otel_kpi.record import CounterHandle

SCOPE: Final = "otel_kpi.security"
"""Instrumentation scope of the pack's events and series."""

intrusion_attempts: Final = record.counter(instruments.INTRUSION_ATTEMPTS, SCOPE)
auth_attempts: Final = record.counter(instruments.AUTH_ATTEMPTS, SCOPE)
rate_limit_requests: Final = record.counter(instruments.RATE_LIMIT_REQUESTS, SCOPE)
secured_request_duration: Final = record.histogram(instruments.SECURED_REQUEST_DURATION, SCOPE)
sanitizations: Final = record.counter(instruments.SANITIZATIONS, SCOPE)
suspicions: Final = record.counter(instruments.SUSPICIONS, SCOPE)
uncounted_clients: Final = record.counter(instruments.UNCOUNTED_CLIENTS, SCOPE)
dropped_events: Final = record.counter(instruments.DROPPED_EVENTS, SCOPE)


@cache
def django_auth_failures() -> CounterHandle:
    """Made when Django serves requests: where it does not, its failures are not 0, there are none to speak of."""
    return record.counter(instruments.DJANGO_AUTH_FAILURES, SCOPE)
