"""What comes again and again and is kept once: texts, shapes, services, resources, scopes. Their ids, on the writer's side."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_kpi.dev.store.terms import words_of

if TYPE_CHECKING:
    import sqlite3

    from otel_kpi.dev.telemetry import Attributes, Resource, Scope

_MOST: Final = 50_000
"""Entries of a cache; senders that put ids into names are looked up in the file."""
_COLOURS: Final = 20


class Sender(NamedTuple):
    """Who sent a group: ids of its service and resource."""

    service: int
    resource: int


@lru_cache(maxsize=16_384)
def quoted(text: str) -> str:
    """A text as JSON; in ASCII, so that no half of a surrogate pair is in a way."""
    return json.dumps(text)


def values(attributes: Attributes) -> str:
    """The values of attributes as a list in JSON."""
    return f"[{','.join([each[2] for each in attributes])}]"


def mapping(attributes: Attributes) -> str:
    """Attributes as an object in JSON."""
    return "{" + ",".join([f"{quoted(each[0])}:{each[2]}" for each in attributes]) + "}"


def clean(text: str) -> str:
    """A text that can be written as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class Dictionary:
    """Ids of what is kept once. What a transaction that was taken back has made must be forgotten: `forget()`.

    Args:
        connection: The writer's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._texts: dict[str, int] = {}
        self._names: dict[str, tuple[int, str]] = {}
        self._shapes: dict[tuple[str, ...], int] = {}
        self._services: dict[str, int] = {}
        self._colours: list[int] = []
        self._senders: dict[tuple[str, int, str], Sender] = {}
        self._scopes: dict[tuple[str, str, int, str], int] = {}

    def forget(self) -> None:
        """Look everything up anew."""
        for cache in (self._texts, self._names, self._shapes, self._services, self._senders, self._scopes):
            cache.clear()
        self._colours.clear()

    def text(self, text: str) -> int:
        """The id of a text."""
        found = self._texts.get(text)
        if found is None:
            if len(self._texts) >= _MOST:
                self._texts.clear()
            found = self._texts[text] = self._id("str", "s", clean(text))
        return found

    def optional(self, text: str | None) -> int | None:
        """The id of a text that may be missing."""
        return None if text is None else self.text(text)

    def name(self, text: str) -> tuple[int, str]:
        """The id of a span's name, and what the index of words has of it."""
        found = self._names.get(text)
        if found is None:
            if len(self._names) >= _MOST:
                self._names.clear()
            number = self.text(text)
            found = self._names[text] = (number, f"zn{number} {words_of(text)}")
        return found

    def shape(self, keys: tuple[str, ...]) -> int:
        """The id of a list of keys."""
        found = self._shapes.get(keys)
        if found is None:
            if len(self._shapes) >= _MOST:
                self._shapes.clear()
            found = self._shapes[keys] = self._id("shape", "keys", f"[{','.join(map(quoted, keys))}]")
        return found

    def service(self, name: str, now_ns: int) -> int:
        """The id of a service, which gets the colour that the fewest have."""
        found = self._services.get(name)
        if found is None:
            if len(self._services) >= _MOST:
                self._services.clear()
            row = self._connection.execute("SELECT id FROM service WHERE name = ?", (clean(name),)).fetchone()
            found = self._services[name] = row[0] if row else self._new_service(clean(name), now_ns)
        return found

    def sender(self, resource: Resource, now_ns: int) -> Sender:
        """The ids of who sent something."""
        shape = self.shape(tuple([each[0] for each in resource.attributes]))
        attributes = clean(values(resource.attributes))
        key = (resource.service, shape, attributes)
        found = self._senders.get(key)
        if found is None:
            if len(self._senders) >= _MOST:
                self._senders.clear()
            service = self.service(resource.service, now_ns)
            found = self._senders[key] = Sender(service, self._resource(service, shape, attributes))
        return found

    def scope(self, scope: Scope) -> int:
        """The id of a scope."""
        shape = self.shape(tuple([each[0] for each in scope.attributes]))
        key = (clean(scope.name), clean(scope.version), shape, clean(values(scope.attributes)))
        found = self._scopes.get(key)
        if found is None:
            if len(self._scopes) >= _MOST:
                self._scopes.clear()
            found = self._scopes[key] = self._scope(key)
        return found

    def _id(self, table: str, column: str, text: str) -> int:
        row = self._connection.execute(f"SELECT id FROM {table} WHERE {column} = ?", (text,)).fetchone()  # noqa: S608 - our own names
        if row is not None:
            return row[0]
        return self._insert(f"INSERT INTO {table} ({column}) VALUES (?)", (text,))  # noqa: S608 - the same

    def _insert(self, statement: str, row: tuple[object, ...]) -> int:
        number = self._connection.execute(statement, row).lastrowid
        assert number is not None  # noqa: S101 - an INSERT has made a row
        return number

    def _new_service(self, name: str, now_ns: int) -> int:
        taken = self._colours  # counted once: of a hundred thousand services each would count all
        if not taken:
            taken += [0] * _COLOURS
            for colour, count in self._connection.execute(
                "SELECT colour, count(*) FROM service GROUP BY colour"
            ):
                taken[colour % _COLOURS] += count
        colour = min(range(_COLOURS), key=lambda each: (taken[each], each))
        taken[colour] += 1
        return self._insert(
            "INSERT INTO service (name, colour, first_ns) VALUES (?, ?, ?)", (name, colour, now_ns)
        )

    def _resource(self, service: int, shape: int, attributes: str) -> int:
        row = self._connection.execute(
            "SELECT id FROM resource WHERE shape = ? AND attrs = ?", (shape, attributes)
        ).fetchone()
        if row is not None:
            return row[0]
        return self._insert(
            "INSERT INTO resource (service, shape, attrs) VALUES (?, ?, ?)", (service, shape, attributes)
        )

    def _scope(self, key: tuple[str, str, int, str]) -> int:
        where = "SELECT id FROM scope WHERE name = ? AND version = ? AND shape = ? AND attrs = ?"
        row = self._connection.execute(where, key).fetchone()
        if row is not None:
            return row[0]
        return self._insert("INSERT INTO scope (name, version, shape, attrs) VALUES (?, ?, ?, ?)", key)
