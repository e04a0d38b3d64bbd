"""A file is opened only where that does no harm; else a person is told what to do."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from support.dev import samples
from support.dev.said import NOW, exception, of, rows, span

from otel_kpi.dev.store import Store, StoreError, files, schema
from otel_kpi.dev.store.reading import llm, problems

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "dev.db"


@pytest.fixture
def filled(path: Path) -> Generator[Store]:
    opened = Store(path, now=lambda: NOW)
    opened.write([of("shop", span("a"))])
    yield opened
    opened.close()


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as refused:
        Store(path)
    return str(refused.value)


def test_a_file_is_read_by_its_owner_alone(filled: Store) -> None:
    for name in ("dev.db", "dev.db-wal", "dev.db-shm", "dev.db-lock"):
        assert stat.S_IMODE((filled.path.parent / name).stat().st_mode) == 0o600, name


def test_what_was_kept_is_there_after_a_restart(filled: Store) -> None:
    filled.close()
    again = Store(filled.path, now=lambda: NOW)
    again.write([of("shop", span("b", "a"))])
    assert rows(again, "SELECT id, spans FROM trace") == [(1, 2)]
    assert rows(again, "SELECT id FROM span") == [(1,), (2,)]
    again.close()


def test_a_second_instance_is_told_where_the_first_one_listens(filled: Store) -> None:
    filled.tell("http://127.0.0.1:4318")
    said = refusal(filled.path)
    assert f"process {os.getpid()}, http://127.0.0.1:4318" in said
    assert "--store" in said
    filled.close()
    Store(filled.path).close()


def test_an_instance_that_was_killed_is_in_nobodys_way(path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from otel_kpi.dev.store import Store\n"
        "store = Store(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"open\n"
        assert "in use" in refusal(path)
        child.send_signal(signal.SIGKILL)
        child.wait()
    Store(path).close()


def test_another_file_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"my notes, " * 100)
    assert "no file of otel-kpi" in refusal(path)
    assert path.read_bytes() == b"my notes, " * 100
    assert [*path.parent.iterdir()] == [path]


def test_another_programs_database_is_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE trace (mine TEXT)")
    other.commit()
    other.close()
    before = path.read_bytes()
    assert "another program's database" in refusal(path)
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]


def test_a_newer_file_asks_for_an_upgrade(filled: Store) -> None:
    filled.close()
    newer = sqlite3.connect(filled.path)
    newer.execute(f"PRAGMA user_version={len(schema.MIGRATIONS) + 1}")
    newer.close()
    assert "upgrade otel-kpi" in refusal(filled.path)


def test_an_older_file_becomes_one_of_this_version(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.close()
    monkeypatch.setattr(
        files, "MIGRATIONS", (*schema.MIGRATIONS, "ALTER TABLE span ADD COLUMN colour INTEGER;")
    )
    again = Store(filled.path, now=lambda: NOW)
    again.write([of("shop", span("b", "a"))])
    assert rows(again, "SELECT colour FROM span") == [(None,), (None,)]
    assert rows(again, "PRAGMA user_version") == [(len(schema.MIGRATIONS) + 1,)]
    again.close()


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_what_a_file_of_each_earlier_version_has_is_told_as_it_was(tmp_path: Path, version: int) -> None:
    sent = [*samples.requests(600), of("shop", span("a", events=[exception()]))]
    store = Store(tmp_path / "this.db", now=lambda: NOW)
    store.write(sent)
    told = _told(store)
    assert told[0]
    store.close()
    with closing(sqlite3.connect(tmp_path / "earlier.db")) as earlier:
        for migration in schema.MIGRATIONS[:version]:
            earlier.executescript(migration)
        earlier.execute("ATTACH ? AS this", (str(tmp_path / "this.db"),))
        for (table,) in earlier.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table'"
        ).fetchall():
            if table != "words":  # the tables that it names are not there
                columns = ", ".join(row[1] for row in earlier.execute(f"PRAGMA main.table_info({table})"))
                earlier.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM this.{table}")
        if version == 1:  # when nobody bounded them
            earlier.execute("UPDATE llm_call SET input_tokens = 1 << 62")
        earlier.execute(f"PRAGMA main.application_id={schema.APPLICATION_ID}")
        earlier.execute(f"PRAGMA main.user_version={version}")
        earlier.commit()

    migrated = Store(tmp_path / "earlier.db", now=lambda: NOW)
    assert _told(migrated) == told
    migrated.write([of("shop", span("b", "a", events=[exception()]))])
    assert rows(migrated, "SELECT sum(times) FROM problem_minute") == rows(
        migrated, "SELECT sum(times) FROM problem"
    )
    assert rows(migrated, "PRAGMA integrity_check") == [("ok",)]
    migrated.close()


def _told(store: Store) -> tuple[object, ...]:
    """What is read of what migrations have changed."""
    reader = store.reader()
    spent = llm.spending(reader, llm.Chosen(0, 2**62), 10**9).total
    shown, _ = problems.problems(reader, problems.Question())
    first, last = problems.extent(reader) or (0, 0)
    return (
        spent.cost,
        spent.calls,
        spent.output_tokens,
        shown,
        problems.over_time(reader, shown, first, last, 20),
    )


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.close()
    broken = "ALTER TABLE span ADD COLUMN colour INTEGER; INSERT INTO nowhere VALUES (1);"
    monkeypatch.setattr(files, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    assert "nowhere" in refusal(filled.path)
    monkeypatch.undo()
    again = Store(filled.path, now=lambda: NOW)
    assert rows(again, "SELECT count(*) FROM pragma_table_info('span') WHERE name = 'colour'") == [(0,)]
    again.close()


@pytest.mark.parametrize("where", ["beginning", "tables", "cut"])
def test_a_damaged_file_says_how_to_go_on(path: Path, where: str) -> None:
    store = Store(path, now=lambda: NOW)
    for number in range(60):
        store.write([of("shop", *(span(f"{number}.{each}", trace=b"%016d" % number) for each in range(40)))])
    store.close()
    content = bytearray(path.read_bytes())
    if where == "cut":
        content = content[: len(content) // 2]
    else:
        begin = 100 if where == "beginning" else 4_096
        content[begin : begin + 100_000] = b"\xff" * min(100_000, len(content) - begin)
    path.write_bytes(content)
    said = ""
    try:
        store = Store(path, now=lambda: NOW)
        try:
            for number in range(60):
                store.write(
                    [
                        of(
                            "shop",
                            *(span(f"{number}.{each}", trace=b"%016d" % number) for each in range(40, 80)),
                        )
                    ]
                )
        finally:
            store.close()
    except StoreError as error:
        said = str(error)
    assert "is damaged" in said
    assert "mv " in said


def test_what_a_lost_file_has_left_is_not_played_into_the_next(filled: Store) -> None:
    left = filled.path.with_name("dev.db-wal")
    copy = left.with_suffix(".copy")
    shutil.copy(left, copy)
    filled.close()
    filled.path.unlink()
    copy.rename(left)
    again = Store(filled.path)
    assert rows(again, "SELECT count(*) FROM span") == [(0,)]
    again.close()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_file_that_is_read_only_says_so(filled: Store) -> None:
    filled.close()
    filled.path.chmod(0o400)
    assert "make it and its directory writable" in refusal(filled.path)


def test_a_path_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refusal(tmp_path / "file" / "dev.db")
    assert "is a directory" in refusal(tmp_path)


def test_another_writer_is_waited_for_and_then_named(filled: Store) -> None:
    other = sqlite3.connect(filled.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    filled._connection.execute("PRAGMA busy_timeout=50")
    with pytest.raises(StoreError, match="locked by another program"):
        filled.write([of("shop", span("b"))])
    other.execute("ROLLBACK")
    other.close()
    filled.write([of("shop", span("b"))])
    assert rows(filled, "SELECT spans FROM trace") == [(2,)]


def test_a_full_disk_is_said_and_what_comes_when_there_is_room_is_kept(filled: Store) -> None:
    pages = filled._connection.execute("PRAGMA page_count").fetchone()[0]
    filled._connection.execute(f"PRAGMA max_page_count={pages}")
    large = of("shop", *(span(f"{number}", values={"text": "x" * 500}) for number in range(100)))
    for _ in range(2):
        with pytest.raises(StoreError, match="is full: make room"):
            filled.write([large])
    assert rows(filled, "SELECT count(*) FROM span") == [(1,)]
    filled._connection.execute("PRAGMA max_page_count=1000000")
    filled.write([large])
    assert rows(filled, "SELECT spans FROM trace") == [(101,)]
    assert rows(filled, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_nothing_is_acknowledged_once_the_file_has_been_taken_away(filled: Store, instead: str) -> None:
    """As `git clean` does: what is written then goes with the process."""
    aside = filled.path.rename(filled.path.with_suffix(".aside"))
    if instead == "another":
        filled.path.write_bytes(aside.read_bytes())
    with pytest.raises(StoreError, match="has been taken away: start otel-kpi dev again"):
        filled.write([of("shop", span("b"))])
    filled.path.unlink(missing_ok=True)
    aside.rename(filled.path)
    filled.write([of("shop", span("c"))])


def test_a_reader_cannot_write_and_sees_only_what_is_committed(filled: Store) -> None:
    reader = filled.reader()
    assert filled.reader() is reader
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("DELETE FROM span")
    assert rows(filled, "SELECT count(*) FROM span") == [(1,)]


def test_a_store_without_a_path_leaves_nothing() -> None:
    store = Store(None)
    folder = store.path.parent
    store.write([of("shop", span("a"))])
    assert rows(store, "SELECT count(*) FROM span") == [(1,)]
    store.close()
    store.close()
    assert not folder.exists()
    with pytest.raises(StoreError):
        store.reader()


def test_a_store_without_a_path_that_was_killed_is_swept_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, second = Store(None), Store(None)
    dead = tmp_path / "otel-kpi-store-dead"
    shutil.copytree(first.path.parent, dead)
    for lock in (first.path.with_name("dev.db-lock"), dead / "dev.db-lock"):
        os.utime(lock, (0, 0))
    third = Store(None)
    assert not dead.exists()
    for each in (first, second, third):
        assert each.path.exists()
        each.close()
    assert list(tmp_path.iterdir()) == []
