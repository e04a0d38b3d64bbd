"""Conventions of spans and of events, which are log records with a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from otel_kpi.model.attribute import Attribute

SpanKind = Literal["internal", "server", "client", "producer", "consumer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A kind of span.

    Attributes:
        id: Identifies the convention, `kpi.etl.run`.
        name: How its name is made, `run {kpi.etl.pipeline.name}`.
        kind: OpenTelemetry's span kind.
        brief: One sentence: what it stands for, from when to when.
        attributes: What it may carry; they need no budget.
        source: The requirement, or the convention that it follows.
        systems: The documents that ask for it.
    """

    id: str
    name: str
    kind: SpanKind
    brief: str
    attributes: tuple[Attribute, ...] = ()
    source: str = ""
    systems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A log record with an event name.

    Attributes:
        name: `event_name` of the record, `kpi.etl.run.start`.
        brief: One sentence: when it is written.
        attributes: What it may carry; they need no budget.
        source: The requirement, or the convention that it follows.
        systems: The documents that ask for it.
    """

    name: str
    brief: str
    attributes: tuple[Attribute, ...] = ()
    source: str = ""
    systems: tuple[str, ...] = ()
