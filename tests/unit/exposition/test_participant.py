from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from otel_kpi import instance
from otel_kpi.exposition.participant import PATIENCE, Binding, Participant
from otel_kpi.exposition.source import OnDemandReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from opentelemetry.metrics import CallbackOptions

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes meet on POSIX only")


class Counting:
    """A participant with a provider, and a counter."""

    def __init__(self, has_recorded: Callable[[], bool] = lambda: True) -> None:
        reader = OnDemandReader()
        self.provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
        self.meter = self.provider.get_meter("m")
        self.counter = self.meter.create_counter("c")
        self.participant = Participant(
            Binding(self.provider, reader, ("shop", "host"), has_recorded=has_recorded)
        )

    def value(self) -> Any:
        [value] = self.participant.totals().families["c_total"].series.values()
        return value


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of these tests meet."""
    monkeypatch.setattr(instance, "PRIVATE_FOLDER", str(tmp_path / f"private-{os.getuid()}"))
    return tmp_path / f"private-{os.getuid()}"


def snapshots(private: Path) -> list[Path]:
    return sorted(private.glob("exposition-*/*-*.json"))


def test_a_snapshot_is_written_when_something_was_counted_and_not_else(private: Path) -> None:
    counting = Counting()
    counting.counter.add(1)
    counting.participant.write()
    [path] = snapshots(private)
    before = path.stat()
    counting.participant.write()
    assert path.stat() == before
    counting.counter.add(1)
    counting.participant.write()
    assert path.stat().st_ino != before.st_ino or path.stat().st_mtime_ns != before.st_mtime_ns
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_who_has_nothing_to_tell_leaves_nothing(private: Path) -> None:
    counting = Counting(has_recorded=lambda: False)
    counting.counter.add(1)
    counting.participant.write()
    assert snapshots(private) == []


def test_a_folder_that_cannot_be_written_is_one_line_until_it_can(
    private: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "otel_kpi")
    counting = Counting()
    counting.counter.add(1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        for _ in range(3):
            counting.participant.write()
    assert counting.value() == 1
    counting.participant.write()
    assert len(snapshots(private)) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "No space left" in caplog.messages[0]


def test_who_has_no_folder_answers_for_itself_and_says_so_once(
    private: Path, caplog: pytest.LogCaptureFixture
) -> None:
    private.mkdir(mode=0o777)
    private.chmod(0o777)  # whoever else may write there, too
    counting = Counting()
    counting.counter.add(3)
    for _ in range(2):
        counting.participant.write()
        assert counting.value() == 3
    assert len(caplog.messages) == 1
    assert "not added up" in caplog.messages[0]


@pytest.mark.usefixtures("private")
def test_callbacks_are_asked_by_the_thread_that_looks_and_an_answer_waits_for_a_moment_only() -> None:
    counting = Counting()
    asked: list[float] = []

    def callback(_options: CallbackOptions) -> list[Observation]:
        asked.append(time.monotonic())
        return [Observation(len(asked))]

    counting.meter.create_observable_gauge("o", [callback])
    counting.counter.add(1)
    before = time.monotonic()
    assert counting.value() == 1
    assert PATIENCE <= time.monotonic() - before < 3 * PATIENCE
    assert asked == []
    counting.participant.look()  # somebody wanted to see them
    assert len(asked) == 1
    before = time.monotonic()
    totals = counting.participant.totals()
    assert time.monotonic() - before < PATIENCE
    assert list(totals.families["o"].series.values()) == [1]
    counting.participant.look()
    assert len(asked) == 1


def test_the_age_of_figures_is_that_of_the_oldest_process(private: Path) -> None:
    counting = Counting()
    counting.counter.add(1)
    counting.participant.write()
    assert counting.participant.totals().processes == 1
    assert time.time() - counting.participant.totals().oldest < 5
    assert private.exists()
