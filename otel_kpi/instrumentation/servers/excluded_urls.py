"""Paths that are not traced unless the user says otherwise: health probes and metric scrapes, with their children.

Upstream passes over such a request, and what it does makes roots (open-telemetry/opentelemetry-python-contrib#2140).
Here it runs under a parent that is not sampled: nothing under it is recorded, other services are told so, and its
log records go out without a trace. It does not count in `http.server.request.duration`, as with upstream.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

if TYPE_CHECKING:
    from opentelemetry.context import Context

DEFAULT: Final = (
    r"^\w+://[^/]*/(?:(?:-/)?(?:health(?:[_-]?check|z|y)?|livez|readyz|liveness|readiness|metrics)(?:/|$|\?)"
    r"|api/(?:health(?:/(?:live|ready))?|metrics/summary)/?(?:$|\?))"
)
"""One regular expression over the whole URL, without a comma, which would part it in two.

It holds at the root of the host only: `/articles/health` is an article.
"""

_KEY: Final = context.create_key("otel_kpi.excluded")
_endpoints: tuple[str, ...] = ()


def excluded_urls(instrumentation: str) -> str | None:
    """Give upstream's `excluded_urls` argument of an instrumentation.

    Args:
        instrumentation: Its name in `OTEL_PYTHON_<NAME>_EXCLUDED_URLS`, for example `"FASTAPI"`.

    Returns:
        Our default, or `None` when the user set a list, even an empty one: upstream reads it then.
    """
    names = (f"OTEL_PYTHON_{instrumentation}_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS")
    return None if any(name in os.environ for name in names) else DEFAULT


def exclude_list(instrumentation: str) -> Any:
    """Give the list that is in force for an instrumentation; `.url_disabled(url)` asks it."""
    from opentelemetry.util.http import get_excluded_urls, parse_excluded_urls

    default = excluded_urls(instrumentation)
    return get_excluded_urls(instrumentation) if default is None else parse_excluded_urls(default)


def exclude_endpoint(path: str) -> None:
    """Have requests leave no trace that end in an endpoint of ours, which was put on this path somewhere.

    Whatever list is in force: metrics that measure their own collection, and probes, tell of no user.
    """
    global _endpoints
    if path not in _endpoints:
        _endpoints = (*_endpoints, path)


def may_be_endpoint(path: str) -> bool:
    """Say whether a path may lead to an endpoint of ours: one that is mounted has its mount in front."""
    return path.endswith(_endpoints)


def is_endpoint(view: object) -> bool:
    """Say whether what answers a request is an endpoint of ours."""
    return hasattr(view, "otel_kpi_endpoint")


def excluded_context(incoming: Context | None = None) -> Context:
    """Give the context in which a request is answered that leaves no trace.

    Args:
        incoming: What came with the request; its trace goes on, not sampled, and its baggage as it is.
    """
    parent = trace.get_current_span(incoming or context.Context()).get_span_context()
    if not parent.is_valid:
        parent = trace.SpanContext(random.getrandbits(128) or 1, random.getrandbits(64) or 1, is_remote=True)
    unsampled = trace.SpanContext(
        parent.trace_id, parent.span_id, is_remote=True, trace_state=parent.trace_state
    )
    excluded = trace.set_span_in_context(trace.NonRecordingSpan(unsampled), incoming or context.Context())
    return context.set_value(_KEY, value=True, context=excluded)


def is_excluded(where: Context | None = None) -> bool:
    """Say whether an excluded request is being answered, here or in a context."""
    return context.get_value(_KEY, where) is True
