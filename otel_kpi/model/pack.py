"""A pack: everything that one domain measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_kpi.model.derivation import Derivation
    from otel_kpi.model.instrument import Instrument
    from otel_kpi.model.span import Event, Span


@dataclass(frozen=True, slots=True)
class Renamed:
    """A name that was given up: rules and dashboards elsewhere may still use it.

    Attributes:
        old: The instrument's former name.
        new: What it is called now; empty when it has no successor.
        version: The release since which this is so.
        reason: Why, in one sentence.
    """

    old: str
    new: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """What a domain measures.

    Attributes:
        name: The folder's and the page's, `etl`.
        title: For people, `ETL pipelines`.
        brief: One or two sentences: what one sees with it.
        instruments: In the order of the page.
        spans: Its span conventions.
        events: Its log events.
        derivations: Series that follow from measurements of others.
        renamed: Names that were given up.
    """

    name: str
    title: str
    brief: str
    instruments: tuple[Instrument, ...]
    spans: tuple[Span, ...] = ()
    events: tuple[Event, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    renamed: tuple[Renamed, ...] = ()
