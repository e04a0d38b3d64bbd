"""`/events`: what is new arrives soon, nothing is lost between two connections, nobody makes it grow."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.dev import samples
from support.dev.served import Served, served

from otel_kpi.dev.intake import Committed
from otel_kpi.dev.live import MOST_LISTENERS, Live, News

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


class Source:
    """An intake of which only what `Live` follows is asked."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Committed] = asyncio.Queue()

    async def follow(self) -> AsyncIterator[Committed]:
        while True:
            yield await self.queue.get()

    def commit(self, *traces: int, spans: int = 1) -> None:
        self.queue.put_nowait(Committed([], list(traces), spans))


def live(source: Source, **options: float) -> Live:
    return Live(source, **{"together": 0.0, "heartbeat": 5.0, **options})  # type: ignore[arg-type] - it has what is asked of it


def read(event: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in event.decode().strip().splitlines())


async def following(told: Live, last: str = "") -> tuple[Any, dict[str, str]]:
    """A connection that has said hello, and its first event."""
    events = told.events(last)
    hello = read(await anext(events))
    for _ in range(5):
        await asyncio.sleep(0)  # the follower begins
    return events, hello


@on_a_loop
async def test_news_are_small_and_carry_what_is_new() -> None:
    source = Source()
    told = live(source)
    events, hello = await following(told)
    assert hello["event"] == "hello"

    source.commit(4, 5, spans=12)

    event = read(await asyncio.wait_for(anext(events), 5))
    assert json.loads(event["data"]) == {
        "spans": 12,
        "logs": 0,
        "points": 0,
        "traces": [4, 5],
        "changed": 2,
        "missed": False,
    }
    told.close()


@on_a_loop
async def test_what_is_committed_close_together_is_one_event() -> None:
    source = Source()
    told = live(source, together=0.05)
    events, _ = await following(told)

    for row in range(200):
        source.commit(row)

    news = json.loads(read(await asyncio.wait_for(anext(events), 5))["data"])
    assert (news["spans"], news["changed"]) == (200, 200)
    assert news["traces"] == list(range(150, 200)), "the newest are named"
    told.close()


@on_a_loop
async def test_a_listener_that_does_not_read_holds_one_piece_of_news() -> None:
    source = Source()
    told = live(source)
    events, _ = await following(told)

    for row in range(500):
        source.commit(row)
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)

    news = json.loads(read(await asyncio.wait_for(anext(events), 5))["data"])
    assert news["spans"] == 500
    assert len(news["traces"]) == 50
    told.close()


@on_a_loop
async def test_who_comes_again_gets_what_came_since() -> None:
    source = Source()
    told = live(source)
    events, _ = await following(told)
    source.commit(1)
    last = read(await asyncio.wait_for(anext(events), 5))["id"]
    await events.aclose()
    source.commit(2)
    source.commit(3)
    await asyncio.sleep(0.05)

    again, _ = await following(told, last)

    news = json.loads(read(await asyncio.wait_for(anext(again), 5))["data"])
    assert (news["traces"], news["missed"]) == ([2, 3], False)
    told.close()


@pytest.mark.parametrize("last", ["another-4", "nonsense", "-", "x" * 500, "another-99999999999"])
@on_a_loop
async def test_who_comes_from_elsewhere_is_told_to_draw_anew(last: str) -> None:
    source = Source()
    told = live(source)

    again, _ = await following(told, last)

    assert json.loads(read(await asyncio.wait_for(anext(again), 5))["data"])["missed"]
    told.close()


@pytest.mark.parametrize("number", ["9" * 5_000, "\uff11", "-1", "x", ""])
@on_a_loop
async def test_who_names_an_event_that_never_was_missed_something(number: str) -> None:
    source = Source()
    told = live(source)
    events, hello = await following(told)
    source.commit(1)
    await asyncio.wait_for(anext(events), 5)

    again = told.events(f"{hello['id'].partition('-')[0]}-{number}")
    await anext(again)

    assert json.loads(read(await asyncio.wait_for(anext(again), 5))["data"])["missed"]
    told.close()


@on_a_loop
async def test_more_events_than_are_kept_are_said_to_be_missed() -> None:
    source = Source()
    told = live(source)
    events, hello = await following(told)
    await events.aclose()
    for row in range(400):
        source.commit(row)
        await asyncio.sleep(0.0001)
    await asyncio.sleep(0.05)

    again, _ = await following(told, hello["id"])

    assert json.loads(read(await asyncio.wait_for(anext(again), 5))["data"])["missed"]
    told.close()


@on_a_loop
async def test_commits_that_came_too_fast_to_be_followed_are_said_to_be_missed() -> None:
    source = Source()
    told = live(source)
    events, _ = await following(told)
    source.queue.put_nowait(Committed([], [9], 1, missed=3))
    assert json.loads(read(await asyncio.wait_for(anext(events), 5))["data"])["missed"]
    source.commit(10)
    assert not json.loads(read(await asyncio.wait_for(anext(events), 5))["data"])["missed"]
    await events.aclose()
    told.close()


@on_a_loop
async def test_a_silent_connection_says_that_it_is_alive() -> None:
    source = Source()
    told = live(source, heartbeat=0.02)
    events, _ = await following(told)

    assert read(await asyncio.wait_for(anext(events), 5))["event"] == "alive"
    told.close()


@on_a_loop
async def test_closing_ends_every_connection() -> None:
    source = Source()
    told = live(source)
    events, _ = await following(told)
    waiting = asyncio.create_task(anext(events, None))
    await asyncio.sleep(0)

    told.close()

    assert await asyncio.wait_for(waiting, 5) is None


@on_a_loop
async def test_the_number_of_listeners_is_bounded() -> None:
    source = Source()
    told = live(source)
    connections = [await following(told) for _ in range(MOST_LISTENERS)]
    assert told.full

    await connections[0][0].aclose()

    assert not told.full
    told.close()


def test_news_that_come_together_name_a_trace_once() -> None:
    news = News(traces=[1, 2], changed=2)
    news.add(News(spans=3, traces=[2, 1, 5], changed=3))
    assert (news.traces, news.spans, news.changed) == ([2, 1, 5], 3, 5)


# --- by a real server


@pytest.fixture(scope="module")
def server() -> Generator[Served]:
    with served() as running:
        yield running


@contextlib.contextmanager
def listening(server: Served) -> Generator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/events", headers={"accept": "text/event-stream"})
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def told(response: http.client.HTTPResponse, kind: str = "data: ") -> str:
    while line := response.readline():
        if line.decode().startswith(kind) and line != b"data: {}\n":
            return line.decode()[len(kind) :].strip()
    raise AssertionError("the connection has ended")


def test_a_commit_is_told_within_a_second(server: Served) -> None:
    with listening(server) as response:
        assert response.getheader("content-type", "").startswith("text/event-stream")
        assert told(response, "event: ") == "hello"
        request = next(each for each in samples.requests(10) if each.signal == "traces")
        start = time.monotonic()
        server.do(server.intake.submit(request))

        news = json.loads(told(response))
        took = time.monotonic() - start

    assert took < 3.0, "three times what is promised; alone it is 0.2 s"
    assert news["traces"]
    row = news["traces"][-1]
    assert f'data-number="{row}"' in server.request("GET", f"/live/rows?rows={row}").body.decode()
