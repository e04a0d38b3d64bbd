"""Sessions and messages; one engine for each process."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from sqlalchemy import DateTime, ForeignKey, event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from innatural_chatbot import catalogue
from innatural_chatbot.settings import Settings

LOCK_TIMEOUT = 30.0  # seconds that a writer waits for another one on SQLite


class Base(DeclarativeBase):
    """The tables."""


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    price: Mapped[str]


class Session(Base):
    __tablename__ = "session"
    id: Mapped[str] = mapped_column(primary_key=True)
    language: Mapped[str]
    began: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    ended: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Message(Base):
    __tablename__ = "message"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    session_id: Mapped[str] = mapped_column(ForeignKey("session.id"))
    role: Mapped[str]
    text: Mapped[str]


def open_engine(settings: Settings) -> AsyncEngine:
    """Open the database. The pool connects when the first statement needs it."""
    arguments = {"timeout": LOCK_TIMEOUT} if settings.database_url.startswith("sqlite") else {}
    return create_async_engine(settings.database_url, connect_args=arguments, pool_size=5)


@asynccontextmanager
async def begin(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    """One transaction: committed at the end of the block, rolled back when it raises."""
    async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
        yield session


def create_tables(settings: Settings) -> None:
    """Make the tables afresh with the catalogue. Part of the set-up, before any service runs."""
    asyncio.run(_create(settings))


async def _create(settings: Settings) -> None:
    engine = open_engine(settings)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _write_ahead)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        rows = [{"id": each.id, "name": each.name, "price": each.price} for each in catalogue.PRODUCTS]
        await connection.execute(insert(Product), rows)
    await engine.dispose()


def _write_ahead(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Readers do not wait for writers. The file remembers the mode, so the service need not set it.
    connection.cursor().execute("PRAGMA journal_mode=WAL")
