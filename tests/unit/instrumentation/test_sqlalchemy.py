from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, event, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine
    from support.captured import Captured

_METADATA = MetaData()
_ITEMS = Table("items", _METADATA, Column("id", Integer, primary_key=True), Column("name", String(40)))
_MAPPER = registry(metadata=_METADATA)


class Item:
    id: Any
    name: Any


_MAPPER.map_imperatively(Item, _ITEMS)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine that exists, with its table, before the instrumentors are armed."""
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    _METADATA.create_all(engine)
    yield engine
    engine.dispose()


def test_statement_is_one_client_span_with_stable_names(engine: Engine, captured: Captured) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    span = captured.span(SpanKind.CLIENT)
    database = engine.url.database
    assert span.name == "SELECT"  # there is no end to the paths of files
    assert dict(span.attributes or {}) == {
        "db.system.name": "sqlite",
        "db.namespace": database,
        "db.query.text": "SELECT 1",
        "db.operation.name": "SELECT",
    }
    assert span.status.status_code is StatusCode.UNSET


def test_statement_is_child_of_the_current_span_and_leaves_the_context_alone(
    engine: Engine, captured: Captured
) -> None:
    tracer = trace.get_tracer("test")
    with tracer.start_as_current_span("request") as request, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert trace.get_current_span() is request
        with tracer.start_as_current_span("after"):
            pass
    statement = captured.span(SpanKind.CLIENT)
    assert statement.parent is not None
    assert statement.parent.span_id == request.get_span_context().span_id
    assert len(captured.spans()) == 3


def test_orm_flush_and_query_have_one_span_each(engine: Engine, captured: Captured) -> None:
    with Session(engine) as session:
        item = Item()
        item.name = "pen"
        session.add(item)
        session.commit()
        assert session.scalars(select(Item)).one().name == "pen"
    assert [span.name.split()[0] for span in captured.spans(SpanKind.CLIENT)] == ["INSERT", "SELECT"]


def test_executemany_is_one_span_with_its_batch_size(engine: Engine, captured: Captured) -> None:
    with engine.begin() as connection:
        connection.execute(insert(_ITEMS), [{"name": "a"}, {"name": "b"}, {"name": "c"}])
    span = captured.span(SpanKind.CLIENT)
    assert span.attributes is not None
    assert span.attributes["db.operation.batch.size"] == 3


def test_what_a_dialect_asks_on_connecting_is_nobodys_statement(captured: Captured) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()
    assert captured.span(SpanKind.CLIENT).name.startswith("SELECT")


def test_failing_statement_ends_its_span_with_error_and_type(engine: Engine, captured: Captured) -> None:
    with engine.connect() as connection, pytest.raises(OperationalError):
        connection.execute(text("SELECT * FROM missing"))
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "no such table: missing"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "sqlite3.OperationalError"


def test_duration_is_a_metric_without_the_path_of_a_file(engine: Engine, captured: Captured) -> None:
    def durations() -> Counter[Any]:
        counted = Counter[Any]()
        for point in captured.points("db.client.operation.duration"):
            if point.attributes["db.system.name"] == "sqlite" and "db.namespace" not in point.attributes:
                counted[point.attributes.get("error.type", "")] += point.count
        return counted

    before = durations()
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(OperationalError):
            connection.execute(text("SELECT * FROM missing"))
    assert durations() - before == {"": 1, "sqlite3.OperationalError": 1}
    assert str(engine.url.database) not in str(captured.points("db.client.operation.duration"))


def test_engine_that_the_user_instrumented_is_left_alone(engine: Engine, captured: Captured) -> None:
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    engine.dispose()  # the next connection is one of the instrumented driver
    instrumentor = SQLAlchemyInstrumentor()
    instrumentor.instrument(engine=engine, skip_dep_check=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    finally:
        instrumentor.uninstrument()
    scopes = [
        span.instrumentation_scope.name if span.instrumentation_scope else ""
        for span in captured.spans(SpanKind.CLIENT)
        if span.name != "connect"
    ]
    assert scopes == ["opentelemetry.instrumentation.sqlalchemy"]


def test_listener_of_the_application_that_raises_does_not_silence_what_follows(
    engine: Engine, captured: Captured
) -> None:
    """Its exception is the application's; the statement's span ends, and drivers speak again."""

    def refuse(*_: Any) -> None:
        raise PermissionError

    event.listen(engine, "before_cursor_execute", refuse)
    with engine.connect() as connection, pytest.raises(PermissionError):
        connection.execute(text("SELECT 1"))
    event.remove(engine, "before_cursor_execute", refuse)
    with engine.connect() as connection:
        connection.execute(text("SELECT 2"))
    import sqlite3

    raw = sqlite3.connect(":memory:")
    raw.cursor().execute("SELECT 3")
    raw.close()
    texts = [(span.attributes or {})["db.query.text"] for span in captured.spans(SpanKind.CLIENT)]
    assert texts[-2:] == ["SELECT 2", "SELECT 3"]


def test_error_of_ours_never_breaks_a_statement(
    engine: Engine,
    captured: Captured,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken upstream")

    import opentelemetry.instrumentation.sqlalchemy.engine as upstream

    monkeypatch.setattr(upstream, "_get_attributes_from_url", broken)
    with caplog.at_level(logging.WARNING, "otel_kpi"), engine.connect() as connection:
        assert connection.execute(text("SELECT 41 + 1")).scalar() == 42
        assert connection.execute(text("SELECT 43")).scalar() == 43
    assert "otel_kpi.instrumentation.sqlalchemy" not in {
        span.instrumentation_scope.name for span in captured.spans() if span.instrumentation_scope
    }
    [line] = [record.getMessage() for record in caplog.records if record.name.startswith("otel_kpi")]
    assert line.startswith(
        "sqlalchemy: telemetry of a call is lost to an error, the call went on: RuntimeError: broken"
    )


@pytest.mark.skipif(sqlalchemy.__version__ < "2", reason="1.4 has no dialect for psycopg 3")
def test_credentials_of_the_url_are_nowhere(captured: Captured, tmp_path: Path) -> None:
    import sqlite3

    engine = create_engine(
        "postgresql+psycopg://clerk:hunter2@db.example:5433/orders",
        creator=lambda: sqlite3.connect(tmp_path / "orders.db"),
        _initialize=False,
    )
    with engine.connect() as connection, pytest.raises(Exception, match=r"."):
        connection.exec_driver_sql("SELECT * FROM missing")
    engine.dispose()
    span = captured.spans(SpanKind.CLIENT)[-1]
    attributes = dict(span.attributes or {})
    assert attributes["server.address"] == "db.example"
    assert attributes["server.port"] == 5433
    assert attributes["db.namespace"] == "orders"
    assert attributes["db.system.name"] == "postgresql"
    assert "hunter2" not in span.to_json()
    assert "clerk" not in span.to_json()


async def _items(path: Path, captured: Captured, parallel: int) -> None:
    tracer = trace.get_tracer("test")
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}/async.db")
    async with engine.begin() as connection:
        await connection.run_sync(_METADATA.create_all)
        await connection.execute(insert(_ITEMS), [{"name": str(number)} for number in range(100)])
    captured.span_exporter.clear()

    async def read(number: int) -> int:
        with tracer.start_as_current_span(f"task {number}") as task:
            async with engine.connect() as connection:
                rows = await connection.stream(select(_ITEMS).execution_options(yield_per=10))
                count = 0
                async for _row in rows:
                    count += 1
            assert trace.get_current_span() is task
            return count

    assert await asyncio.gather(*(read(number) for number in range(parallel))) == [100] * parallel
    async with engine.connect() as connection:
        with pytest.raises(OperationalError):
            await connection.execute(text("SELECT * FROM missing"))
    await engine.dispose()


def test_statements_of_async_tasks_have_their_own_parents_and_no_driver_spans(
    tmp_path: Path, captured: Captured
) -> None:
    asyncio.run(_items(tmp_path, captured, 5))
    statements = captured.spans(SpanKind.CLIENT)
    tasks = {span.context.span_id for span in captured.spans(SpanKind.INTERNAL) if span.context}
    assert len(tasks) == 5
    assert {span.parent.span_id for span in statements if span.parent} == tasks
    assert [span.status.status_code for span in statements] == [StatusCode.UNSET] * 5 + [StatusCode.ERROR]


def test_cancelled_statement_ends_its_span(tmp_path: Path, captured: Captured) -> None:
    slow = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT max(i) FROM n"
    )

    async def run() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/async.db")
        async with engine.connect() as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await connection.execute(text(slow))
        await engine.dispose()

    asyncio.run(run())
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "asyncio.exceptions.CancelledError"


def test_constraint_error_says_nothing_of_the_values(engine: Engine, captured: Captured) -> None:
    with Session(engine) as session:
        session.execute(insert(_ITEMS), [{"id": 7, "name": "secret-name"}])
        with pytest.raises(IntegrityError):
            session.execute(insert(_ITEMS), [{"id": 7, "name": "secret-name"}])
    assert all("secret-name" not in span.to_json() for span in captured.spans())
