"""`otel-kpi dev sql|export|import` as a person types them: what goes out comes in again, and nothing is harmed."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.children import BIN, environment, running, stop
from support.dev import samples

from otel_kpi.dev.store import Store

if TYPE_CHECKING:
    from pathlib import Path

DEV = f"{BIN / 'otel-kpi'} dev"
SIGPIPE_STATUS = 141


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in it."""
    folder = tmp_path_factory.mktemp("kept")
    store = Store(folder / ".otel-kpi" / "dev.db")
    store.write([*samples.requests(800)])
    store.close()
    return folder


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of a shell; its status is that of the first part of a pipe."""
    return subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"],
        env=environment(), cwd=folder, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_what_goes_out_comes_in_again(kept: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    done = shell(f"{DEV} export | {DEV} import - --store {there}", kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("imported 800 spans, ")
    assert shell(f"cmp <({DEV} export) <({DEV} export --store {there})", kept).returncode == 0


@pytest.mark.parametrize("command", ["export", "sql 'SELECT * FROM spans' --json"])
def test_a_reader_that_has_gone_is_no_error(kept: Path, command: str) -> None:
    done = shell(f"{DEV} {command} | true", kept)
    assert (done.returncode, done.stderr) == (SIGPIPE_STATUS, "")


@pytest.mark.proof
@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("DELETE FROM span", "it may only read"),
        ("SELECT 1; DROP TABLE span", "one statement at a time"),
        ("ATTACH 'other.db' AS other", "it may only read"),
        ("PRAGMA journal_mode=DELETE", "it may only read"),
        ("VACUUM INTO 'copy.db'", "it may only read"),
        ("WITH gone AS (SELECT 1) DELETE FROM span", "it may only read"),
        ("SELECT load_extension('libm.so.6')", "it may only read"),
        ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t", "stopped after 0.5 s"),
        ("SELECT count(*) FROM span, span AS b, span AS c, span AS d", "stopped after 0.5 s"),
        ("SELECT randomblob(1000000000)", "too big"),
        ("SELEC", "syntax error"),
        ("", "there is nothing to answer"),
    ],
)  # fmt: skip
def test_a_question_that_may_not_be_is_refused_in_one_line(
    kept: Path, tmp_path: Path, question: str, why: str
) -> None:
    store = kept / ".otel-kpi" / "dev.db"
    before = store.read_bytes()
    done = subprocess.run(
        [BIN / "otel-kpi", "dev", "sql", question, "--store", store, "--seconds", "0.5"],
        env=environment(), cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("otel-kpi dev sql: ")
    assert done.stderr.count("\n") == 1
    assert why in done.stderr
    assert store.read_bytes() == before
    assert not list(tmp_path.iterdir())


@pytest.mark.proof
@pytest.mark.parametrize("command", ["sql 'SELECT 1'", "export", "import lines.jsonl"])
def test_a_file_that_is_none_of_ours_is_left_as_it_is(tmp_path: Path, command: str) -> None:
    (tmp_path / "lines.jsonl").write_text("{}\n")
    (tmp_path / "notes.txt").write_text("remember the milk\n")
    with contextlib.closing(sqlite3.connect(tmp_path / "theirs.db")) as theirs:
        theirs.execute("CREATE TABLE address (name)")
    for name, why in (
        ("notes.txt", "is no file of otel-kpi's, and is left as it is"),
        ("theirs.db", "is another program's database, and is left as it is"),
    ):
        before = (tmp_path / name).read_bytes()
        done = shell(f"{DEV} {command} --store {name}", tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
        assert done.stderr.count("\n") == 1
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.proof
@pytest.mark.parametrize("store", [(), ("--store", ".otel-kpi/another.db")], ids=["default", "named"])
def test_what_is_imported_is_kept_out_of_git_as_what_is_received_is(
    kept: Path, tmp_path: Path, store: tuple[str, ...]
) -> None:
    assert shell(f"{DEV} export | (cd {tmp_path} && {DEV} import - {' '.join(store)})", kept).stderr == ""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert shell("git status --short", tmp_path).stdout == ""


@pytest.mark.proof
def test_what_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    for command, why in (
        ("sql 'SELECT 1'", ".otel-kpi/dev.db is not there: otel-kpi dev makes it"),
        ("export", ".otel-kpi/dev.db is not there: otel-kpi dev makes it"),
        ("import gone.jsonl", "gone.jsonl: No such file or directory"),
    ):
        done = shell(f"{DEV} {command}", tmp_path)
        name = command.split()[0]
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"otel-kpi dev {name}: {why}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.proof
def test_the_store_of_a_session_that_runs_is_read_and_filled(kept: Path, tmp_path: Path) -> None:
    assert shell(f"{DEV} export {tmp_path / 'all.jsonl.gz'}", kept).returncode == 0
    command = [
        str(BIN / "otel-kpi"),
        "dev",
        "--port",
        "0",
        "--quiet",
        "--",
        "sh",
        "-c",
        "echo runs; exec sleep 60",
    ]
    with running(command, environment(), tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "runs\n"
        done = shell(f"{DEV} import all.jsonl.gz", tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        done = shell(f"{DEV} sql 'SELECT count(*) AS spans FROM spans' --csv", tmp_path)
        assert (done.returncode, done.stdout) == (0, "spans\n800\n")
        assert shell(f"cmp <({DEV} export) <(gunzip < all.jsonl.gz)", tmp_path).returncode == 0
        stop(process)
