"""Content apart from telemetry: each text once, under its content's name, and never at the cost of the application."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.measured import Measured, measured

from otel_kpi.sdk import content_store
from otel_kpi.sdk.content_store import ContentStore

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

DAY = "2026-11-21"


@pytest.fixture
def series() -> Generator[Measured]:
    """What is counted in this test."""
    with measured() as found:
        yield found


def written(store: ContentStore) -> bool:
    return store.begin_drain(time.monotonic() + 10.0, final=False)()


def store_in(base: object) -> ContentStore:
    return ContentStore(str(base), lambda: DAY)


def test_text_is_in_the_file_that_its_content_names_for_its_owner_only(tmp_path: Path) -> None:
    store = store_in(tmp_path / "kept")
    text = '[{"role":"user"}]'
    address = store.put(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert address == f"{tmp_path}/kept/{DAY}/{digest}.json"
    assert written(store)
    path = tmp_path / "kept" / DAY / f"{digest}.json"
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert str(store.put("no JSON")).endswith(".txt")


def test_same_text_is_written_once(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    first = store.put("a")
    assert written(store)
    changed = (tmp_path / DAY / str(first).rpartition("/")[2]).stat().st_mtime_ns
    assert store.put("a") == first
    another = store_in(tmp_path)
    assert another.put("a") == first
    assert written(store)
    assert written(another)
    assert (tmp_path / DAY / str(first).rpartition("/")[2]).stat().st_mtime_ns == changed


def test_what_cannot_be_written_is_counted_and_one_line_says_so(
    tmp_path: Path, series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    store = store_in(tmp_path / "file")
    with caplog.at_level(logging.WARNING, "otel_kpi.content"):
        for number in range(5):
            assert store.put(f"text {number}") is not None
        assert written(store)
        (tmp_path / "file").unlink()
        store.put("text 0")
        assert written(store)
    assert series.value("otel_kpi_content_lost_total", otel_kpi_content_reason="error") == 5
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "content is lost" in lines[0]
    assert lines[1] == "content is kept again"
    assert len(list((tmp_path / "file").rglob("*.txt"))) == 1


def test_full_queue_drops_and_counts_and_never_waits(
    tmp_path: Path, series: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_write, is_writing = threading.Event(), threading.Event()

    class Slow(ContentStore):
        def _write(self, address: str, text: str) -> None:
            is_writing.set()
            may_write.wait(10.0)
            super()._write(address, text)

    monkeypatch.setattr(content_store, "_MOST", 3)
    store = Slow(str(tmp_path), lambda: DAY)
    assert store.put("first") is not None
    assert is_writing.wait(10.0)
    began = time.monotonic()
    kept = [store.put(f"text {number}") for number in range(10)]
    assert not store.begin_drain(time.monotonic() + 0.05, final=True)()
    assert time.monotonic() - began < 3.0
    assert [each is not None for each in kept] == [True] * 3 + [False] * 7
    assert store.waiting() == 4
    may_write.set()
    assert written(store)
    assert series.value("otel_kpi_content_lost_total", otel_kpi_content_reason="full") == 7
    assert len(list(tmp_path.rglob("*.txt"))) == 4


def test_texts_that_are_too_large_together_are_dropped(
    tmp_path: Path, series: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_store, "_MOST_CHARACTERS", 100)
    store = store_in(tmp_path)
    assert store.put("x" * 101) is None
    assert store.put("x" * 99) is not None
    assert written(store)
    assert series.value("otel_kpi_content_lost_total", otel_kpi_content_reason="full") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_forked_child_writes_its_own(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.put("parent")
    assert written(store)
    child = os.fork()
    if child == 0:
        store.put("child")
        os._exit(0 if written(store) and store.put("parent") is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(list(tmp_path.rglob("*.txt"))) == 2


def test_store_that_needs_what_is_not_installed_keeps_nothing_and_gives_no_address(
    series: Measured, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_name: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", missing)
    store = store_in("s3://bucket/prompts")
    assert store.put("said") is None
    assert written(store)
    assert "fsspec is not installed" in caplog.text
    assert series.value("otel_kpi_content_lost_total", otel_kpi_content_reason="error") == 1


def test_relative_folder_is_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = store_in("prompts/")
    assert str(store.put("said")).startswith(f"{tmp_path}/prompts/{DAY}/")
    assert written(store)


def test_address_of_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    store = store_in("memory://prompts")
    address = store.put("said")
    assert written(store)
    assert address is not None
    assert fsspec.filesystem("memory").cat_file(address) == b"said"
