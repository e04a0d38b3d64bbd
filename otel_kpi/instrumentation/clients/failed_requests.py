"""Requests that have no answer, on the span and in `http.client.request.duration`.

Upstream's httpx raises before it measures such a request, and its urllib3 knows nothing of errors at all: a service
that is away would be seen by nobody who looks at metrics. requests and aiohttp are measured as they should be.
"""

from __future__ import annotations

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary


def of_httpx() -> None:
    """Have upstream's instrumentor of httpx and httpx2 measure them; called before it instruments."""
    _compat.record_failures_of_httpx(Boundary("httpx").failed)


def of_urllib3() -> None:
    """Have upstream's instrumentor of urllib3 do so, with `error.type` on the span."""
    _compat.record_failures_of_urllib3(Boundary("urllib3").failed)
