"""The pieces of which samples are made: attributes, resources, and traces under construction."""

from __future__ import annotations

import random  # noqa: TC003 - the drawn numbers are what makes a sample
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.telemetry import (
    Attribute,
    Attributes,
    Event,
    Group,
    Link,
    LogRecord,
    Request,
    Resource,
    Scope,
    Span,
)
from otel_kpi.dev.wire.values import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.dev.telemetry import Signal, Value

START_NS: Final = 1_795_248_000_000_000_000
"""2026-11-21T08:00:00Z."""
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5


@lru_cache(20_000)
def _known(key: str, value: str | int | bool) -> Attribute:  # noqa: FBT001 - a value of an attribute
    return attribute(key, value)


def attributes(values: Mapping[str, Value]) -> Attributes:
    """Attributes of a mapping; a value of None leaves its key out."""
    return tuple(
        _known(key, value)
        if isinstance(value, (str, bool)) and len(str(value)) < 80
        else attribute(key, value)
        for key, value in values.items()
        if value is not None
    )


def resource(service: str, **more: Value) -> Resource:
    return Resource(
        attributes(
            {
                "service.name": service,
                "service.version": "2.4.1",
                "service.instance.id": f"{service}-7c9f",
                "deployment.environment.name": "dev",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.version": "1.45.0",
                "host.name": "laptop",
                "process.pid": 4_000 + sum(service.encode()) % 1_000,
                **more,
            }
        ),
        schema_url="https://opentelemetry.io/schemas/1.37.0",
        service=service,
    )


@dataclass
class Made:
    """A trace under construction: spans and log records with who sends them."""

    draw: random.Random
    trace_id: bytes
    spans: list[tuple[str, str, Span]] = field(default_factory=list[tuple[str, str, Span]])
    logs: list[tuple[str, str, LogRecord]] = field(default_factory=list[tuple[str, str, LogRecord]])

    def span(  # noqa: PLR0913, PLR0917 - what a span is
        self,
        service: str,
        scope: str,
        name: str,
        kind: int,
        parent: Span | None,
        start_ns: int,
        duration_ns: int,
        values: Mapping[str, Value] | None = None,
    ) -> Span:
        made = Span(
            self.trace_id,
            self.draw.randbytes(8),
            parent.span_id if parent else b"",
            name,
            kind,
            start_ns,
            start_ns + duration_ns,
            attributes(values or {}),
            flags=0x101,
        )
        self.spans.append((service, scope, made))
        return made

    def log(  # noqa: PLR0913, PLR0917 - what a record is
        self,
        service: str,
        span: Span,
        time_ns: int,
        severity: int,
        body: str,
        values: Mapping[str, Value] | None = None,
    ) -> None:
        text = {5: "DEBUG", 9: "INFO", 13: "WARN", 17: "ERROR", 21: "FATAL"}[severity]
        self.logs.append(
            (
                service,
                f"{service}.app",
                LogRecord(
                    time_ns,
                    time_ns + 20_000,
                    severity,
                    text,
                    attribute("", body),
                    attributes(values or {}),
                    self.trace_id,
                    span.span_id,
                    flags=1,
                ),
            )
        )

    def fail(self, span: Span, kind: str, message: str, frames: str) -> None:
        """An exception leaves the span."""
        span.status, span.status_message = 2, f"{kind}: {message}"
        span.attributes = (*span.attributes, attribute("error.type", kind))
        span.events.append(
            Event(
                "exception",
                span.end_ns - 50_000,
                attributes(
                    {
                        "exception.type": kind,
                        "exception.message": message,
                        "exception.stacktrace": f"Traceback (most recent call last):\n{frames}{kind}: {message}\n",
                        "exception.escaped": "False",
                    }
                ),
            )
        )


def link(span: Span) -> Link:
    return Link(span.trace_id, span.span_id, attributes({"messaging.operation.name": "publish"}), flags=0x301)


def together(signal: Signal, sent: list[tuple[Resource, str, Any]]) -> Request[Any]:
    """A request of what was sent, grouped by resource and scope."""
    groups: dict[tuple[int, str], Group[Any]] = {}
    for sender, scope, item in sent:
        group = groups.get((id(sender), scope))
        if group is None:
            group = groups[id(sender), scope] = Group(sender, Scope(scope, "0.66b0"), [])
        group.items.append(item)
    return Request(signal, list(groups.values()))
