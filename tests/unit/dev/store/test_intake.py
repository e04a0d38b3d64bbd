"""Acknowledged means committed; what is too much is refused, what fails is told to whoever sent it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.dev.said import of, record, rows, span

from otel_kpi.dev import intake as intake_module
from otel_kpi.dev.intake import ClosedError, FullError, Intake, items_of
from otel_kpi.dev.store import Store, StoreError, files
from otel_kpi.dev.telemetry import MalformedError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from otel_kpi.dev.intake import Committed
    from otel_kpi.dev.telemetry import Request


@pytest.fixture
def intake(store: Store) -> Generator[Intake]:
    opened = Intake(store)
    yield opened
    opened.close()


class Held:
    """Holds the writer up, as a slow disk does, and counts what is written together."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.sizes: list[int] = []
        self._write = store.write
        monkeypatch.setattr(store, "write", self.write)

    def write(self, requests: Sequence[Request[Any]]) -> Committed:
        self.begun.set()
        assert self.go.wait(30)
        if requests:
            self.sizes.append(sum(items_of(each) for each in requests))
        return self._write(requests)


def spans(count: int, first: int = 0) -> Request[Any]:
    return of("shop", *(span(f"{number}") for number in range(first, first + count)))


def test_acknowledged_is_committed(intake: Intake, store: Store) -> None:
    async def send() -> list[tuple[Any, ...]]:
        await intake.submit(of("shop", span("a")))
        return rows(store, "SELECT count(*) FROM span")

    assert asyncio.run(send()) == [(1,)]


def test_many_senders_share_commits_and_each_is_acknowledged(intake: Intake, store: Store) -> None:
    async def send() -> None:
        await asyncio.gather(*(intake.submit(of("shop", span(f"{number}"))) for number in range(300)))

    asyncio.run(send())
    assert rows(store, "SELECT spans FROM trace") == [(300,)]


