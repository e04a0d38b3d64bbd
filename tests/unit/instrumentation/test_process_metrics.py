"""What a process says of itself can be silenced, and what a system does not tell is left out without a word."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import psutil

from otel_kpi import instrumentation
from otel_kpi.instrumentation.runtime.process_metrics import Instrumentor

if TYPE_CHECKING:
    import pytest
    from support.captured import Captured


def test_figures_are_those_of_this_process(captured: Captured) -> None:
    [memory] = captured.points("process.memory.usage")
    assert memory.value > 10_000_000
    [threads] = captured.points("process.thread.count")
    assert threads.value == psutil.Process(os.getpid()).num_threads()
    switches = captured.points("process.context_switches")
    assert {point.attributes["process.context_switch.type"] for point in switches} == {
        "voluntary",
        "involuntary",
    }


def test_silenced_it_says_nothing_and_again_it_speaks(captured: Captured) -> None:
    instrumentation.uninstall()
    assert captured.points("process.memory.usage") == []
    instrumentation.install()
    assert len(captured.points("process.memory.usage")) == 1


def test_process_that_has_recorded_nothing_is_silent(captured: Captured) -> None:
    told: list[int] = []
    Instrumentor().instrument(has_recorded=lambda: bool(told))
    assert captured.points("cpython.gc.collections") == []
    told.append(1)
    assert len(captured.points("cpython.gc.collections")) == 3


def test_figure_that_the_system_refuses_is_left_out_and_the_others_stay(
    captured: Captured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Any) -> Any:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "io_counters", refuse)
    assert captured.points("process.disk.io") == []
    assert len(captured.points("process.memory.usage")) == 1
    assert caplog.records == []
