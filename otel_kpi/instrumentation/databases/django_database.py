"""Django's connections: no span for what Django itself asks when it opens one or sees whether one still lives.

The time zone, the role, MySQL's version and mode, SQLite's PRAGMA, `SELECT 1` of `CONN_HEALTH_CHECKS`. And how many
there are, see `django_connections.py`.
"""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.instrumentation.databases.django_connections import DjangoConnections
from otel_kpi.instrumentation.databases.silence import in_silence

_METHODS: Final = ("connect", "close_if_health_check_failed", "close_if_unusable_or_obsolete")


class Instrumentor:
    """Wraps the methods of `BaseDatabaseWrapper` that do this."""

    is_instrumented_by_opentelemetry = False

    def __init__(self) -> None:
        self._methods = Methods()
        self._connections = DjangoConnections(Boundary("django_database"))

    def instrument(self, **_options: Any) -> None:
        """Have drivers keep silent meanwhile."""
        from django.db.backends.base.base import BaseDatabaseWrapper

        self._methods.wrap(BaseDatabaseWrapper, _METHODS, in_silence)
        self._connections.instrument()

    def uninstrument(self) -> None:
        """Unwrap them."""
        self._connections.uninstrument()
        self._methods.unwrap()
