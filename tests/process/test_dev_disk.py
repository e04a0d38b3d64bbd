"""What a sender, a page and the terminal are told when nothing can be written: nothing is acknowledged that is not kept."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support.children import BIN, environment
from support.dev import sent

from otel_kpi.dev.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.proof

DEV = (str(BIN / "otel-kpi"), "dev")
NOT_WRITTEN = "otel-kpi dev: What comes is not written and not acknowledged: "
WRITTEN_AGAIN = "otel-kpi dev: What comes is written again"


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder):
        yield folder


@contextlib.contextmanager
def mounted(folder: Path) -> Generator[None]:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = disk / "ballast"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(descriptor, bytes(4096)):
            pass
    os.close(descriptor)
    return ballast


@contextlib.contextmanager
def session(store: Path, said: list[str]) -> Generator[str]:
    """`otel-kpi dev` on a store; `said` has what it said on standard error when it has ended."""
    with subprocess.Popen(
        [*DEV, "--port", "0", "--store", store],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        try:
            yield process.stderr.readline().split()[2].rstrip("/")
            process.send_signal(signal.SIGINT)
            said += process.stderr.read().splitlines()
            assert process.wait(20) == 0
        finally:
            process.kill()


def post(address: str, name: str) -> tuple[int, str | None, bytes]:
    """Status, `Retry-After` and body of the answer."""
    request = urllib.request.Request(
        f"{address}/v1/traces", sent.traces(name), {"Content-Type": "application/x-protobuf"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, None, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"], error.read()


def page(address: str, path: str) -> str:
    with urllib.request.urlopen(address + path, timeout=20) as response:
        assert response.status == 200
        return response.read().decode()


def names(store: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        rows = connection.execute("SELECT s FROM span JOIN str ON str.id = span.name ORDER BY span.id")
        return [row[0] for row in rows]


def test_a_full_disk_is_told_and_what_comes_when_there_is_room_is_kept(disk: Path) -> None:
    said: list[str] = []
    with session(disk / "dev.db", said) as address:
        assert post(address, "before")[0] == 200
        ballast = fill(disk)
        for number in range(5):
            status, later, why = post(address, f"not kept {number} {'long ' * 2_000}")
            assert (status, later) == (503, "5")
            assert b"is full: make room there" in why
        for path in ("/", "/traces", "/errors", "/logs"):
            assert "is full: make room there" in page(address, path)  # beside what is kept
        ballast.unlink()
        assert post(address, "after")[0] == 200
        assert "is full" not in page(address, "/")
        assert "is full: make room there" in page(address, "/telemetry")  # that it was
    assert [line.partition(": the disk")[0] for line in said if line.startswith("otel-kpi dev: What")] == [
        NOT_WRITTEN.rstrip(": "),
        WRITTEN_AGAIN,
    ]
    assert names(disk / "dev.db") == ["before", "after"]


def test_a_store_that_another_program_keeps_locked_is_told_and_taken_up_again(tmp_path: Path) -> None:
    said: list[str] = []
    store = tmp_path / "dev.db"
    with session(store, said) as address:
        assert post(address, "before")[0] == 200
        with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            status, later, why = post(address, "not kept")
            assert (status, later) == (503, "5")
            assert b"is locked by another program" in why
            shown = page(address, "/traces")
            assert "before" in shown
            assert "What comes is not kept" in shown
            other.execute("ROLLBACK")
        assert post(address, "after")[0] == 200
    assert [line for line in said if line.startswith("otel-kpi dev: What")] == [
        f"{NOT_WRITTEN}{store} is locked by another program that writes to it: close that one, and try again",
        WRITTEN_AGAIN,
    ]
    assert names(store) == ["before", "after"]


def test_a_disk_that_cannot_be_written_is_refused_in_a_line_and_its_store_can_be_looked_at(
    disk: Path,
) -> None:
    store = Store(disk / "dev.db")
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    done = subprocess.run(
        [*DEV, "--port", "0", "--store", disk / "dev.db"],
        env=environment(), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "Read-only file system" in done.stderr
    assert "choose another file with --store" in done.stderr
    done = subprocess.run(
        [*DEV, "sql", "SELECT count(*) FROM spans", "--csv", "--store", disk / "dev.db"],
        env=environment(), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "count(*)\n0\n", "")
