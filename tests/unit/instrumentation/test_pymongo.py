"""The real pymongo against its own protocol: one client span for each command of the application."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure
from support.mongodb import mongodb
from support.statements import (
    assert_all_of,
    assert_children_of_the_caller,
    assert_failed,
    assert_silent_when_disabled,
    measured,
    operations,
)

from otel_kpi.instrumentation.databases import pymongo as ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server


@pytest.fixture
def server() -> Iterator[tuple[Server, list[str]]]:
    with mongodb() as server:
        yield server


@pytest.fixture
def client(captured: Captured, server: tuple[Server, list[str]]) -> Iterator[Any]:
    with pymongo.MongoClient(server[0].host, server[0].port, heartbeatFrequencyMS=500) as client:
        yield client
    captured.span_exporter.clear()


def test_commands_have_stable_names_and_housekeeping_has_no_span(
    captured: Captured, server: tuple[Server, list[str]]
) -> None:
    with pymongo.MongoClient(server[0].host, server[0].port, heartbeatFrequencyMS=500) as client:
        items = client.shop.items
        items.insert_one({"_id": 1, "name": "hat"})
        items.insert_many([{"_id": number} for number in range(2, 6)])
        assert len(list(items.find(batch_size=2))) == 5
        client.shop.command("ping")
    assert operations(captured) == ["insert", "insert", "find", "getMore", "getMore", "ping"]
    assert [span.name for span in captured.spans()[-2:]] == ["getMore items", "ping shop"]
    assert_all_of(captured, "mongodb", server[0], "shop")
    collections = [(span.attributes or {}).get("db.collection.name") for span in captured.spans()]
    assert collections == ["items"] * 5 + [None]
    # pymongo did more than that, and ends its sessions at the end.
    assert {"hello", "ismaster"} & set(server[1])
    assert "endSessions" in server[1]


def test_nothing_of_a_document_is_in_a_span(captured: Captured, client: Any) -> None:
    client.shop.items.insert_one({"_id": 4711, "mail": "mary@example.com"})
    list(client.shop.items.find({"mail": "mary@example.com"}))
    for span in captured.spans():
        assert "mary" not in span.to_json()
        assert "4711" not in span.to_json()


def test_failed_command_has_the_servers_name_for_it_and_not_its_message(
    captured: Captured, client: Any
) -> None:
    with pytest.raises(OperationFailure, match="mary"):
        list(client.shop.items.find({"$bad": 1}))
    [span] = captured.spans()
    assert_failed(span, "BadValue", "2")
    assert span.status.description == "BadValue"


def test_write_that_was_refused_is_a_failure_though_its_command_succeeded(
    captured: Captured, client: Any
) -> None:
    client.shop.items.insert_one({"_id": 4711})
    with pytest.raises(DuplicateKeyError):
        client.shop.items.insert_one({"_id": 4711})
    assert_failed(captured.spans()[-1], "WriteError", "11000")
    assert "4711" not in captured.spans()[-1].to_json()


def test_async_client_has_the_same_spans(captured: Captured, server: tuple[Server, list[str]]) -> None:
    if not hasattr(pymongo, "AsyncMongoClient"):
        pytest.skip("pymongo has an async client since 4.9")

    async def whole() -> Any:
        async with pymongo.AsyncMongoClient(server[0].host, server[0].port) as client:
            await client.shop.items.insert_one({"_id": 1})
            return await client.shop.items.find().to_list()

    assert asyncio.run(whole()) == [{"_id": 1}]
    assert operations(captured) == ["insert", "find"]
    assert_all_of(captured, "mongodb", server[0], "shop")


def test_commands_whose_end_is_never_told_are_ended_in_bounds(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pymongo says nothing more of a command whose task was cancelled."""
    monkeypatch.setattr(ours, "_MOST_RUNNING", 10)
    commands = ours.Commands()

    class Started:
        command_name, database_name, connection_id = "find", "shop", ("127.0.0.1", 27017)

        def __init__(self, number: int) -> None:
            self.request_id = number
            self.command = {"find": "items"}

    for number in range(100):
        commands.started(Started(number))
    assert len(captured.spans()) == 90


def test_users_own_instrumentor_wins(captured: Captured, server: tuple[Server, list[str]]) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.pymongo").PymongoInstrumentor()
    upstream.instrument(skip_dep_check=True)
    try:
        with pymongo.MongoClient(server[0].host, server[0].port) as client:
            client.shop.command("ping")
            captured.spans()
    finally:
        upstream.uninstrument()
    scopes = {span.instrumentation_scope.name for span in captured.spans() if span.instrumentation_scope}
    assert scopes == {"opentelemetry.instrumentation.pymongo"}


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured, client: Any) -> None:
    def run() -> None:
        client.shop.command("ping")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "pymongo", run)


def test_durations_are_measured(captured: Captured, client: Any) -> None:
    before = dict(measured(captured, "mongodb")).get("ping", 0)
    client.other.command("ping")
    assert sum(count for name, count in measured(captured, "mongodb") if name == "ping") > before
