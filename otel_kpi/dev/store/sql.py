"""SQL for people: it reads, does not write, opens nothing else and does not run long.

Beside the tables there are views that read well (`sql_views.py`) and functions for attributes: `attr(shape, attrs, 'key')`
is the value of one, `attributes` of a view has all of them as JSON.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from otel_kpi.dev.store.files import explained, open_for_reading
from otel_kpi.dev.store.reading.search import bounded
from otel_kpi.dev.store.reading.spans import body_text
from otel_kpi.dev.store.sql_views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIMIT: Final = 1_000
"""Rows of an answer."""
SECONDS: Final = 5.0
"""How long a question may take."""
_MOST_BYTES: Final = 32 * 2**20
"""Of an answer, texts and blobs together."""
_LONGEST: Final = 16 * 2**20
"""A text or blob, also between the steps of a question."""
_LONGEST_QUESTION: Final = 100_000
_PRAGMAS: Final = frozenset((
    "data_version",  # the index of words asks for it itself
    "function_list", "index_info", "index_list", "index_xinfo", "pragma_list", "table_info", "table_list", "table_xinfo",
))  # fmt: skip
_TABLES: Final = (
    "json_each('[]')",
    "json_tree('[]')",
    *(f"pragma_{name}('span')" for name in ("table_info", "index_list")),
)
_REFUSED: Final = frozenset(("edit", "fts3_tokenizer", "load_extension", "readfile", "writefile"))
_ALLOWED: Final = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE))
_LIMITS: Final = (
    (sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_QUESTION),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1_000),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)


class SqlError(Exception):
    """A question that cannot be answered; the text is for whoever asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question brought.

    Attributes:
        columns: Their names, none twice.
        rows: At most as many as were asked for.
        more: There were more, or more than an answer holds.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    more: bool = False


def query(path: Path, text: str, *, limit: int = LIMIT, seconds: float = SECONDS) -> Answer:
    """Ask a store, also one that is being written.

    Args:
        path: The file.
        text: One statement that reads.
        limit: Rows at most.
        seconds: How long it may take.

    Raises:
        SqlError: It is no statement that reads, is wrong, or took too long.
        StoreError: There is no store, or it cannot be read.
    """
    if len(text) > _LONGEST_QUESTION:
        raise SqlError(f"a statement has at most {_LONGEST_QUESTION:,} characters")
    with closing(open_for_reading(path)) as connection:
        _prepare(connection, path)
        try:
            with bounded(connection, seconds):
                return _asked(connection, text, limit)
        except TimeoutError as error:
            raise SqlError(
                f"stopped after {seconds:g} s: ask for less, or give it longer with --seconds"
            ) from error
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise SqlError(_said(error)) from error


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Give a connection that reads the views and functions, and take all else from it."""
    try:
        shapes = {
            number: orjson.loads(keys) for number, keys in connection.execute("SELECT id, keys FROM shape")
        }
        functions = _Attributes(shapes)
        connection.create_function("attr", 3, functions.one, deterministic=True)
        connection.create_function("attributes", 2, functions.all, deterministic=True)
        connection.create_function("plain", 1, _plain, deterministic=True)
        # Temporary views are written too, and nowhere but here.
        connection.execute("PRAGMA query_only=0")
        for name, select in VIEWS.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {select}")
        connection.execute("PRAGMA query_only=1")
        # A virtual table declares its columns when it is first used, which the authorizer would take for making one.
        indexes = [f"fts_{number}" for (number,) in connection.execute("SELECT id FROM words")]
        for table in (*indexes, *_TABLES):
            connection.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608 - our own names
    except sqlite3.Error as error:
        raise explained(path, error) from error
    connection.text_factory = _text
    for kind, most in _LIMITS:
        connection.setlimit(kind, most)
    connection.set_authorizer(_authorize)


def _authorize(
    action: int, first: str | None, second: str | None, _database: str | None, _view: str | None
) -> int:
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _REFUSED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _asked(connection: sqlite3.Connection, text: str, limit: int) -> Answer:
    cursor = connection.execute(text)
    if cursor.description is None:
        raise SqlError("there is nothing to answer: give a SELECT")
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(rows) == limit or size > _MOST_BYTES:
            return Answer(_distinct([column[0] for column in cursor.description]), rows, more=True)
        rows.append(row)
    return Answer(_distinct([column[0] for column in cursor.description]), rows)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, a number after those that have been."""
    given: dict[str, None] = {}
    for name in names:
        unique, number = name, 1
        while unique in given:
            number += 1
            unique = f"{name}_{number}"
        given[unique] = None
    return tuple(given)


def _said(error: Exception) -> str:
    text = str(error)
    if "not authorized" in text or "prohibited" in text or "authorization denied" in text:
        return "it may only read: SELECT, WITH, VALUES and EXPLAIN are answered"
    if "one statement at a time" in text:
        return "one statement at a time"
    if "number of bindings" in text:
        return "write values in the statement: there is nothing to put in place of ? and :name"
    if "readonly" in text or "query_only" in text:
        return "it may only read"
    return text


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _plain(body: object) -> str | None:
    return body_text(body) if isinstance(body, str) else None


def _values(attrs: str) -> list[Any]:
    """Values of a row; none of what is no list, since a function may be given anything."""
    try:
        values: Any = orjson.loads(attrs)
    except orjson.JSONDecodeError:
        return []
    return cast("list[Any]", values) if isinstance(values, list) else []


class _Attributes:
    """What SQL can ask of a shape and its values; what is not there is NULL."""

    def __init__(self, shapes: dict[int, list[str]]) -> None:
        self._shapes = shapes
        self._places = {
            number: {key: place for place, key in enumerate(keys)} for number, keys in shapes.items()
        }

    def one(self, shape: object, attrs: object, key: object) -> str | float | None:
        """The value of an attribute; JSON of a list or map."""
        place = (
            self._places.get(shape, {}).get(key) if isinstance(shape, int) and isinstance(key, str) else None
        )
        if place is None or not isinstance(attrs, str):
            return None
        values = _values(attrs)
        value = values[place] if place < len(values) else None
        return orjson.dumps(value).decode() if isinstance(value, dict | list) else value

    def all(self, shape: object, attrs: object) -> str | None:
        """All of them as JSON."""
        keys = self._shapes.get(shape) if isinstance(shape, int) else None
        if keys is None or not isinstance(attrs, str):
            return None
        return orjson.dumps(dict(zip(keys, _values(attrs), strict=False))).decode()
