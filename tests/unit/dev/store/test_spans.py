"""What is kept up with the rows of spans, whatever the order in which they come."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest
from support.dev import hostile, samples
from support.dev.made import attributes
from support.dev.said import NOW, START, TRACE, calls, found, of, rows, span

from otel_kpi.dev.store import Store, terms, traces
from otel_kpi.dev.telemetry import Event, Link, MalformedError, Span

if TYPE_CHECKING:
    from pathlib import Path


def trace(store: Store) -> dict[str, object]:
    reader = store.reader()
    cursor = reader.execute(
        "SELECT start_ns, end_ns, (SELECT s FROM str WHERE id = root_name) AS root_name, (SELECT name FROM service "
        "WHERE id = root_service) AS root_service, spans, errors, llm_calls, statements FROM trace"
    )
    (row,) = cursor.fetchall()
    return dict(zip((each[0] for each in cursor.description), row, strict=True))


def three() -> list[tuple[str, Span]]:
    return [
        ("shop", span("root", name="GET /", ms=100)),
        ("shop", span("client", "root", name="pay", kind=3, start=START + 1_000_000, ms=80)),
        (
            "bank",
            span("server", "client", name="POST /pay", kind=2, start=START + 2_000_000, ms=70, status=2),
        ),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("together", [True, False])
def test_a_trace_is_the_same_in_whatever_order_its_spans_come(
    store: Store,
    order: tuple[int, ...],
    together: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    sent = [of(*three()[number]) for number in order]
    if together:
        store.write(sent)
    else:
        for request in sent:
            store.write([request])
    assert trace(store) == {
        "start_ns": START, "end_ns": START + 100_000_000, "root_name": "GET /", "root_service": "shop", "spans": 3,
        "errors": 1, "llm_calls": 0, "statements": 0,
    }  # fmt: skip
    assert calls(store) == [("shop", "bank", 1, 1)]
    assert rows(
        store,
        "SELECT name, spans, errors FROM trace_service JOIN service ON service.id = service ORDER BY name",
    ) == [("bank", 1, 1), ("shop", 2, 0)]


@pytest.mark.parametrize("again", ["restarted", "evicted"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (2, 0, 1)])
def test_a_trace_goes_on_after_a_restart_and_after_it_was_long_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[int, ...], again: str
) -> None:
    path = tmp_path / "dev.db"
    store = Store(path, now=lambda: NOW)
    if again == "evicted":
        monkeypatch.setattr(traces, "MOST_TRACES", 0)
    for number in order:
        store.write([of(*three()[number])])
        if again == "restarted":
            store.close()
            store = Store(path, now=lambda: NOW)
    store.write([of(*three()[order[0]])])  # sent again
    assert (trace(store)["spans"], trace(store)["root_name"]) == (3, "GET /")
    assert calls(store) == [("shop", "bank", 1, 1)]
    store.close()


def test_what_is_sent_twice_is_kept_once_and_counted(store: Store) -> None:
    request = of("shop", span("a"), span("b", "a"))
    store.write([request])
    committed = store.write([request, of("shop", span("c", "a"))])
    assert committed.spans == 1
    assert rows(store, "SELECT spans FROM trace") == [(3,)]
    assert rows(store, "SELECT outcome, items FROM intake WHERE signal = 'traces' ORDER BY 1") == [
        ("accepted", 3),
        ("duplicate", 2),
    ]


def test_two_spans_with_one_id_are_both_kept(store: Store) -> None:
    store.write([of("shop", span("a", ms=1)), of("shop", span("a", ms=2)), of("bank", span("a", ms=1))])
    assert rows(store, "SELECT count(*) FROM span") == [(3,)]


def test_the_root_is_not_known_before_it_comes_and_the_earliest_of_several(store: Store) -> None:
    store.write([of("shop", span("late", "lost"))])
    assert rows(store, "SELECT root_name, root_service FROM trace") == [(None, None)]
    store.write([of("shop", span("second", name="second", start=START + 5))])
    store.write([of("shop", span("first", name="first", start=START + 1))])
    store.write([of("shop", span("third", name="third", start=START + 9))])
    assert trace(store)["root_name"] == "first"


def test_everything_of_a_span_is_kept(store: Store) -> None:
    sent = span(
        "all", "parent", kind=3, status=2, status_message="boom", values={"a": 1, "b": ["x", 2.5], "c": {"d": None}},
        trace_state="v=1", flags=0x301, dropped=(1, 2, 3), events=[Event("hit", START + 1, attributes({"k": "v"}))],
        links=[Link(b"l" * 16, b"m" * 8, attributes({"why": "batch"}), "s=2")],
    )  # fmt: skip
    store.write([of("shop", sent)])
    (row,) = rows(
        store,
        "SELECT span_id, parent_id, kind, status, status_message, start_ns, dur_ns, keys, attrs, events, links, extra "
        "FROM span JOIN shape ON shape.id = shape",
    )
    assert row[:7] == (b"all.....", b"parent..", 3, 2, "boom", START, 10_000_000)
    keys, values, events, links, extra = map(json.loads, row[7:])
    assert dict(zip(keys, values, strict=True)) == {"a": 1, "b": ["x", 2.5], "c": {"d": None}}
    assert events == [["hit", START + 1, {"k": "v"}]]
    assert links == [[(b"l" * 16).hex(), (b"m" * 8).hex(), {"why": "batch"}, "s=2"]]
    assert extra == {"trace_state": "v=1", "flags": 0x301, "dropped": [1, 2, 3]}


def test_a_span_is_found_by_all_that_it_says(store: Store) -> None:
    store.write([
        of("shop", span("one", values={"user.id": "u1", "http.status": 404}, name="GET /carts/{id}", status=2,
                        status_message="Überraschung", events=[Event("cache miss", START, attributes({"key": "k9"}))])),
        of("shop", span("two", values={"user.id": "u2"}, ms=4_000)),
    ])  # fmt: skip
    for term in ("carts", "uberraschung", "miss", terms.attribute_term("key", "k9"), terms.status_term(2)):
        assert found(store, term) == [1], term
    assert found(store, terms.attribute_term("user.id", "u1")) == [1]
    assert found(store, terms.attribute_term("http.status", "404")) == [1]
    assert found(store, terms.query_of("überrasch")) == [1]
    assert found(store, terms.query_of("cache m")) == [1]
    assert found(store, terms.service_term(1)) == [1, 2]
    assert found(store, terms.duration_terms(2 * 10**9, None)) == [2]
    assert found(store, terms.duration_terms(None, 10**9)) == [1]


def test_services_have_colours_of_their_own(store: Store) -> None:
    for number in range(20):
        store.write([of(f"service-{number}", span(f"s{number}"))])
    colours = [row[0] for row in rows(store, "SELECT colour FROM service")]
    assert sorted(colours) == list(range(20))


def test_a_new_service_does_not_cost_a_look_at_all_the_others(store: Store) -> None:
    asked: list[str] = []
    store._connection.set_trace_callback(asked.append)
    store.write([of(f"service-{number}", span(f"s{number}")) for number in range(200)])
    store._connection.set_trace_callback(None)
    assert sum("FROM service GROUP BY" in each for each in asked) == 1
    assert {row[0] for row in rows(store, "SELECT count(*) FROM service GROUP BY colour")} == {10}


def test_what_came_late_or_was_timed_by_another_clock_is_counted(store: Store) -> None:
    second = 10**9
    store.write([
        of("shop", span("late", start=START - 90 * second), span("on", start=START), span("soon", start=START + 60 * second)),
    ])  # fmt: skip
    counted = dict(rows(store, "SELECT outcome, items FROM intake"))
    assert counted == {"accepted": 3, "late": 1, "future": 1}


def test_a_span_that_ends_before_it_starts_has_no_duration_and_says_so(store: Store) -> None:
    store.write([of("shop", span("a", ms=-5))])
    assert rows(store, "SELECT dur_ns, extra FROM span") == [
        (0, json.dumps({"end_ns": START - 5_000_000}).replace(" ", ""))
    ]


def test_hostile_spans_are_written_or_refused_and_leave_the_store_whole(store: Store) -> None:
    requests = [
        hostile.cycle(), hostile.duplicates(), hostile.orphans(), hostile.skewed(), hostile.large(200_000), hostile.bad_ids(),
        *itertools.islice(hostile.everywhere(), 40),
    ]  # fmt: skip
    for request in requests:
        store.write([request])
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]
    assert rows(store, "SELECT sum(spans) FROM trace") == rows(store, "SELECT count(*) FROM span")


def test_what_cannot_be_written_takes_back_all_of_it_and_the_next_is_written(store: Store) -> None:
    store.write([of("shop", span("a"))])
    broken = span("b", "a")
    broken.kind = "client"  # type: ignore[assignment] - a mistake of a decoder
    broken.start_ns = None  # type: ignore[assignment] - the same
    with pytest.raises(MalformedError):
        store.write([of("new", span("c", "a")), of("shop", broken)])
    assert rows(store, "SELECT name FROM service") == [("shop",)]
    store.write([of("new", span("c", "a"))])
    assert rows(store, "SELECT id, spans FROM trace") == [(1, 2)]
    assert calls(store) == [("shop", "new", 1, 0)]
    assert rows(store, "SELECT items FROM intake WHERE outcome = 'accepted' ORDER BY service") == [(1,), (1,)]


def test_a_long_trace_is_bounded_in_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_SPANS_OF_ONE", 100)
    for request in hostile.long_trace(3_000, per_request=500):
        store.write([request])
    assert rows(store, "SELECT spans FROM trace") == [(3_000,)]
    (known,) = store._writer._traces._known.values()
    assert len(known.spans_by_id) <= 100


def test_a_day_is_kept_as_it_was_sent(store: Store) -> None:
    sent = list(samples.requests(1_500, seed=3))
    spans = [
        each
        for request in sent
        if request.signal == "traces"
        for group in request.groups
        for each in group.items
    ]
    store.write(sent)
    ids = {each.trace_id for each in spans}
    assert rows(store, "SELECT count(*), sum(spans), sum(errors) FROM trace") == [
        (len(ids), len(spans), sum(each.status == 2 for each in spans))
    ]
    expected: dict[tuple[str, str], int] = {}
    by_id = {
        (each.trace_id, each.span_id): group.resource.service
        for request in sent if request.signal == "traces" for group in request.groups for each in group.items
    }  # fmt: skip
    for each in spans:
        pair = by_id.get((each.trace_id, each.parent_id)), by_id[each.trace_id, each.span_id]
        if pair[0] is not None and pair[0] != pair[1]:
            expected[pair[0], pair[1]] = expected.get((pair[0], pair[1]), 0) + 1
    assert {(row[0], row[1]): row[2] for row in calls(store)} == expected
    assert rows(store, "SELECT trace_id FROM trace LIMIT 1")[0][0] in ids
    assert TRACE not in ids


def test_ids_that_services_share_take_room_in_memory_once(store: Store) -> None:
    for number in range(5):
        store.write([of(f"shop{number}", *(span(f"{each}") for each in range(100)))])
    known = store._writer._traces
    assert known._ids == sum(len(each.spans_by_id) for each in known._known.values()) == 100
