"""Metrics, logs and the telemetry itself, read from a store that the sample day was written to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from support.dev import samples
from support.dev.asked import asking, filled, span, spans
from support.dev.made import attribute, attributes, resource, together

from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading import intake, metrics
from otel_kpi.dev.store.reading import logs as reading
from otel_kpi.dev.store.reading.history import Window, history
from otel_kpi.dev.store.reading.logs import LogQuery
from otel_kpi.dev.store.reading.now import now
from otel_kpi.dev.telemetry import CUMULATIVE, LogRecord, Metric, Point

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator
    from pathlib import Path

SECOND = 1_000_000_000
END = samples.START_NS + 3_600 * SECOND


@pytest.fixture(scope="module")
def store() -> Generator[Store]:
    opened = Store(None, now=lambda: samples.START_NS / 1e9 + 300)
    opened.write(list(samples.requests(1_500)))
    yield opened
    opened.close()


@pytest.fixture
def reader(store: Store) -> sqlite3.Connection:
    return store.reader()


def by_name(reader: sqlite3.Connection, name: str) -> metrics.Instrument:
    [found] = [each for each in metrics.instruments(reader) if each.name == name]
    return found


def test_an_instrument_is_one_whoever_records_it(reader: sqlite3.Connection) -> None:
    found = by_name(reader, "http.server.request.duration")

    assert (found.kind, found.unit, found.temporality, found.scope) == (
        "histogram",
        "s",
        CUMULATIVE,
        "sample",
    )
    assert found.services == tuple(sorted(samples.SERVICES))
    assert found.series == len(samples.SERVICES)
    assert metrics.instrument(reader, found.id) == found
    assert metrics.instrument(reader, 10_000) is None


def test_points_of_every_kind_come_back_as_they_were_sent(reader: sqlite3.Connection) -> None:
    def newest(name: str) -> metrics.PointView:
        series = metrics.series_of(reader, by_name(reader, name).id, service="orders")
        last = series[0].last
        assert last is not None
        return last

    explicit, exponential = newest("http.server.request.duration"), newest("db.client.operation.duration")
    assert explicit.distribution is not None
    assert explicit.distribution.count == explicit.value == sum(explicit.distribution.counts)
    assert explicit.exemplars[0].trace_id
    assert exponential.distribution is not None
    assert exponential.distribution.scale == 2
    assert exponential.distribution.positive[0][0] == -40
    assert newest("rpc.latency").quantiles == ((0.5, 21.0), (0.95, 80.0), (1.0, 212.0))
    assert newest("process.memory.usage").distribution is None


def test_points_go_on_where_the_last_page_ended(reader: sqlite3.Connection) -> None:
    series = metrics.series_of(reader, by_name(reader, "kpi.llm.cost").id)[0].id
    every = metrics.points(reader, series)

    first = metrics.points(reader, series, limit=1)
    rest = metrics.points(reader, series, before=first[-1].time_ns)

    assert [*first, *rest] == every
    assert [point.time_ns for point in every] == sorted((point.time_ns for point in every), reverse=True)


def test_a_thinned_series_loses_neither_increase_nor_reset(store: Store) -> None:
    sender = resource("thinned")
    cumulative = [
        Point(
            (),
            samples.START_NS + at // 50 * 50 * SECOND,
            samples.START_NS + (at + 1) * SECOND,
            value=float(at % 50),
        )
        for at in range(200)
    ]
    deltas = [
        Point((), samples.START_NS + at * SECOND, samples.START_NS + (at + 1) * SECOND, value=1.0)
        for at in range(200)
    ]
    store.write([together("metrics", [
        (sender, "t", Metric("thinned.cumulative", "", "1", "sum", cumulative, temporality=2, monotonic=True)),
        (sender, "t", Metric("thinned.delta", "", "1", "sum", deltas, temporality=1, monotonic=True)),
    ])])  # fmt: skip
    reader = store.reader()
    window = (samples.START_NS, samples.START_NS + 200 * SECOND, 20 * SECOND)

    def thinned(name: str) -> list[metrics.PointView]:
        found = by_name(reader, name)
        return metrics.thinned(reader, found, metrics.series_of(reader, found.id)[0].id, *window)

    assert sum(point.value or 0 for point in thinned("thinned.delta")) == 200
    kept = thinned("thinned.cumulative")
    assert len(kept) < 30
    assert {point.start_ns for point in kept} == {samples.START_NS + at * 50 * SECOND for at in range(4)}


def test_logs_are_found_by_words_level_service_trace_and_attribute(reader: sqlite3.Connection) -> None:
    every = reading.search(reader, LogQuery(limit=500)).logs
    assert [log.row for log in every] == sorted((log.row for log in every), reverse=True)

    def found(**asked: Any) -> list[int]:
        return [log.row for log in reading.search(reader, LogQuery(limit=500, **asked)).logs]

    errors = [log.row for log in every if log.severity >= 17]
    assert found(severity=17) == errors
    assert found(severity=5) == [log.row for log in every if log.severity >= 5]
    assert found(service="orders") == [log.row for log in every if log.service == "orders"] != []
    assert found(text="Order PLACED") == [
        log.row for log in every if "order" in log.body and "placed" in log.body
    ]
    one = next(log for log in every if log.trace_id)
    assert one.row in found(trace_id=one.trace_id)
    key, value = next(
        (key, value) for log in every for key, value in log.attributes.items() if isinstance(value, str)
    )
    assert found(attributes=((key, value),)) == [log.row for log in every if log.attributes.get(key) == value]
    assert found(attributes=((key, f"{value}!"),)) == []
    assert found(service="nobody") == found(text="-") == found(trace_id="nonsense") == []


def test_a_record_is_found_by_what_its_sender_says_of_itself(reader: sqlite3.Connection) -> None:
    every = reading.search(reader, LogQuery(limit=500)).logs
    of_mailer = [log.row for log in every if log.service == "mailer"]

    def found(**asked: Any) -> list[int]:
        return [log.row for log in reading.search(reader, LogQuery(limit=500, **asked)).logs]

    assert found(attributes=(("service.name", "mailer"),)) == of_mailer != []
    assert found(text="mailer") == [
        log.row for log in every if log.service == "mailer" or "mailer" in log.body
    ]
    assert set(found(text="maile")) >= set(of_mailer), "a beginning"
    assert found(text="maile order") == [], "of several words the last alone may be a beginning"
    words = next(log.body for log in every if log.service == "mailer").split()[0]
    mixed = found(text=f"{words} MAILER", severity=1, service="mailer")
    assert mixed, "one word of the record, one of its sender"
    assert set(mixed) <= set(of_mailer)
    trace_id = next(log.trace_id for log in every if log.trace_id and log.service == "mailer")
    assert found(trace_id=trace_id, text="mailer")
    assert found(attributes=(("service.name", "mailer"), ("service.name", "orders"))) == []


@pytest.mark.parametrize("asked", [{}, {"service": "mailer"}, {"text": "order"}, {"severity": 9}])
def test_pages_of_logs_together_are_all_of_them(reader: sqlite3.Connection, asked: dict[str, Any]) -> None:
    every = [log.row for log in reading.search(reader, LogQuery(limit=500, **asked)).logs]
    rows: list[int] = []
    before = None
    while True:
        found = reading.search(reader, LogQuery(limit=7, before=before, **asked))
        rows += [log.row for log in found.logs]
        if found.before is None:
            break
        before = found.before
    assert rows == every


def test_a_word_of_the_index_itself_finds_nothing(reader: sqlite3.Connection) -> None:
    assert reading.search(reader, LogQuery(text="zs1")).logs == []
    assert reading.search(reader, LogQuery(text="zv9")).logs == []


@pytest.mark.parametrize(
    "text",
    ['"', "' OR 1=1 --", "NEAR(a b)", "t:order", "order*", "(", "a AND", "\x00", "\ud800", "注文", "*"],
)
def test_whatever_is_searched_for_is_only_words(reader: sqlite3.Connection, text: str) -> None:
    reading.search(reader, LogQuery(text=text))
    reading.search(reader, LogQuery(attributes=((text, text),), service=text, trace_id=text))


def test_a_search_that_takes_too_long_ends_and_says_where_to_go_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_BLOCK", 10)

    found = reading.search(store.reader(), LogQuery(start_ns=END * 5, limit=5), seconds=0.0)

    assert found.capped
    assert found.before is None or found.before > 0


def test_only_records_after_a_row_are_new(store: Store) -> None:
    newest = reading.search(store.reader(), LogQuery(limit=1)).logs[0].row
    record = LogRecord(END, END, 9, "INFO", attribute("", "fresh"), attributes({"a": "b"}))
    store.write([together("logs", [(resource("fresh"), "t", record)])])

    assert [log.body for log in reading.search(store.reader(), LogQuery(after=newest)).logs] == ["fresh"]


def test_what_became_of_what_was_sent_is_counted_by_minute(store: Store) -> None:
    store.tally.add("traces", "malformed", 3, last="field 9", now=samples.START_NS / 1e9)
    store.write([together("logs", [(resource("counted"), "t", LogRecord(END, END, 9))])])
    reader = store.reader()

    told = intake.minutes(reader, since=0)

    assert ("traces", "malformed", "", 3, "field 9") in [
        (one.signal, one.outcome, one.service, one.items, one.last) for one in told
    ]
    assert sum(one.items for one in told if (one.signal, one.outcome) == ("traces", "accepted")) == 1_500
    assert {one.service for one in intake.senders(reader)} >= set(samples.SERVICES)
    kept = intake.kept(reader)
    assert kept.spans == 1_500
    assert kept.size > 0
    assert kept.oldest_ns is not None


def test_clocks_that_differ_are_told(tmp_path: Path) -> None:
    asks, answers = span({}, name="ask", start_ns=END), span({}, name="answer", start_ns=END - 3_000_000)
    later, within = span({}, start_ns=END - 1_000_000), span({}, name="same clock", start_ns=END - 9_000_000)
    for each in (answers, later, within):
        each.trace_id, each.parent_id = asks.trace_id, asks.span_id
    with filled(tmp_path / "dev.db", [spans(asks, within), spans(answers, later, service="stock")]) as store:
        assert intake.clocks(store.reader()) == [intake.Clocks("shop", "stock", 2, 3_000_000)]
        with asking(store) as client:
            text = client.get("/telemetry").text
            assert client.get("/api/kpi/intake").json()["clocks"][0]["most_ns"] == 3_000_000
    assert "Clocks differ: 2 spans of" in text
    assert "began up to 3.00 ms before" in text


def test_every_minute_that_is_asked_for_is_told_however_many_there_are(tmp_path: Path) -> None:
    with filled(tmp_path / "dev.db") as store:
        for minute in range(10_500):
            store.tally.add("traces", "rejected", 1, now=60.0 * minute)
        store.write([together("logs", [(resource("one"), "t", LogRecord(END, END, 9))])])
        told = intake.minutes(store.reader(), since=0)
    assert sum(each.items for each in told if each.outcome == "rejected") == 10_500


def test_what_senders_say_that_they_lost_is_shown_and_what_they_sent_is_not(store: Store) -> None:
    def exported(value: float, **more: str) -> Point:
        return Point(attributes({"otel.component.name": "http://x", **more}), END - SECOND, END, value=value)

    losses = Metric("otel.sdk.exporter.span.exported", "Spans", "{span}", "sum", [exported(500), exported(7, **{"error.type": "refused"})], temporality=2, monotonic=True)  # fmt: skip
    store.write([together("metrics", [(resource("loser"), "t", losses)])])

    assert [
        (loss.service, loss.count, loss.attributes["error.type"]) for loss in intake.losses(store.reader())
    ] == [("loser", 7, "refused")]


def test_now_is_what_the_newest_rows_say(reader: sqlite3.Connection) -> None:
    newest = reader.execute("SELECT max(start_ns + dur_ns) FROM span").fetchone()[0]

    told = now(reader, end_ns=newest)

    gateway = next(each for each in told.services if each.name == "gateway")
    kind_server = reader.execute(
        "SELECT count(*) FROM span JOIN service v ON v.id = service WHERE v.name = 'gateway' AND kind = 2 AND start_ns + dur_ns BETWEEN ? AND ?",
        (newest - 300 * SECOND, newest),
    ).fetchone()[0]
    assert gateway.requests == kind_server == sum(gateway.rates)
    assert gateway.p95_ns is not None
    assert told.rate is not None
    assert told.calls > 0
    assert told.cost.keys() >= {"USD"}
    assert sum(each or 0 for each in told.errors) == sum(each.errors for each in told.services)
    assert now(reader, end_ns=newest + 10**6 * SECOND).rate is None, "nothing is not zero"


def test_now_looks_at_a_bounded_number_of_rows(
    reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_kpi.dev.store.reading.now.SPANS", 200)
    newest = reader.execute("SELECT max(start_ns + dur_ns) FROM span").fetchone()[0]

    told = now(reader, end_ns=newest)

    assert sum(each.spans for each in told.services) <= 200
    assert told.seconds < 300
    assert told.requests[0] is None, "what was not looked at is not known"


def test_an_empty_store_has_nothing_to_say_and_says_that() -> None:
    empty = Store(None)
    try:
        reader = empty.reader()
        assert metrics.instruments(reader) == []
        assert reading.search(reader, LogQuery()).logs == []
        assert intake.losses(reader) == []
        assert intake.kept(reader).oldest_ns is None
        assert intake.cut(reader).looked_at == 0
        assert now(reader, end_ns=time.time_ns()).rate is None
    finally:
        empty.close()


def test_deltas_whose_buckets_are_too_many_to_be_read_are_counted_all_the_same(tmp_path: Path) -> None:
    sent = [
        Point((), at * SECOND, (at + 1) * SECOND, count=2, sum=2.0, bounds=(1.0,), counts=(1, 1))
        for at in range(1_000, 2_500)
    ]
    metric = Metric("many.deltas", "", "1", "histogram", sent, temporality=1)
    request = together("metrics", [(resource("many"), "t", metric)])
    with filled(tmp_path / "dev.db", [request]) as store:
        reader = store.reader()
        found = by_name(reader, "many.deltas")
        window = Window(1_000 * SECOND, 2_501 * SECOND, 19)
        series = metrics.series_of(reader, found.id)[0].id
        points = metrics.thinned(reader, found, series, window.start_ns, window.end_ns, window.step_ns)
    told = history(found, {"": [points]}, window)
    assert told.counts[0].total == 3_000
    assert None not in told.counts[0].values
    assert 0 < told.unknown < window.columns
    assert told.distribution is not None
    assert told.distribution.count == 1_000
