"""What is too old or too much is forgotten, all of it, and what is left stays whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.dev import hostile, samples
from support.dev.said import NOW, START, exception, found, of, record, rows, span

from otel_kpi.dev.store import Store, retention, terms, words
from otel_kpi.dev.telemetry import Group, Metric, Point, Request, Resource, Scope

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_TABLES = (
    "trace", "trace_service", "span", "llm_call", "pipeline_run", "stage", "problem", "occurrence", "problem_minute", "log", "point",
    "series", "metric", "intake", "call", "words",
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Generator[Store]:
    monkeypatch.setattr(words, "SEGMENT", 500)
    opened = Store(None, most_seconds=3_600, most_bytes=2**40, now=clock)
    yield opened
    opened.close()


def tidy(store: Store) -> None:
    for _ in range(10_000):
        if not store.tidy():
            return
    raise AssertionError("it never ends")


def left(store: Store) -> dict[str, int]:
    counts = {table: rows(store, f"SELECT count(*) FROM {table}")[0][0] for table in _TABLES}
    return {table: count for table, count in counts.items() if count}


def whole(store: Store) -> None:
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]
    assert rows(store, "SELECT count(*) FROM span WHERE trace NOT IN (SELECT id FROM trace)") == [(0,)]
    assert rows(store, "SELECT count(*) FROM trace_service WHERE trace NOT IN (SELECT id FROM trace)") == [
        (0,)
    ]
    assert (
        rows(store, "SELECT id FROM trace WHERE spans <> (SELECT count(*) FROM span WHERE trace = trace.id)")
        == []
    )
    for table in ("llm_call", "pipeline_run", "stage", "occurrence"):
        gone = f"SELECT count(*) FROM {table} WHERE span NOT IN (SELECT id FROM span)"
        assert rows(store, gone) == [(0,)], table


def test_what_is_too_old_is_gone_without_a_trace(store: Store, clock: Clock) -> None:
    store.write(list(samples.requests(1_500)))
    clock.now += 3_000
    tidy(store)
    assert left(store)["span"] == 1_500
    clock.now += 1_000
    tidy(store)
    assert left(store) == {}


def test_errors_of_a_clock_that_was_wrong_are_gone_with_what_they_were_seen_in(
    store: Store, clock: Clock
) -> None:
    store.write([of("shop", span("past", start=1, events=[exception()]))])
    assert left(store)["problem_minute"] == 1
    clock.now += 9_000
    tidy(store)
    assert left(store) == {}


def test_what_is_new_stays(store: Store, clock: Clock) -> None:
    store.write(
        [
            of("shop", span("old", trace=b"o" * 16, events=[exception()])),
            of("shop", record("old"), signal="logs"),
        ]
    )
    clock.now += 3_000
    store.write([of("shop", span("new", trace=b"n" * 16)), of("shop", record("new"), signal="logs")])
    clock.now += 1_000
    tidy(store)
    assert rows(store, "SELECT trace_id FROM trace") == [(b"n" * 16,)]
    assert rows(store, "SELECT body FROM log") == [('"new"',)]
    whole(store)


def test_age_is_when_it_came_not_what_a_clock_said(store: Store, clock: Clock) -> None:
    store.write(
        [of("shop", span("past", trace=b"p" * 16, start=1), span("future", trace=b"f" * 16, start=2**62))]
    )
    clock.now += 3_000
    tidy(store)
    assert rows(store, "SELECT count(*) FROM trace") == [(2,)]
    clock.now += 1_000
    tidy(store)
    assert left(store) == {}


def test_an_id_is_never_given_again(store: Store, clock: Clock) -> None:
    store.write([of("shop", span("old", name="before")), of("shop", record("before"), signal="logs")])
    clock.now += 9_000
    tidy(store)
    assert found(store, "before") == []
    store.write([of("shop", span("new", name="after")), of("shop", record("after"), signal="logs")])
    assert rows(store, "SELECT id FROM span") == [(2,)]
    assert rows(store, "SELECT id FROM log") == [(2,)]
    assert found(store, "after") == [2]
    assert found(store, terms.query_of("after"), "logs") == [2]


def test_nor_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    for number in range(1, 4):
        store = Store(tmp_path / "dev.db", most_seconds=3_600, now=clock)
        store.write([of("shop", span("a", trace=b"%016d" % number))])
        assert rows(store, "SELECT id FROM span") == [(number,)]
        clock.now += 9_000
        tidy(store)
        assert rows(store, "SELECT count(*) FROM span") == [(0,)]
        store.close()


def test_a_file_stays_below_its_size_with_the_newest_in_it(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "dev.db", most_bytes=900_000, now=clock)
    sent = list(samples.requests(3_000, per_request=128))
    for number in range(0, len(sent), 5):
        store.write(sent[number : number + 5])
        clock.now += 10
        tidy(store)
    tidy(store)
    assert store._retention.used_bytes() <= 900_000
    assert store.path.stat().st_size < 1_800_000
    whole(store)
    kept = rows(store, "SELECT min(id), max(id), count(*) FROM span")[0]
    assert kept[1] == 3_000
    assert kept[2] > 500
    assert kept[0] > 1
    assert rows(store, "SELECT count(*) FROM point")[0][0] > 0
    assert rows(store, "SELECT min(first) FROM words WHERE signal = 'traces'")[0][0] <= kept[0]
    store.close()


def test_pages_are_given_back_to_the_disk(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PAGES", 30)
    store.write(list(samples.requests(1_000)))
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = store.path.stat().st_size
    clock.now += 9_000
    tidy(store)
    assert store.path.stat().st_size < before * 0.7
    assert store._connection.execute("PRAGMA freelist_count").fetchone()[0] <= retention.PAGES


def test_a_trace_of_very_many_spans_goes_in_pieces(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 200)
    for request in hostile.long_trace(1_500, per_request=500):
        store.write([request])
    clock.now += 9_000
    assert store.tidy()
    assert 0 < rows(store, "SELECT count(*) FROM span")[0][0] < 1_500
    # A span that comes meanwhile.
    trace_id = rows(store, "SELECT trace_id FROM trace")[0][0]
    store.write([of("shop", span("late", trace=trace_id))])
    tidy(store)
    assert rows(store, "SELECT count(*) FROM span WHERE trace NOT IN (SELECT id FROM trace)") == [(0,)]
    store.write([of("shop", span("later", trace=trace_id))])
    assert rows(store, "SELECT spans FROM trace WHERE trace_id = ?", trace_id)[0][0] >= 1
    assert rows(store, "SELECT count(*) FROM span WHERE trace NOT IN (SELECT id FROM trace)") == [(0,)]


def test_a_problem_that_still_occurs_is_remembered_with_all_its_times(store: Store, clock: Clock) -> None:
    for number in range(3):
        store.write([of("shop", span("a", trace=b"%016d" % number, start=int(clock.now) * 10**9,
                                     events=[exception(time_ns=int(clock.now) * 10**9)]))])  # fmt: skip
        clock.now += 2_500
    tidy(store)
    assert rows(store, "SELECT times, (SELECT count(*) FROM occurrence) FROM problem") == [(3, 1)]


def test_names_with_ids_in_them_do_not_fill_the_file(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "UNUSED_TEXTS", 100)
    store.write([of("shop", *(span(f"{number}", name=f"GET /orders/{number}") for number in range(600)))])
    clock.now += 9_000
    store.write([of("shop", span("new", trace=b"n" * 16, name="GET /"))])
    tidy(store)
    assert rows(store, "SELECT s FROM str") == [("GET /",)]
    store.write([of("shop", span("b", trace=b"n" * 16, name="GET /orders/1"))])
    assert rows(store, "SELECT s FROM span JOIN str ON str.id = name ORDER BY span.id") == [
        ("GET /",),
        ("GET /orders/1",),
    ]


def gauge(*times: int, scope: str = "meter") -> Request[Any]:
    metric = Metric("level", "", "1", "gauge", [Point((), 0, time_ns, value=1.0) for time_ns in times])
    return Request("metrics", [Group(Resource(), Scope(scope), [metric])])


def test_points_from_the_end_of_time_leave_a_full_file_too(tmp_path: Path, clock: Clock) -> None:
    store = Store(tmp_path / "dev.db", most_bytes=300_000, now=clock)
    for number in range(1_500):
        store.write([gauge(2**63 - 1, scope=f"meter {number}")])
    assert store._retention.used_bytes() > 300_000
    tidy(store)
    assert store._retention.used_bytes() <= 300_000
    store.close()


def test_one_point_from_the_future_does_not_take_those_of_the_present_with_it(
    tmp_path: Path, clock: Clock
) -> None:
    store = Store(tmp_path / "dev.db", most_bytes=550_000, now=clock)
    store.write([gauge(2**63 - 1, *(START - second * 10**9 for second in range(900)))])
    for sent in samples.requests(1_200):
        if sent.signal != "metrics":
            store.write([sent])
    assert store._retention.used_bytes() > 550_000
    tidy(store)
    assert rows(store, "SELECT count(*) FROM point")[0][0] > 300
    store.close()


def test_an_error_is_counted_once_though_a_minute_ends_on_its_way_out(store: Store, clock: Clock) -> None:
    store.write([of("shop", span("child", "parent", events=[exception()]))])
    tidy(store)
    clock.now += 60
    tidy(store)  # of an application without logs
    store.write([of("shop", span("parent", events=[exception()]))])
    assert rows(store, "SELECT times FROM problem") == [(1,)]
