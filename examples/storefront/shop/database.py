"""The shop's database: one engine for each process, one transaction for each `async with begin()`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from storefront.settings import Settings
from storefront.shop.models import Base, first_orders, first_products

LOCK_TIMEOUT = 30.0  # seconds that a writer waits for another one on SQLite


def open_async(settings: Settings) -> AsyncEngine:
    """Open the database for the service. The pool connects when the first statement needs it."""
    return create_async_engine(settings.async_database_url, connect_args=_connect_args(settings), pool_size=5)


def open_sync(settings: Settings) -> Engine:
    """Open the same database for a script."""
    return create_engine(settings.sync_database_url, connect_args=_connect_args(settings))


@asynccontextmanager
async def begin(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    """One transaction: committed at the end of the block, rolled back when it raises."""
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        yield session


def create_tables(settings: Settings) -> None:
    """Make the tables afresh with their first rows. Part of the set-up, before any service runs."""
    engine = open_sync(settings)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _write_ahead)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(first_products())
        session.flush()  # orders refer to products
        session.add_all(first_orders())
    engine.dispose()


def _connect_args(settings: Settings) -> dict[str, float]:
    return {"timeout": LOCK_TIMEOUT} if settings.database_url.startswith("sqlite") else {}


def _write_ahead(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Readers do not wait for writers. The file remembers the mode, so the services need not set it.
    connection.cursor().execute("PRAGMA journal_mode=WAL")
