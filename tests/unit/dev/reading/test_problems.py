"""Exceptions that are alike, found by what they say and by the trace behind them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from support.dev.asked import filled, logs, span, spans
from support.dev.made import START_NS, attribute, attributes

from otel_kpi.dev.store.reading import problems
from otel_kpi.dev.store.reading.problems import Question
from otel_kpi.dev.stores import ReadStore
from otel_kpi.dev.telemetry import Event, LogRecord

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from otel_kpi.dev.telemetry import Attributes, Span

SECOND = 1_000_000_000


def exception(kind: str, message: str = "it broke", place: str = "charge") -> Attributes:
    stack = f'Traceback (most recent call last):\n  File "/app/{place}.py", line 3, in {place}\n{kind}: {message}\n'
    return attributes({"exception.type": kind, "exception.message": message, "exception.stacktrace": stack})


def broken(kind: str = "Declined", at: int = 0, **more: str) -> Span:
    made = span({}, name="POST /pay", start_ns=START_NS + at * SECOND, status=2)
    made.events = [Event("exception", START_NS + at * SECOND, exception(kind, **more))]
    return made


def test_the_last_seen_come_first_and_the_list_goes_on_before_them(tmp_path: Path) -> None:
    sent = [broken(f"Kind{at}", at) for at in range(5)]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        reader = store.reader()
        first, more = problems.problems(reader, Question(limit=3))
        assert ([each.type for each in first], more) == (["Kind4", "Kind3", "Kind2"], True)
        rest, more = problems.problems(reader, Question(limit=3, before=(first[-1].last_ns, first[-1].id)))
        assert ([each.type for each in rest], more) == (["Kind1", "Kind0"], False)


def test_they_are_found_by_words_by_service_and_by_trace(tmp_path: Path) -> None:
    declined, other = broken("Declined", message="100% gone"), broken("Timeout", 1, place="mail")
    logged = LogRecord(
        START_NS,
        START_NS,
        17,
        "ERROR",
        attribute("", "oops"),
        exception("Logged", place="cron"),
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
    )
    with filled(
        tmp_path / "dev.db", [spans(declined), spans(other, service="mailer"), logs(logged)]
    ) as store:
        reader = store.reader()

        def types(**asked: str) -> list[str]:
            return sorted(each.type for each in problems.problems(reader, Question(**asked))[0])  # type: ignore[arg-type] - texts

        assert types() == ["Declined", "Logged", "Timeout"]
        assert types(text="0%") == []
        assert types(text="decl") == ["Declined"]
        assert types(text="mail.py") == ["Timeout"]
        assert types(text="_") == []
        assert types(service="mailer") == ["Timeout"]
        assert types(trace_id=declined.trace_id.hex()) == ["Declined"]
        assert types(trace_id=(b"t" * 16).hex()) == ["Logged"]
        assert types(trace_id="0" * 32) == []
        assert problems.services(reader) == ["mailer", "shop"]


def test_occurrences_are_walked_through_in_their_order_and_lead_to_traces(tmp_path: Path) -> None:
    sent = [broken(at=at, message=f"order {at} declined") for at in (3, 1, 2)]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        reader = store.reader()
        ((found,), _) = problems.problems(reader, Question())
        assert (found.times, found.first_ns, found.last_ns) == (3, START_NS + SECOND, START_NS + 3 * SECOND)
        latest = problems.occurrence(reader, found.id)
        assert latest is not None
        assert (latest.message, latest.trace_id) == ("order 3 declined", sent[0].trace_id.hex())
        assert (latest.span_name, problems.place_of(reader, latest)) == ("POST /pay", (3, 3))
        earlier, later = problems.beside(reader, latest)
        assert later is None
        before = problems.occurrence(reader, found.id, earlier)
        assert before is not None
        assert before.message == "order 2 declined"
        assert problems.beside(reader, before)[1] == latest.id
        assert [each.message[6] for each in problems.occurrences(reader, found.id)] == ["3", "2", "1"]
        assert problems.occurrence(reader, found.id, 10**9) is None
        assert problems.problem(reader, 10**9) is None


def test_steps_of_a_time_count_what_fell_into_them(tmp_path: Path) -> None:
    sent = [broken(at=at) for at in (0, 0, 5, 9, 10)]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        reader = store.reader()
        ((found,), _) = problems.problems(reader, Question())
        steps = problems.over_time(reader, [found], START_NS, START_NS + 10 * SECOND, 5)
    assert steps == {found.id: [2, 0, 1, 0, 2]}


def test_occurrences_that_are_forgotten_are_still_counted_in_their_minute(tmp_path: Path) -> None:
    begin = -(-START_NS // (60 * SECOND)) * 60 - START_NS // SECOND  # of a minute
    sent = [
        broken(at=begin + 60 * minute + 1) for minute in range(10) for _ in range(50 if minute < 8 else 1)
    ]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        reader = store.reader()
        ((found,), _) = problems.problems(reader, Question())
        kept = reader.execute("SELECT count(*) FROM occurrence").fetchone()[0]
        extent = (found.first_ns, found.last_ns)

        assert found.times == 402 > kept
        assert problems.over_time(reader, [found], *extent, 48) == {found.id: [*[50] * 8, 1, 1]}
        assert problems.over_time(reader, [found], *extent, 5) == {found.id: [100, 100, 100, 100, 2]}


def test_what_is_not_known_any_more_is_no_zero(tmp_path: Path) -> None:
    begin = -(-START_NS // (60 * SECOND)) * 60 - START_NS // SECOND
    sent = [broken(at=begin + 60 * minute) for minute in range(6) for _ in range(80)]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        ((found,), _) = problems.problems(store.reader(), Question())
    # As a file of before there were minutes, whose oldest occurrences are forgotten.
    with closing(sqlite3.connect(tmp_path / "dev.db")) as connection, connection:
        connection.execute(
            "DELETE FROM problem_minute WHERE minute < ?", (found.first_ns // 60 // SECOND + 3,)
        )
    with closing(ReadStore(tmp_path / "dev.db")) as looked_at:
        extent = (found.first_ns, found.last_ns)
        steps = problems.over_time(looked_at.reader(), [found], *extent, 48)
        halves = problems.over_time(looked_at.reader(), [found], *extent, 3)
    assert steps == {found.id: [None, None, None, None, 80, 80]}
    assert halves == {found.id: [None, None, 160]}


def test_clocks_that_are_wrong_in_every_way_fill_no_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_kpi.dev.store.problems.MOST_MINUTES", 150)
    sent = [broken(at=60 * minute) for minute in range(500)]
    with filled(tmp_path / "dev.db", [spans(*sent)]) as store:
        (count, least) = store.reader().execute("SELECT count(*), min(minute) FROM problem_minute").fetchone()
    assert 150 <= count <= 250
    assert least == START_NS // 60 // SECOND + 500 - count


def test_what_was_logged_in_the_trace_is_beside_it(tmp_path: Path) -> None:
    failed = broken()
    record = LogRecord(
        START_NS, START_NS, 17, "ERROR", attribute("", "card declined"), (), failed.trace_id, failed.span_id
    )
    with filled(tmp_path / "dev.db", [spans(failed), logs(record)]) as store:
        found = problems.logs(store.reader(), failed.trace_id.hex())
        assert [each.body for each in found] == ["card declined"]
        assert problems.logs(store.reader(), "") == []


def test_a_trace_of_more_problems_than_a_statement_has_variables_names_them_all(tmp_path: Path) -> None:
    made = broken()
    made.events = [Event("exception", START_NS, exception(f"Kind{number}")) for number in range(20)]
    with filled(tmp_path / "dev.db", [spans(made)]) as store:
        store.reader().setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 8)
        found, more = problems.problems(store.reader(), Question(trace_id=made.trace_id.hex()))
    assert (len(found), more) == (20, False)
