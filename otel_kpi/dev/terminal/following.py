"""Prints each trace once it has come to rest."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

from otel_kpi.dev.terminal.gathering import Gathered, Gathering
from otel_kpi.dev.terminal.lines import as_json as json_line
from otel_kpi.dev.terminal.lines import plain, tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from otel_kpi.dev.intake import Committed
    from otel_kpi.dev.state import Dev

_TICK: Final = 0.1
_END: Final = 0.5
"""Seconds in which what was committed last is waited for: a closed intake ends it at once."""
_MOST_A_SECOND: Final = 20
"""Traces that a person is shown in a second; more are counted."""


async def follow(dev: Dev, *, out: TextIO | None = None, quiet: bool = False, as_json: bool = False) -> None:
    """Print each trace as it comes, until cancelled; then what has not come to rest.

    Args:
        dev: What is running.
        out: Where to; None is standard output. Trees are drawn where it is a terminal, else each trace is one line.
        quiet: Print nothing.
        as_json: A line of JSON for each trace.
    """
    if quiet or dev.intake is None:
        return
    printer = Printer(out or sys.stdout, dev.address, as_json=as_json)
    gathering, came = Gathering(), asyncio.Event()
    taking = asyncio.create_task(_take(dev.intake.follow(), gathering, came))
    try:
        while True:
            await came.wait()
            # While a trace is still coming nothing tells that it has ended: only that nothing comes any more.
            await asyncio.sleep(_TICK)
            now = time.monotonic()
            traces, passed, missed = gathering.due(now), gathering.passed, gathering.missed
            if traces or passed or missed:
                gathering.passed = gathering.missed = 0
                await asyncio.to_thread(printer.show, traces, passed, missed, now)
            if not gathering:
                came.clear()
                await asyncio.to_thread(printer.rest)
    except (BrokenPipeError, ValueError):
        return  # nobody reads any more, or the stream was closed
    except asyncio.CancelledError:
        # A command that was short has ended before its traces came to rest.
        await asyncio.wait([taking], timeout=_END)
        with contextlib.suppress(BrokenPipeError, ValueError):
            printer.show(gathering.due(math.inf), gathering.passed, gathering.missed, time.monotonic())
            printer.rest()
        raise
    finally:
        taking.cancel()


async def _take(commits: AsyncIterator[Committed], gathering: Gathering, came: asyncio.Event) -> None:
    async for committed in commits:
        gathering.missed += committed.missed
        if committed.spans or committed.missed:
            gathering.take(committed.requests, time.monotonic())
            came.set()


class Printer:
    """Writes traces to a stream.

    Args:
        out: Where to.
        address: That of the pages.
        as_json: A line of JSON each, and all of them.
    """

    def __init__(self, out: TextIO, address: str, *, as_json: bool = False) -> None:
        self._out = out
        self._json = as_json
        self._address = address
        self._draw = _drawing(out) if not as_json and out.isatty() else None
        self._second, self._shown, self._passed, self._missed = 0, 0, 0, 0

    def show(self, traces: list[Gathered], passed: int, missed: int, now: float) -> None:
        """Print traces; those that are too many for a person are counted."""
        self._turn(int(now))
        self._passed += passed
        self._missed += missed
        for trace in traces:
            if self._json:
                self._out.write(json_line(trace, self._address) + "\n")
            elif self._admits():
                if self._draw is None:
                    self._out.write(plain(trace) + "\n")
                else:
                    self._draw(trace)
            else:
                self._passed += 1
        self._out.flush()

    def rest(self) -> None:
        """Say what was not shown, now that there is time for it."""
        said = [f"{self._passed} more traces"] if self._passed else []
        if self._missed:
            said.append("more than could be followed")
        if said and not self._json:
            self._out.write(f"… {' and '.join(said)}, see {self._address}/traces\n")
            self._out.flush()
        self._passed = self._missed = 0

    def _turn(self, second: int) -> None:
        if second != self._second:
            self.rest()
            self._second, self._shown = second, 0

    def _admits(self) -> bool:
        self._shown += 1
        return self._shown <= _MOST_A_SECOND


def _drawing(out: TextIO) -> Callable[[Gathered], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False, markup=False, emoji=False, soft_wrap=False)

    def draw(trace: Gathered) -> None:
        for words in tree(trace):
            line = Text(" ").join(Text(word, style) for word, style in words)
            console.print(line, no_wrap=True, overflow="ellipsis")

    return draw