def test_a_commit_has_no_more_than_its_share(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(store, monkeypatch)
    intake = Intake(store)
    done = [intake.put(spans(1))]
    assert held.begun.wait(10)
    done += [intake.put(spans(200, first)) for first in (1, 201, 401)] + [intake.put(spans(2_000, 1_000))]
    held.go.set()
    assert not wait(done, 30).not_done
    intake.close()
    assert held.sizes == [1, 400, 200, 2_000]


def test_more_than_fits_is_refused_and_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(store, monkeypatch)
    intake = Intake(store, most_bytes=10_000)
    first = spans(1)
    first.size = 7_000
    done = [intake.put(first)]
    assert held.begun.wait(10)  # and what is being written still counts
    for number in (1, 2):
        request = spans(1, number)
        request.size = 400  # once it is decoded it is more
        done.append(intake.put(request))
    refused = spans(7, 10)
    refused.size = 50_000  # more than all of it: taken when nothing else waits
    with pytest.raises(FullError):
        intake.put(refused)
    held.go.set()
    assert not wait(done, 30).not_done
    intake.put(refused).result(30)
    intake.close()
    assert rows(store, "SELECT outcome, sum(items) FROM intake GROUP BY 1 ORDER BY 1") == [
        ("accepted", 10),
        ("refused", 7),
    ]


def test_what_was_taken_is_written_before_the_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(store, monkeypatch)
    intake = Intake(store)
    done = [intake.put(spans(300, first)) for first in range(0, 3_000, 300)]
    closing = threading.Thread(target=intake.close)
    closing.start()
    held.go.set()
    closing.join(30)
    assert all(each.done() for each in done)
    assert rows(store, "SELECT spans FROM trace") == [(3_000,)]
    with pytest.raises(ClosedError):
        intake.put(spans(1))
    intake.close()


def test_who_gave_up_waiting_is_not_written_and_in_nobodys_way(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(store, monkeypatch)
    intake = Intake(store)
    first = intake.put(spans(1))
    assert held.begun.wait(10)
    left, stays = intake.put(spans(1, 1)), intake.put(spans(1, 2))
    assert left.cancel()
    held.go.set()
    assert not wait([first, stays], 30).not_done
    intake.close()
    assert rows(store, "SELECT spans FROM trace") == [(2,)]


def test_a_request_that_cannot_be_kept_does_no_harm_to_its_neighbours(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(store, monkeypatch)
    intake = Intake(store)
    broken = span("broken")
    broken.start_ns = "now"  # type: ignore[assignment] - a mistake of a decoder
    intake.put(spans(1))
    assert held.begun.wait(10)
    before, bad, after = intake.put(spans(1, 1)), intake.put(of("shop", broken)), intake.put(spans(1, 2))
    held.go.set()
    assert not wait([before, bad, after], 30).not_done
    assert isinstance(bad.exception(), MalformedError)
    assert before.exception() is None
    assert after.exception() is None
    intake.close()
    assert rows(store, "SELECT spans FROM trace") == [(3,)]
    assert rows(store, "SELECT items FROM intake WHERE outcome = 'malformed'") == [(1,)]


def test_a_failing_disk_fails_the_senders_and_goes_on_when_there_is_room(
    intake: Intake, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    large = of("shop", *(span(f"{number}", values={"text": "x" * 900}) for number in range(200)))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count={pages}")
    for _ in range(3):
        with pytest.raises(StoreError, match="is full"):
            intake.put(large).result(30)
    store._connection.execute("PRAGMA max_page_count=1000000")
    intake.put(large).result(30)
    assert rows(store, "SELECT spans FROM trace") == [(200,)]
    assert rows(store, "SELECT items FROM intake WHERE outcome = 'failed'") == [(600,)]
    said = [each.getMessage() for each in caplog.records if each.name == "otel_kpi.dev.intake"]
    assert len(said) == 2, said
    assert "not acknowledged" in said[0]
    assert "written again" in said[1]


def test_what_is_counted_while_another_program_has_the_file_locked_stays_counted(
    intake: Intake, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "BUSY", 0.001)
    store._connection.execute("PRAGMA busy_timeout=1")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(3):
            with pytest.raises(StoreError, match="locked"):
                intake.put(spans(1, number)).result(30)
        other.execute("ROLLBACK")
    intake.put(spans(1)).result(30)
    assert rows(store, "SELECT outcome, items FROM intake ORDER BY 1") == [("accepted", 1), ("failed", 3)]


def test_what_is_counted_waits_for_no_lock_that_requests_would_wait_behind(store: Store) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.tally.add("logs", "refused", 7, now=0)
        begun = time.monotonic()
        with pytest.raises(StoreError, match="locked"):
            store.write_counts()
        assert time.monotonic() - begun < files.BUSY / 2
        other.execute("ROLLBACK")
    assert store._connection.execute("PRAGMA busy_timeout").fetchone() == (5_000,)
    store.write_counts()
    assert rows(store, "SELECT outcome, items FROM intake") == [("refused", 7)]


def test_what_cannot_be_forgotten_is_said_once_and_what_comes_is_kept_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def said(lines: int) -> list[str]:
        for _ in range(500):
            logged = [each.getMessage() for each in caplog.records if each.name == "otel_kpi.dev.intake"]
            if len(logged) >= lines:
                return logged
            waiting.wait(0.01)
        raise AssertionError(f"{lines} lines were not logged")

    waiting = threading.Event()
    monkeypatch.setattr(intake_module, "TIDY_AFTER", 0.02)
    store = Store(tmp_path / "dev.db", most_bytes=2**10)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute(
            "CREATE TRIGGER damage BEFORE DELETE ON span BEGIN SELECT RAISE(ABORT, 'a page is broken'); END"
        )
        intake = Intake(store)
        intake.put(spans(1)).result(30)
        said(1)
        for number in range(3):
            intake.count("logs", "malformed", 1, "no JSON")
            intake.put(spans(1, number + 1)).result(30)
            waiting.wait(0.1)  # several looks at what is too much
            assert not intake.failing
        assert len(said(1)) == 1
        other.execute("DROP TRIGGER damage")
    assert [line.partition(":")[0] for line in said(2)] == [
        "What is too old cannot be forgotten",
        "What is too old is forgotten again",
    ]
    intake.close()
    store.close()


def test_what_is_too_much_is_forgotten_while_more_comes_and_no_less_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "TIDY_AFTER", 0.2)
    store = Store(tmp_path / "dev.db", most_bytes=2**20)
    intake = Intake(store)
    coming: deque[Future[None]] = deque()
    for number in range(1, 120):  # there is always a request that waits
        sent = [span(f"{each}", trace=bytes([number, each // 10] * 8)) for each in range(500)]
        coming.append(intake.put(of("shop", *sent)))
        if len(coming) == 4:
            coming.popleft().result(30)
    assert not wait(coming, 30).not_done
    assert rows(store, "SELECT count(*) FROM span")[0][0] < 35_000
    intake.close()
    store.close()


def test_what_never_became_a_request_is_counted_soon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "TIDY_AFTER", 0.02)
    intake = Intake(store)
    intake.count("logs", "malformed", 1, "no JSON")
    deadline = threading.Event()
    counted: list[tuple[Any, ...]] = []
    for _ in range(500):
        counted = rows(store, "SELECT signal, items, last FROM intake WHERE outcome = 'malformed'")
        if counted:
            break
        deadline.wait(0.01)
    assert counted == [("logs", 1, "no JSON")]
    intake.close()


def test_who_follows_sees_each_commit(intake: Intake) -> None:
    async def follow() -> list[tuple[int, int, int, list[int]]]:
        seen: list[tuple[int, int, int, list[int]]] = []
        following = intake.follow()
        await intake.submit(of("shop", span("a")))
        await intake.submit(of("shop", record("x"), signal="logs"))
        for _ in range(2):
            committed = await anext(following)
            seen.append((committed.spans, committed.logs, committed.missed, committed.traces))
        return seen

    assert asyncio.run(follow()) == [(1, 0, 0, [1]), (0, 1, 0, [])]


def test_who_is_too_slow_misses_some_and_knows_how_many(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "_LISTENED", 4)

    async def follow() -> list[tuple[int, int]]:
        following = intake.follow()
        for number in range(10):
            await intake.submit(spans(number + 1, number * 100))
        return [((committed := await anext(following)).spans, committed.missed) for _ in range(4)]

    assert asyncio.run(follow()) == [(7, 6), (8, 0), (9, 0), (10, 0)]


def test_who_follows_ends_with_the_intake(intake: Intake) -> None:
    async def follow() -> int:
        following = intake.follow()
        await asyncio.to_thread(intake.close)
        return sum([1 async for _ in following]) + sum([1 async for _ in intake.follow()])

    assert asyncio.run(follow()) == 0


def test_who_stopped_following_is_forgotten(intake: Intake) -> None:
    async def follow() -> None:
        following = intake.follow()
        await intake.submit(spans(1))
        del following
        await intake.submit(spans(1, 1))

    asyncio.run(follow())
    assert not list(intake._listeners)


def test_threads_read_while_it_is_written_and_see_whole_commits(intake: Intake, store: Store) -> None:
    ended = threading.Event()
    torn: list[Any] = []

    def read() -> None:
        while not ended.is_set():
            found = (
                store.reader()
                .execute("SELECT (SELECT sum(spans) FROM trace), (SELECT count(*) FROM span)")
                .fetchone()
            )
            if (found[0] or 0) != found[1]:
                torn.append(found)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for each in readers:
        each.start()
    done: list[Future[None]] = [intake.put(spans(50, first)) for first in range(0, 2_000, 50)]
    assert not wait(done, 60).not_done
    ended.set()
    for each in readers:
        each.join()
    assert torn == []
    assert rows(store, "SELECT count(*) FROM span") == [(2_000,)]
