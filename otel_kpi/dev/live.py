"""`/events`: after each commit what is new, as server-sent events; one connection for a whole browser.

An event says little: how much came, and which traces. A page asks for what it wants to show of it, drawn by the server.
What came close together is one event, a listener that does not keep up gets what it missed as one, and who comes again
with `Last-Event-ID` gets what there was since.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from otel_kpi.dev import literals

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.intake import Committed, Intake
    from otel_kpi.dev.state import Dev

TOGETHER_SECONDS: Final = 0.1
"""What is committed within it is one event."""
HEARTBEAT_SECONDS: Final = 15.0
"""How often a silent connection says that it is alive."""
MOST_LISTENERS: Final = 64
_KEPT: Final = 256
"""Events that are kept for who comes again."""
_MOST_TRACES: Final = 50
"""Traces in an event; of more there is the number."""
_RETRY_MILLISECONDS: Final = 1_000

_logger = logging.getLogger("otel_kpi.dev.live")


@dataclass(slots=True)
class News:
    """What came since something.

    Attributes:
        traces: Rows of the newest traces that are new or have changed, the newest last.
        changed: How many have, those included that are not named.
        missed: Some of what came before these is not known any more: a page draws itself anew.
    """

    spans: int = 0
    logs: int = 0
    points: int = 0
    traces: list[int] = field(default_factory=list[int])
    changed: int = 0
    missed: bool = False

    def add(self, other: News | Committed) -> None:
        """Take what came after it to it."""
        self.spans += other.spans
        self.logs += other.logs
        self.points += other.points
        self.changed += other.changed if isinstance(other, News) else len(other.traces)
        rows = dict.fromkeys(self.traces)
        for row in other.traces[-_MOST_TRACES:]:
            rows.pop(row, None)
            rows[row] = None
        self.traces = list(rows)[-_MOST_TRACES:]
        # Commits that did not come here are as unknown as events that are gone.
        self.missed |= bool(other.missed)

    def written(self, number: str) -> bytes:
        """As an event."""
        data = {
            "spans": self.spans, "logs": self.logs, "points": self.points, "traces": self.traces,
            "changed": self.changed, "missed": self.missed,
        }  # fmt: skip
        return b"id: %s\ndata: %s\n\n" % (number.encode(), orjson.dumps(data))


class Listener:
    """One connection: what waits for it is one piece of news, however much it is."""

    def __init__(self, news: News | None, number: int) -> None:
        self._waiting = news
        self._number = number
        self._woken = asyncio.Event()
        if news is not None:
            self._woken.set()

    def tell(self, news: News, number: int) -> None:
        """Add to what waits."""
        if self._waiting is None:
            self._waiting = News()
        self._waiting.add(news)
        self._number = number
        self._woken.set()

    def end(self) -> None:
        """Have `take` return at once."""
        self._woken.set()

    async def take(self, seconds: float) -> tuple[News, int] | None:
        """What waits, as soon as there is something; None where nothing came in this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return None
        self._woken.clear()
        news, self._waiting = self._waiting, None
        return None if news is None else (news, self._number)


class Live:
    """What goes on, for all who listen; on the loop alone.

    Args:
        intake: Whose commits are told.
        together: Seconds; see `TOGETHER_SECONDS`.
        heartbeat: Seconds; see `HEARTBEAT_SECONDS`.
    """

    def __init__(
        self, intake: Intake, *, together: float = TOGETHER_SECONDS, heartbeat: float = HEARTBEAT_SECONDS
    ) -> None:
        self._intake = intake
        self._together = together
        self._heartbeat = heartbeat
        self._kept: deque[tuple[int, News]] = deque(maxlen=_KEPT)
        self._number = 0
        # Numbers of another process say nothing here.
        self._name = f"{id(self) & 0xFFFFFF:x}"
        self._listeners: set[Listener] = set()
        self._following: asyncio.Task[None] | None = None
        self._ended = False

    @property
    def full(self) -> bool:
        """Whether no more may listen."""
        return len(self._listeners) >= MOST_LISTENERS

    async def events(self, last: str = "") -> AsyncGenerator[bytes]:
        """The bytes of one connection.

        Args:
            last: The `Last-Event-ID` of who comes again; empty of who is new.
        """
        if self._following is None or self._following.done():
            self._following = asyncio.get_running_loop().create_task(self._follow())
        listener = Listener(self._since(last), self._number)
        self._listeners.add(listener)
        try:
            # The first event names the place from which to go on, so that nothing is lost even before there is another.
            yield b"retry: %d\nid: %s\nevent: hello\ndata: {}\n\n" % (
                _RETRY_MILLISECONDS,
                self._identity(self._number).encode(),
            )
            while not self._ended:
                taken = await listener.take(self._heartbeat)
                if taken is not None:
                    news, number = taken
                    yield news.written(self._identity(number))
                elif not self._ended:
                    yield b"event: alive\ndata: {}\n\n"
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """End all connections."""
        self._ended = True
        if self._following is not None:
            self._following.cancel()
        for listener in self._listeners:
            listener.end()

    def _identity(self, number: int) -> str:
        return f"{self._name}-{number}"

    def _since(self, last: str) -> News | None:
        """What came since an event; with `missed` where that is not known."""
        if not last:
            return None
        name, _, text = last.partition("-")
        number = -1 if (said := literals.whole(text)) is None else said
        if name == self._name and number == self._number:
            return None
        news = News()
        oldest = self._kept[0][0] if self._kept else self._number + 1
        news.missed = name != self._name or number > self._number or number + 1 < oldest
        for each, kept in self._kept:
            if news.missed or each > number:
                news.add(kept)
        return news

    async def _follow(self) -> None:
        waiting = News()
        flush: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()

        def tell() -> None:
            nonlocal waiting, flush
            news, waiting, flush = waiting, News(), None
            self._number += 1
            self._kept.append((self._number, news))
            for listener in self._listeners:
                listener.tell(news, self._number)

        try:
            async for committed in self._intake.follow():
                waiting.add(committed)
                if flush is None:
                    flush = loop.call_later(self._together, tell)
        except asyncio.CancelledError:
            raise
        except Exception:
            _logger.exception("what is new is not told any more")
        finally:
            if flush is not None:
                flush.cancel()


def live(dev: Dev, state: object) -> Live | None:
    """What goes on in this process; None where nothing is received.

    Args:
        dev: What is running.
        state: Of the application; it keeps what this gives.
    """
    found: Live | None = getattr(state, "live", None)
    if found is None and dev.intake is not None:
        found = Live(dev.intake)
        setattr(state, "live", found)  # noqa: B010 - Starlette's state takes any name
    return found


async def _events(request: Request) -> Response:
    told = live(request.app.state.dev, request.app.state)
    if told is None:
        return PlainTextResponse("nothing is received here", 404)
    if told.full:
        return PlainTextResponse("too many listen", 503, {"retry-after": "10"})
    return StreamingResponse(
        told.events(request.headers.get("last-event-id", "")),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


ROUTES: Final[list[BaseRoute]] = [Route("/events", _events)]
