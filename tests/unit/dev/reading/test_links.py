"""Links are followed in both directions: a span says who links to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.dev.asked import filled, span, spans
from support.dev.made import START_NS, attributes

from otel_kpi.dev.store.reading.traces import MOST_LINKING, StoredTraces, linking
from otel_kpi.dev.telemetry import Link

if TYPE_CHECKING:
    from pathlib import Path

    from otel_kpi.dev.telemetry import Span


def batch(name: str, *messages: Span) -> Span:
    made = span({}, name=name, start_ns=START_NS)
    made.links = [Link(each.trace_id, each.span_id, attributes({"why": "batch"})) for each in messages]
    return made


def test_who_links_to_a_span_is_found_from_it_the_newest_first(tmp_path: Path) -> None:
    message, other = span({}, name="send"), span({}, name="send")
    alike = span({}, name="send")
    alike.span_id = message.span_id  # in another trace
    sent = [
        message,
        other,
        alike,
        batch("first", message, other),
        batch("second", message),
        batch("third", alike),
    ]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        traces = StoredTraces(store)

        def found(wanted: Span) -> list[str]:
            shown = traces.trace(wanted.trace_id.hex())
            assert shown is not None
            return [each.name for each in linking(store.reader(), shown.spans[0])]

        assert found(message) == ["second", "first"]
        assert found(other) == ["first"]
        assert found(alike) == ["third"]
        assert found(sent[3]) == []


def test_of_very_many_that_link_the_newest_are_found(tmp_path: Path) -> None:
    message = span({}, name="send")
    sent = [batch(f"batch {number}", message) for number in range(MOST_LINKING + 20)]
    with filled(tmp_path / "dev.db", [spans(message, *sent)]) as store:
        shown = StoredTraces(store).trace(message.trace_id.hex())
        assert shown is not None
        found = linking(store.reader(), shown.spans[0])
    assert [each.name for each in found] == [each.name for each in reversed(sent[20:])]
