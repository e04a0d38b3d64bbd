"""Spans as a tree that a person reads when a test has failed."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otel_kpi.dev.views import SpanView

MOST_LINES: Final = 40
_SHOWN: Final = (
    "http.response.status_code",
    "db.query.text",
    "gen_ai.usage.cost.amount",
    "gen_ai.usage.cost.currency",
    "error.type",
    "kpi.etl.result",
)
_LONGEST: Final = 90


def line(span: SpanView) -> str:
    """A span: name, service, duration, status, and what else says most."""
    said = [span.name, f"[{span.service}]", f"{span.duration_ns / 1e6:.3g} ms"]
    if span.status != "unset":
        said.append(f"{span.status}: {span.status_message}" if span.status_message else span.status)
    for key in _SHOWN:
        if key in span.attributes:
            value = str(span.attributes[key])
            said.append(f"{key}={value if len(value) <= _LONGEST else value[:_LONGEST] + '…'}")
    return " ".join(said)


def tree(spans: Sequence[SpanView], marked: Iterable[SpanView] = ()) -> str:
    """All spans below of their parents; those that are marked have a `>`."""
    marks = {(span.trace_id, span.span_id) for span in marked}
    known = {span.span_id for span in spans}
    below: dict[str, list[SpanView]] = defaultdict(list)
    for span in sorted(spans, key=lambda each: each.start_ns):
        below[span.parent_id if span.parent_id in known and span.parent_id != span.span_id else ""].append(
            span
        )
    lines: list[str] = []
    for depth, span in _walk(below, "", 0, set()):
        if len(lines) == MOST_LINES:
            lines.append(f"  … {len(spans) - MOST_LINES} more spans")
            break
        mark = ">" if (span.trace_id, span.span_id) in marks else " "
        lines.append(f"{mark} {'  ' * depth}{line(span)}")
    return "\n".join(lines) if lines else "  no spans"


def _walk(
    below: Mapping[str, list[SpanView]], parent: str, depth: int, seen: set[str]
) -> Iterator[tuple[int, SpanView]]:
    stack = [(depth, span) for span in reversed(below.get(parent, ()))]
    while stack:
        level, span = stack.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        yield level, span
        stack += [(level + 1, child) for child in reversed(below.get(span.span_id, ()))]
