"""What a run is linked to: earlier attempts, the messages that it was made of, whoever asked for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext

from otel_kpi.packs.etl.carrier import VARIABLES, context_of
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST: Final = 127
"""An SDK keeps 128 and drops the first of more."""


class Links(NamedTuple):
    """What a span is linked to.

    Attributes:
        links: At most 127.
        omitted: How many more there were.
    """

    links: tuple[Link, ...]
    omitted: int = 0


def span_contexts(sources: Any) -> Iterator[SpanContext]:
    """The span contexts in what says where something came from.

    Args:
        sources: One or several, in any iterable: carriers as `etl.carrier()` gives them, values of `traceparent`,
            spans, span contexts, links. What is none of these, or empty, is left out.
    """
    if sources is None:
        return
    one = isinstance(sources, str | bytes | Mapping | Span | SpanContext | Link) or hasattr(sources, "span")
    given: Iterable[Any] = (sources,) if one else cast("Iterable[Any]", sources)
    for source in given:
        found = _span_context(source)
        if found is not None and found.is_valid:
            yield found


def _span_context(source: Any) -> SpanContext | None:
    if isinstance(source, SpanContext):
        return source
    if isinstance(source, Link):
        return source.context
    if isinstance(source, Span):
        return source.get_span_context()
    if isinstance(getattr(source, "span", None), Span):
        return source.span.get_span_context()  # a run or a stage
    return context_of(source)


def linked(sources: Any) -> Links:
    """Links to what something came from, each once. Never raises."""
    found: dict[tuple[int, int], Link] = {}
    seen: set[tuple[int, int]] = set()
    omitted = 0
    try:
        for each in span_contexts(sources):
            key = (each.trace_id, each.span_id)
            if key in seen:
                continue
            if len(found) < MOST:
                seen.add(key)
                found[key] = Link(each)
            else:
                omitted += 1  # not remembered: what comes twice beyond the 127 counts twice
    except Exception as error:
        failed("the links of a run", error)
    return Links(tuple(found.values()), omitted)


def from_environment() -> SpanContext | None:
    """The span of whoever started this process, by `TRACEPARENT` and `TRACESTATE`."""
    carrier = {name.lower(): os.environ[name] for name in VARIABLES if name in os.environ}
    return context_of(carrier) if carrier else None


def inbound() -> SpanContext | None:
    """Whoever asked for what begins now: the current span, else whoever started this process."""
    current = trace.get_current_span().get_span_context()
    return current if current.is_valid else from_environment()
