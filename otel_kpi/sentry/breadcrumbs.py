"""What a request called before it failed: a breadcrumb for each ended client span.

The spans are there anyway. Sentry's own way is to wrap every HTTP connection and every cursor once more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi.sentry.links import CRUMB_SPAN, CRUMB_TRACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

KEPT = 50
"""Breadcrumbs of a request, those of spans, log records and the application's own together."""

_LENGTH = 1024
_KINDS = frozenset((SpanKind.CLIENT, SpanKind.PRODUCER))
_NANOSECONDS = 1_000_000_000

# Attributes that tell where a call went and what came of it; both generations of names.
_HTTP = (
    ("http.request.method", "method"),
    ("http.method", "method"),
    ("url.full", "url"),
    ("http.url", "url"),
    ("http.response.status_code", "status_code"),
    ("http.status_code", "status_code"),
)
_OTHER = (
    "db.system.name", "db.system", "db.namespace", "db.name", "server.address", "rpc.system", "rpc.method",
    "messaging.system", "messaging.destination.name", "error.type",
)  # fmt: skip
_STATEMENT = ("db.query.text", "db.statement")


class SpanBreadcrumbs(SpanProcessor):
    """Leaves a breadcrumb when a client span or a publication ends.

    What it says is written when an error needs it: most requests have none.

    Args:
        add: Takes the breadcrumb; called in the context in which the span ended, that of the request.
    """

    def __init__(self, add: Callable[[dict[str, Any]], None]) -> None:
        self._add = add

    def on_end(self, span: ReadableSpan) -> None:
        """Leave a breadcrumb; a failure of it is a breadcrumb less."""
        context = span.context
        if span.kind not in _KINDS or context is None:
            return
        try:
            ended = datetime.fromtimestamp((span.end_time or 0) / _NANOSECONDS, UTC)
            self._add({"timestamp": ended, CRUMB_TRACE: context.trace_id, CRUMB_SPAN: span})
        except Exception:
            return


def written(crumb: dict[str, Any]) -> dict[str, Any]:
    """A breadcrumb that may still be a span, as it is sent."""
    span = crumb.get(CRUMB_SPAN)
    return crumb if span is None else {"timestamp": crumb["timestamp"], **breadcrumb(span)}


def breadcrumb(span: ReadableSpan) -> dict[str, Any]:
    """A client span as a breadcrumb (https://develop.sentry.dev/sdk/data-model/event-payloads/breadcrumbs/)."""
    attributes = span.attributes or {}
    end = span.end_time or 0
    failed = span.status.status_code is StatusCode.ERROR
    crumb: dict[str, Any] = {"level": "error" if failed else "info"}
    data: dict[str, Any] = {"duration_ms": round((end - (span.start_time or end)) / 1_000_000, 3)}
    statement = next((attributes[name] for name in _STATEMENT if name in attributes), None)
    if "http.request.method" in attributes or "http.method" in attributes:
        crumb["type"] = crumb["category"] = "http"
        data.update({name: attributes[key] for key, name in _HTTP if key in attributes})
    elif statement is not None:
        crumb["category"] = crumb["type"] = "query"
        crumb["message"] = str(statement)[:_LENGTH]
    else:
        crumb["category"] = "queue" if span.kind is SpanKind.PRODUCER else "client"
        crumb["message"] = span.name[:_LENGTH]
    data.update({name: attributes[name] for name in _OTHER if name in attributes})
    crumb["data"] = data
    return crumb
