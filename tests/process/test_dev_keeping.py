"""Nothing is acknowledged that is not kept: on a full disk, a locked or a read-only one, and when `otel-kpi dev` is killed."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from support.children import environment
from support.dev import sent
from support.dev.sessions import DEV, dev, names, post

from otel_kpi.dev.store import Store

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.proof

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


def page(address: str, path: str) -> str:
    with urllib.request.urlopen(address + path, timeout=20) as response:
        assert response.status == 200
        return response.read().decode()


def ended(process: subprocess.Popen[str]) -> list[str]:
    """What a session that is ended by Ctrl-C has said of its writing."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    return [line for line in said.splitlines() if line.startswith("otel-kpi dev: What")]


def test_a_full_disk_is_told_and_what_comes_when_there_is_room_is_kept(disk: Path, tmp_path: Path) -> None:
    with dev(tmp_path, "--port=0", "--store", str(disk / "dev.db")) as (process, address):
        assert post(address, sent.traces("before"))[0] == 200
        ballast = fill(disk)
        for number in range(5):
            status, later, why = post(address, sent.traces(f"not kept {number} {'long ' * 2_000}"))
            assert (status, later) == (503, "5")
            assert b"is full: make room there" in why
        for path in ("/", "/traces", "/errors", "/logs"):
            assert "is full: make room there" in page(address, path)  # beside what is kept
        ballast.unlink()
        assert post(address, sent.traces("after"))[0] == 200
        assert "is full" not in page(address, "/")
        assert "is full: make room there" in page(address, "/telemetry")  # that it was
        said = ended(process)
    assert [line.partition("the disk")[0] for line in said] == [NOT_WRITTEN, WRITTEN_AGAIN]
    assert names(disk / "dev.db") == ["before", "after"]


def test_a_store_that_another_program_keeps_locked_is_told_and_taken_up_again(tmp_path: Path) -> None:
    store = tmp_path / "dev.db"
    with dev(tmp_path, "--port=0", "--store", str(store)) as (process, address):
        assert post(address, sent.traces("before"))[0] == 200
        with contextlib.closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            status, later, why = post(address, sent.traces("not kept"))
            assert (status, later) == (503, "5")
            assert b"is locked by another program" in why
            shown = page(address, "/traces")
            assert "before" in shown
            assert "What comes is not kept" in shown
            other.execute("ROLLBACK")
        assert post(address, sent.traces("after"))[0] == 200
        said = ended(process)
    assert said == [
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


@pytest.mark.timeout(400)
def test_what_was_acknowledged_survives_twenty_kills_in_the_middle(tmp_path: Path) -> None:
    store = tmp_path / ".otel-kpi" / "dev.db"
    draw = random.Random(5)
    acknowledged: set[str] = set()

    def send(address: str, sender: str) -> None:
        for number in itertools.count():
            name = f"{sender} {number}"
            try:
                assert post(address, sent.traces(name))[0] == 200
            except (OSError, http.client.HTTPException):
                return  # it has been killed, and has not said that it has this one
            acknowledged.add(name)

    for kill in range(20):
        before = len(acknowledged)
        with dev(tmp_path, "--port=0") as (process, address):
            senders = [
                threading.Thread(target=send, args=(address, f"{kill} {number}")) for number in range(4)
            ]
            for each in senders:
                each.start()
            time.sleep(draw.uniform(0.1, 0.5))  # any moment is as good as another: that is the point
            process.kill()
            for each in senders:
                each.join(30)
        assert len(acknowledged) > before
        assert acknowledged <= {*names(store)}
        with contextlib.closing(sqlite3.connect(store)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    print(f"{len(acknowledged)} spans acknowledged in 20 rounds, {len(names(store))} kept")
