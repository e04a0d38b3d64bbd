"""A sign of life of runs that take long, once a minute, from one thread for all of them.

There is no thread until a run is older than that. Whoever collects metrics looks at the runs each time, and so does
each stage that begins; the first that sees a long run starts the thread, which ends when there are none.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.packs.etl import events, underway
from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl.handles import SCOPE
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_kpi.packs.etl.run import Run
    from otel_kpi.packs.etl.stage import Stage

VARIABLE: Final = "OTEL_KPI_ETL_HEARTBEAT_INTERVAL"
_DEFAULT: Final = 60.0
_LEAST: Final = 0.05


def interval() -> float:
    """Seconds between two signs of life, from the environment in milliseconds; infinite when there are to be none."""
    try:
        seconds = float(os.environ.get(VARIABLE, "") or _DEFAULT * 1000) / 1000
    except ValueError:
        return _DEFAULT
    return max(seconds, _LEAST) if seconds > 0 else float("inf")


class Heartbeat:
    """Beats for the runs of this process."""

    def __init__(self) -> None:
        self.interval = _DEFAULT
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next_look = 0.0

    def look(self) -> None:
        """Start the thread if there is a run that needs it."""
        now = time.perf_counter()
        if now < self._next_look or self._thread is not None:
            return
        try:
            self.interval = interval()
            self._next_look = now + min(1.0, self.interval / 4)
            if any(now - each.began >= self.interval for each in self.runs()):
                self._start()
        except Exception as error:
            failed("a heartbeat", error)

    def runs(self) -> Iterator[Run]:
        """The runs that are under way."""
        for each in underway.all_open():
            if getattr(each, "what", "") == "run":
                yield each  # pyright: ignore[reportReturnType] - by its `what`, since a run's module needs this one

    def stages_of(self, run: Run) -> Iterator[Stage]:
        """The stages of a run that are under way, the outermost first."""
        for each in underway.all_open():
            if getattr(each, "what", "") == "stage" and getattr(each, "run", None) is run:
                yield each  # pyright: ignore[reportReturnType] - as above

    def ages(self) -> Iterable[tuple[float, str | None]]:
        """Seconds since the oldest run of each model began; asked at each collection of metrics."""
        self.look()
        oldest: dict[str | None, float] = {}
        for run in self.runs():
            oldest.setdefault(run.model, run.began)
        now = time.perf_counter()
        return [(now - began, model) for model, began in oldest.items()]

    def begin_anew(self) -> None:
        """In a forked child, where threads and runs are the parent's."""
        self._lock = threading.Lock()
        self._thread = None
        self._next_look = 0.0

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat, name="otel-kpi-heartbeat", daemon=True)
                self._thread.start()

    def _beat(self) -> None:
        wait = threading.Event()
        while True:
            now = time.perf_counter()
            soonest = float("inf")
            for run in self.runs():
                if now - run.beat >= self.interval:
                    run.beat = now
                    self._emit(run)
                soonest = min(soonest, run.beat + self.interval)
            with self._lock:
                if soonest == float("inf"):
                    self._thread = None
                    return
            wait.wait(max(soonest - time.perf_counter(), _LEAST))

    def _emit(self, run: Run) -> None:
        from otel_kpi.packs.etl.scope import facts

        try:
            stages = list(self.stages_of(run))
            for each in stages:
                each.report()
            seconds = time.perf_counter() - run.began
            attributes: dict[str, Any] = {
                **run.describe(),
                names.RUN_ELAPSED_TIME.name: seconds,
                names.STAGE_NAME.name: stages[-1].name if stages else None,
                **facts(run.totals(), run.quality),
            }
            events.emit(
                names.RUN_HEARTBEAT.name,
                f"run of {run.pipeline} is under way for {seconds:.0f} s",
                attributes,
                within=run.context,
            )
        except Exception as error:
            failed("a heartbeat", error)


HEARTBEAT: Final = Heartbeat()
_ages = record.observe(names.RUN_ELAPSED, HEARTBEAT.ages, SCOPE)

forks.in_child(HEARTBEAT.begin_anew)
