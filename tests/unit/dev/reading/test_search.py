"""A search finds what looking at each span finds, in the order of arrival, however it is asked and paged."""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from support.dev import samples
from support.dev.made import attributes, resource, together

from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.telemetry import Event, Group, Request, Scope, Span
from otel_kpi.dev.views import KINDS, STATUSES, TraceQuery

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from otel_kpi.dev.telemetry import Resource

Sent = list[tuple["Resource", str, Span]]
SECOND = 10**9


@pytest.fixture(scope="module")
def sent() -> Sent:
    """A day's spans, one in twenty of them long after the others of its trace."""
    spans: Sent = [
        (group.resource, group.scope.name, span)
        for request in samples.requests(900, seed=3)
        if request.signal == "traces"
        for group in request.groups
        for span in group.items
    ]
    draw = random.Random(1)
    late = [each for each in spans if draw.random() < 0.05]
    chosen = {id(each[2]) for each in late}
    return [each for each in spans if id(each[2]) not in chosen] + late


@pytest.fixture(scope="module")
def traces(sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> Generator[StoredTraces]:
    store = Store(tmp_path_factory.mktemp("store") / "dev.db", most_seconds=10**10)
    for first in range(0, len(sent), 100):
        store.write([together("traces", list(sent[first : first + 100]))])
    yield StoredTraces(store, seconds=20)
    store.close()


def has(pair: tuple[str, str], sender: Resource, scope: str, span: Span) -> bool:
    key, text = pair
    meant = {
        "error": "true" if span.status == 2 else "",
        "span.kind": KINDS[span.kind],
        "otel.scope.name": scope,
    }
    if meant.get(key) == text:
        return True
    held = [
        *span.attributes,
        *sender.attributes,
        *(each for event in span.events for each in event.attributes),
    ]
    return any(each.key == key and says(each.value, each.json, text) for each in held)


def says(value: Any, json: str, text: str) -> bool:
    listed = value if isinstance(value, list) else []
    return text in {value if isinstance(value, str) else json, *map(str, listed)}


def fits(query: TraceQuery, sender: Resource, scope: str, span: Span) -> bool:
    duration = span.end_ns - span.start_ns
    said = f"{span.name} {span.status_message} " + " ".join(
        each.json for each in (*span.attributes, *(e for event in span.events for e in event.attributes))
    )
    said += " ".join(event.name for event in span.events)
    return (
        query.service in {None, sender.service}
        and query.operation in {None, span.name}
        and query.status in {None, STATUSES[span.status]}
        and query.kind in {None, KINDS[span.kind]}
        and (query.min_duration_ns or 0) <= duration
        and (query.max_duration_ns is None or duration <= query.max_duration_ns)
        and (query.start_ns or 0) <= span.start_ns <= (query.end_ns or 2**63)
        and all(has(pair, sender, scope, span) for pair in query.attributes)
        and all(word.lower() in said.lower() for word in query.text.split())
    )


def expected(query: TraceQuery, sent: Sent) -> list[str]:
    """Ids of the traces, in the order in which the first span of each came, the newest first."""
    order: dict[bytes, None] = {}
    spans: dict[bytes, Sent] = defaultdict(list)
    for each in sent:
        order[each[2].trace_id] = None
        spans[each[2].trace_id].append(each)
    alone = not (query.service or query.operation or query.kind or query.attributes or query.text)
    found: list[str] = []
    for trace_id in order:
        if alone and (query.min_duration_ns or query.max_duration_ns):
            length = max(s.end_ns for *_, s in spans[trace_id]) - min(s.start_ns for *_, s in spans[trace_id])
            fitting = (query.min_duration_ns or 0) <= length <= (query.max_duration_ns or 2**63)
        else:
            fitting = any(fits(query, *each) for each in spans[trace_id])
        if fitting:
            found.append(trace_id.hex())
    return found[::-1]


MS = 10**6
QUESTIONS: list[dict[str, Any]] = [
    {},
    {"service": "orders"},
    {"service": "orders", "status": "error"},
    {"service": "nobody"},
    {"operation": "POST /checkout"},
    {"operation": "nothing"},
    {"service": "gateway", "operation": "POST /checkout", "min_duration_ns": 110 * MS},
    {"service": "gateway", "max_duration_ns": 12 * MS},
    {"min_duration_ns": 100 * MS},
    {"max_duration_ns": 10 * MS},
    {"status": "error"},
    {"status": "ok"},
    {"kind": "consumer"},
    {"kind": "client", "service": "catalogue"},
    {"kind": "unspecified"},
    {"attributes": (("http.request.method", "POST"),)},
    {"attributes": (("http.response.status_code", "200"), ("http.route", "/products"))},
    {"attributes": (("http.request.method", "GET"), ("db.system.name", "postgresql"))},
    {"attributes": (("service.name", "payments"),)},
    {"attributes": (("service.version", "2.4.1"), ("error", "true"))},
    {"attributes": (("span.kind", "producer"),)},
    {"attributes": (("otel.scope.name", "opentelemetry.instrumentation.httpx"),)},
    {"attributes": (("exception.type", "payments.CardDeclined"),)},
    {"attributes": (("kpi.etl.validation.errors", "missing_email=138"),)},
    {"attributes": (("nobody", "said"),)},
    {"attributes": (("http.request.method", "GE"),)},
    {"text": "checkout"},
    {"text": "select PRODUCT"},
    {"text": "order_item"},
    {"text": "checkou"},
    {"text": "declined", "service": "payments"},
    {"text": "xyzzy"},
    {"text": "select", "kind": "client", "min_duration_ns": 3 * MS},
]


@pytest.mark.parametrize("asked", QUESTIONS, ids=str)
def test_a_search_finds_what_looking_at_each_span_finds(
    asked: dict[str, Any], traces: StoredTraces, sent: Sent
) -> None:
    want = expected(TraceQuery(**asked), sent)
    found = traces.search(TraceQuery(**asked, limit=1_000))
    assert [each.trace_id for each in found.traces] == want
    assert not found.capped


@pytest.mark.proof
@pytest.mark.parametrize("asked", QUESTIONS, ids=str)
def test_pages_leave_nothing_out_and_repeat_nothing(
    asked: dict[str, Any], traces: StoredTraces, sent: Sent
) -> None:
    want = expected(TraceQuery(**asked), sent)
    listed: list[str] = []
    before: int | None = None
    while True:
        page = traces.search(TraceQuery(**asked, limit=11, before=before))
        listed += [each.trace_id for each in page.traces]
        if not page.more:
            break
        assert len(page.traces) == 11
        before = page.traces[-1].row
    assert listed == want


def test_times_are_those_of_the_spans_that_are_asked_for(traces: StoredTraces, sent: Sent) -> None:
    starts = sorted(span.start_ns for *_, span in sent)
    for low, high in ((300, 500), (0, 10), (890, 899)):
        questions: list[dict[str, Any]] = [
            {},
            {"service": "gateway"},
            {"kind": "client"},
            {"service": "catalogue", "text": "select"},
        ]
        for asked in questions:
            query = TraceQuery(**asked, start_ns=starts[low], end_ns=starts[high], limit=1_000)
            assert [each.trace_id for each in traces.search(query).traces] == expected(query, sent)


@pytest.mark.parametrize(
    "text",
    [
        "'",
        '"',
        '" OR "',
        "NEAR(a b)",
        "t:x",
        "*",
        "^a",
        "-",
        "( )",
        "zs1",
        "k*",
        "\0",
        "\ud800",
        "%",
        "_",
        "a" * 5_000,
    ],
)
def test_a_text_is_words_and_no_language(text: str, traces: StoredTraces) -> None:
    traces.search(TraceQuery(text=text))
    assert not traces.search(TraceQuery(attributes=((text, text),))).traces
    assert not traces.search(TraceQuery(service=text)).traces
    assert not traces.search(TraceQuery(operation=text)).traces


def test_words_are_found_without_their_accents_and_their_case(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db", most_seconds=10**10)
    span = Span(b"\1" * 16, b"\1" * 8, b"", "Bestellung", 1, 10**18, 10**18 + 1)
    span.attributes = attributes({"note": "Größe geändert", "city": "東京都"})
    span.events = [Event("angehängt", 10**18)]
    span.status, span.status_message = 2, "Überlauf"
    store.write([Request("traces", [Group(resource("laden"), Scope("s"), [span])])])
    traces = StoredTraces(store)
    for text in (
        "bestellung",
        "GROSSE geandert".replace("SS", "ß"),
        "größe",
        "Geandert",
        "東京",
        "angehangt",
        "überl",
        "uberlauf",
    ):
        assert len(traces.search(TraceQuery(text=text)).traces) == 1, text
    assert not traces.search(TraceQuery(text="大阪")).traces
    store.close()


def test_a_search_that_takes_too_long_answers_with_what_it_has(traces: StoredTraces) -> None:
    hurried = StoredTraces(traces._store, seconds=0.0)
    found = hurried.search(TraceQuery(attributes=(("otel.scope.version", "0.66b0"),), start_ns=1, end_ns=2))
    assert found.capped
    # The next question has its own time.
    assert traces.search(TraceQuery(service="gateway")).traces


def test_more_senders_than_a_statement_has_variables_are_found_by_what_they_share(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db")
    store.write(
        [
            together(
                "traces",
                [
                    (resource("shop", instance=number, zone="a"), "meter", _span(number))
                    for number in range(1, 6)
                ],
            )
        ]
    )
    store.reader().setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 8)
    found = StoredTraces(store).search(TraceQuery(attributes=(("zone", "a"), ("instance", "3"))))
    assert [each.trace_id for each in found.traces] == [_span(3).trace_id.hex()]
    store.close()


def _span(number: int) -> Span:
    return Span(bytes([number] * 16), bytes([number] * 8), b"", "work", 1, SECOND, 2 * SECOND)
