"""Which conversation calls belong to: everything within, and nothing outside."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.packs import conversations
from otel_kpi.packs.conversations import conversation, current

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


def test_conversation_is_current_within_and_the_one_before_after_it() -> None:
    assert current() is None
    with conversation("a") as found:
        assert found.id == "a"
        assert current() == "a"
        with conversation("b"):
            assert current() == "b"
        assert current() == "a"
    assert current() is None


def test_conversations_of_tasks_do_not_mix() -> None:
    async def talk(name: str) -> str | None:
        async with conversation(name):
            await asyncio.sleep(0)
            return current()

    async def main() -> list[str | None]:
        return list(await asyncio.gather(*(talk(name) for name in "abc")))

    assert asyncio.run(main()) == ["a", "b", "c"]


def test_another_thread_is_in_no_conversation() -> None:
    found: list[str | None] = ["unasked"]
    with conversation("a"):
        thread = threading.Thread(target=lambda: found.append(current()))
        thread.start()
        thread.join()
    assert found[-1] is None


def test_decorated_functions_of_any_kind_are_within() -> None:
    @conversation("plain")
    def plain() -> str | None:
        return current()

    @conversation("coroutine")
    async def coroutine() -> str | None:
        await asyncio.sleep(0)
        return current()

    @conversation("generator")
    def generator() -> Generator[str | None]:
        yield current()
        yield current()

    @conversation("async generator")
    async def generates() -> AsyncGenerator[str | None]:
        yield current()

    async def main() -> list[str | None]:
        return [each async for each in generates()]

    assert plain() == "plain"
    assert asyncio.run(coroutine()) == "coroutine"
    taken: list[str | None] = []
    for each in generator():
        taken.append(each)
        assert current() is None
    assert taken == ["generator", "generator"]
    assert asyncio.run(main()) == ["async generator"]


class Nameless:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("given", [None, "", Nameless()])
def test_what_is_no_id_leaves_the_conversation_that_is_current(given: Any) -> None:
    with conversation("a"), conversation(given):
        assert current() == "a"


def test_an_id_of_any_type_is_text_and_cut() -> None:
    number: Any = 42
    with conversation(number):
        assert current() == "42"
    with conversation("x" * 1000):
        assert len(current() or "") == 256
    assert conversations.ATTRIBUTE == "gen_ai.conversation.id"
