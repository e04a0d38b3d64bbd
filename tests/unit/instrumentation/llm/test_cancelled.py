"""Many calls at once, left in every way there is, and forked: each is counted once, and the bill is the provider's."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import random
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest
from openai import AsyncOpenAI, OpenAI, OpenAIError
from opentelemetry import context, trace
from support.llm.answers import Answer, Asked
from support.llm.openai import reply

from otel_kpi import llm

from .test_openai import ASK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from support.llm import ScriptedProvider

    from .conftest import Followed

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
"""Python 3.12 and later say so of each fork; that it is one is what is tested."""

MILLION = Decimal(1_000_000)
KINDS = ("chat", "stream", "embeddings", "left")
WAYS = ("", "", "", "cancel", "timeout", "wait_for", "scope", "closed")


class Slow(httpx.AsyncBaseTransport):
    """A provider within the process, which takes its time, bills each answer with a usage of its own, and keeps no book.

    Args:
        chance: How long each part takes.
    """

    numbers = itertools.count(1)

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        await asyncio.sleep(self._chance.random() * 0.005)  # a provider that takes its time is what it is for
        number = next(self.numbers)
        usage = {"prompt_tokens": 1000 + number, "total_tokens": 1000 + number}
        if not request.url.path.endswith("/embeddings"):
            usage |= {"completion_tokens": number, "total_tokens": 1000 + 2 * number}
        answer = reply(Asked("POST", request.url.path, {}, body), Answer(usage=usage))
        pieces = [answer.content] if isinstance(answer.content, bytes) else answer.content
        headers = {"content-type": answer.content_type}
        return httpx.Response(200, headers=headers, stream=_Body(pieces, self._chance))


class _Body(httpx.AsyncByteStream):
    def __init__(self, pieces: Sequence[bytes], chance: random.Random) -> None:
        self._pieces = pieces
        self._chance = chance

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(self._chance.random() * 0.002)  # the same
            yield piece


@dataclass
class Crowd:
    """What tasks did.

    Attributes:
        chance: Decides what each does, and how it is left.
        began: Calls by tenant and feature.
        tokens: What was used by those that were answered, by tenant, feature and class.
        money: What those cost, in US dollars.
        kept: Generators that were left in the middle.
        unhandled: What the loop was told of.
    """

    chance: random.Random
    began: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    tokens: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    money: Decimal = Decimal(0)
    kept: list[Any] = field(default_factory=list[Any])
    unhandled: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def client(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            api_key="none", max_retries=0, http_client=httpx.AsyncClient(transport=Slow(self.chance))
        )

    def answered(self, whose: tuple[str, str], usage: Any, *, embedding: bool = False) -> None:
        sent, made = usage.prompt_tokens, 0 if embedding else usage.completion_tokens
        self.tokens[*whose, "input"] += sent
        if made:
            self.tokens[*whose, "output"] += made
        rates = ("0.02", "0") if embedding else ("0.15", "0.60")
        self.money += (sent * Decimal(rates[0]) + made * Decimal(rates[1])) / MILLION

    async def ask(self, number: int, client: AsyncOpenAI) -> None:
        """Make one call, for somebody."""
        whose = (f"t{number % 7}", f"f{number % 5}")
        kind = self.chance.choice(KINDS)
        before = trace.get_current_span()
        with llm.context(tenant=whose[0], feature=whose[1]):
            await asyncio.sleep(self.chance.random() * 0.002)  # the others begin meanwhile
            self.began[whose] += 1
            if kind == "chat":
                self.answered(whose, (await client.chat.completions.create(**ASK)).usage)
            elif kind == "embeddings":
                made = await client.embeddings.create(model="text-embedding-3-small", input="maize")
                self.answered(whose, made.usage, embedding=True)
            else:
                await self._read(whose, client, left=kind == "left")
            assert trace.get_current_span() is before

    async def _read(self, whose: tuple[str, str], client: AsyncOpenAI, *, left: bool) -> None:
        before = trace.get_current_span()
        given: Any = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
        stream: Any = await client.chat.completions.create(**given)

        async def parts() -> AsyncIterator[Any]:
            async for part in stream:
                yield part

        reading = parts()
        async for part in reading:
            assert trace.get_current_span() is before
            if left:
                self.kept.append(reading)
                return
            if part.usage is not None:
                self.answered(whose, part.usage)

    async def one(self, number: int, client: AsyncOpenAI) -> None:
        """Make one call, and leave it in some way."""
        way, after = self.chance.choice(WAYS), self.chance.random() * 0.03
        if way == "cancel":
            task = asyncio.ensure_future(self.ask(number, client))
            await asyncio.sleep(after)  # in the middle of it, somewhere
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        elif way == "timeout":
            async with asyncio.timeout(after):
                await self.ask(number, client)
        elif way == "wait_for":
            await asyncio.wait_for(self.ask(number, client), after)
        elif way == "scope":
            with anyio.move_on_after(after):
                await self.ask(number, client)
        elif way == "closed":
            own = self.client()
            task = asyncio.ensure_future(self.ask(number, own))
            await asyncio.sleep(after)  # the same
            await own.close()
            await task
        else:
            await self.ask(number, client)

    async def all(self, count: int) -> list[BaseException]:
        """Make so many calls at once; what they raised."""
        asyncio.get_running_loop().set_exception_handler(lambda _loop, told: self.unhandled.append(told))
        before = context.get_current()
        async with self.client() as client:
            told = await asyncio.gather(
                *(self.one(number, client) for number in range(count)), return_exceptions=True
            )
            await asyncio.to_thread(self._forget)
            for _ in range(3):
                await asyncio.sleep(0.01)  # the loop closes what the other thread has collected
        assert context.get_current() is before
        return [each for each in told if each is not None]

    def _forget(self) -> None:
        self.kept.clear()
        gc.collect()


def check(followed: Followed, caplog: pytest.LogCaptureFixture, seed: int, count: int) -> None:
    """Let a crowd call, and compare what was recorded with what it got."""
    crowd = Crowd(random.Random(seed))
    with caplog.at_level(logging.WARNING):
        raised = asyncio.run(crowd.all(count))
        gc.collect()
    assert [
        each for each in raised if not isinstance(each, (TimeoutError, OpenAIError, httpx.HTTPError))
    ] == []
    spans = [dict(span.attributes or {}) for span in followed.spans()]
    assert Counter((each["kpi.tenant"], each["kpi.feature"]) for each in spans) == crowd.began
    recorded: Counter[tuple[str, str, str]] = Counter()
    for labels, point in followed.series.points("kpi_llm_tokens_total").items():
        named = dict(labels)
        recorded[named["kpi_tenant"], named["kpi_feature"], named["kpi_llm_token_class"]] += point.value
    assert recorded == crowd.tokens
    points = followed.series.points("kpi_llm_cost_total").values()
    assert round(sum((Decimal(repr(point.value)) for point in points), Decimal(0)), 9) == round(
        crowd.money, 9
    )
    assert crowd.unhandled == []
    assert [record.getMessage() for record in caplog.records] == []


def test_two_hundred_calls_that_are_left_in_every_way_are_counted_once(
    followed: Followed, caplog: pytest.LogCaptureFixture
) -> None:
    check(followed, caplog, seed=1, count=200)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(2, 22))
def test_whatever_chance_does_to_calls_they_are_counted_once(
    followed: Followed, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    check(followed, caplog, seed=seed, count=400)


# --- forks


def in_a_child(work: Callable[[], object]) -> str:
    """What a forked child says of something that it does; `dead` where it does not come to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(10)
            os.write(writing, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    return said or "dead"


def test_a_child_ends_no_call_of_its_parent(followed: Followed, openai_client: OpenAI) -> None:
    given: Any = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    kept: list[Any] = [
        openai_client.chat.completions.create(**given),
        openai_client.chat.completions.with_raw_response.create(**given),
    ]

    def leave() -> int:
        kept.clear()
        gc.collect()
        return len(followed.spans())

    assert in_a_child(leave) == "0"
    list(kept[0])
    list(kept[1].parse())
    assert len(followed.spans()) == 2
    assert followed.counted("kpi_llm_tokens_total", "kpi_llm_token_class") == {"input": 20, "output": 10}


def test_children_that_are_forked_while_others_call_make_calls_of_their_own(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    over = threading.Event()
    made: list[int] = []

    def call() -> int:
        with OpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0) as client:
            list(client.chat.completions.create(**ASK, stream=True))
            client.chat.completions.create(**ASK)
        return 2

    def go_on() -> None:
        while not over.is_set():
            made.append(call())

    def from_here() -> int:
        before = len(followed.spans())
        call()
        return len(followed.spans()) - before

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert {in_a_child(from_here) for _ in range(3)} == {"2"}
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert len(followed.spans()) == sum(made)
