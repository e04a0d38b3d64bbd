"""For whom and for what: within one thread or task and what they start, and never outside of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from opentelemetry import context as contexts

from otel_kpi import llm
from otel_kpi.packs.llm.attribution import NOBODY, Attribution, current

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import pytest


def test_what_is_not_said_is_as_outside() -> None:
    with llm.context(tenant="acme", user="u1"):
        with llm.context(feature="summary"):
            assert current() == Attribution("acme", "summary", "u1")
        assert current() == Attribution("acme", None, "u1")
    assert current() == NOBODY


def test_an_empty_name_says_nothing() -> None:
    with llm.context(tenant="acme"), llm.context(tenant=""):
        assert current().tenant == "acme"


def test_one_object_is_entered_by_many_at_once() -> None:
    acme = llm.context(tenant="acme")
    both_are_in = threading.Barrier(2)
    found: list[str | None] = []

    def work() -> None:
        with llm.context(feature="outer"):
            with acme:
                both_are_in.wait(5)
                found.append(current().tenant)
            found.append(current().tenant)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(map(str, found)) == ["None", "None", "acme", "acme"]


def test_tasks_that_overlap_keep_their_own() -> None:
    acme = llm.context(tenant="acme")

    async def work(number: int, gate: asyncio.Event) -> tuple[str | None, str | None]:
        async with llm.context(feature=str(number)), acme:
            await gate.wait()
            inside = current()
        return inside.tenant, inside.feature

    async def main() -> list[tuple[str | None, str | None]]:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(work(number, gate)) for number in range(3)]
        gate.set()
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [("acme", "0"), ("acme", "1"), ("acme", "2")]


def test_a_function_of_any_kind_may_be_decorated() -> None:
    @llm.context(tenant="acme")
    def plain() -> str | None:
        return current().tenant

    @llm.context(tenant="acme")
    async def coroutine() -> str | None:
        await asyncio.sleep(0)
        return current().tenant

    @llm.context(tenant="acme")
    def generator() -> Iterator[str | None]:
        yield current().tenant
        yield current().tenant

    @llm.context(tenant="acme")
    async def async_generator() -> AsyncIterator[str | None]:
        yield current().tenant

    async def main() -> list[str | None]:
        return [await coroutine(), *[each async for each in async_generator()]]

    assert plain() == "acme"
    assert asyncio.run(main()) == ["acme", "acme"]
    values = generator()
    assert next(values) == "acme"
    assert current() == NOBODY  # who takes the values is outside
    assert next(values) == "acme"


def test_what_leaves_another_context_behind_is_not_disturbed() -> None:
    surroundings = llm.context(tenant="acme")
    before = contexts.get_current()
    surroundings.__enter__()
    contexts.attach(contexts.set_value("mine", 1, before))
    surroundings.__exit__()
    assert contexts.get_value("mine") == 1
    contexts.attach(before)


def test_a_hash_stands_for_a_user_and_depends_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Attribution(user="u-17").span_attributes()["user.hash"]
    assert plain == Attribution(user="u-17").span_attributes()["user.hash"]
    assert plain != Attribution(user="u-18").span_attributes()["user.hash"]
    monkeypatch.setenv("OTEL_KPI_REDACT_HASH_KEY", "a secret of ours")
    assert Attribution(user="u-17").span_attributes()["user.hash"] != plain
    monkeypatch.setenv("OTEL_KPI_LLM_USER", "id")
    assert Attribution(user="u-17").span_attributes() == {"user.id": "u-17"}


def test_what_has_no_text_is_nobody() -> None:
    class Mute:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with llm.context(tenant=Mute()):  # type: ignore[arg-type]  # an application may hand over anything
        assert current() == NOBODY
