"""From the text of a statement, as a driver was given it, to its attributes. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.databases.database import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

_LONGEST_OPERATION: Final = 32
"""Characters; longer than any keyword that begins a statement."""
_PLAIN: Final = re.compile(r"[\s(;]*+([A-Za-z]{1,32})").match
"""Statements without a comment in front, which most are."""


def operation(text: str) -> str:
    """Give the keyword that a statement begins with, after comments and brackets; empty when it has none."""
    plain = _PLAIN(text)
    if plain is not None:
        return plain[1]
    at, end = 0, len(text)
    while at < end:
        if text[at].isspace() or text[at] in "(;":
            at += 1
        elif text.startswith("--", at) or text[at] == "#":
            at = text.find("\n", at) + 1 or end
        elif text.startswith("/*", at):
            close = text.find("*/", at + 2)
            at = close + 2 if close >= 0 else end
        else:
            break
    stop = at
    while stop < end and stop - at < _LONGEST_OPERATION and text[stop].isascii() and text[stop].isalpha():
        stop += 1
    return text[at:stop]


def text_of(query: Any, connection: Any = None) -> str:
    """Give the text of a query: a string, bytes, or what psycopg composes.

    Args:
        query: What the driver was given.
        connection: What a composed query is rendered for.
    """
    if isinstance(query, str):
        return query
    if isinstance(query, (bytes, bytearray, memoryview)):
        return bytes(query).decode("utf-8", "replace")
    render = getattr(query, "as_string", None)
    if render is not None:
        try:
            return str(render(connection))
        except Exception:
            return ""  # the driver will say what is wrong with it
    strings, fields = getattr(query, "strings", None), getattr(query, "interpolations", None)
    if strings is None or fields is None:
        return ""
    # A template string (PEP 750): what is interpolated is data.
    names = [f"{{{each.expression}}}" for each in fields]
    return "".join(part for pair in zip(strings, [*names, ""], strict=True) for part in pair)


def statement(text: str, where: Mapping[str, AttributeValue], many: Any = None) -> Statement | None:
    """Describe a statement.

    Args:
        text: Its text. Empty is no statement: pools ask with it whether a connection lives.
        where: `db.namespace`, `server.address` and `server.port`.
        many: Parameters of an `executemany`.
    """
    if not text or text.isspace():
        return None
    attributes: dict[str, AttributeValue] = {**where, "db.query.text": text}
    if isinstance(many, Sized) and len(many) > 1:
        attributes["db.operation.batch.size"] = len(many)
    return Statement(operation(text), attributes)


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], position: int, *names: str) -> Any:
    """Give an argument by position or name; `None` when it was not given."""
    if len(args) > position:
        return args[position]
    return next((kwargs[name] for name in names if name in kwargs), None)


def server(namespace: Any, address: Any, port: Any) -> dict[str, AttributeValue]:
    """Give the attributes of a connection, without those that nobody knows. A socket's path has no port."""
    found: dict[str, AttributeValue] = {}
    if isinstance(namespace, (bytes, bytearray)):
        namespace = bytes(namespace).decode("utf-8", "replace")
    if namespace:
        found["db.namespace"] = str(namespace)
    if address:
        found["server.address"] = str(address)
        if isinstance(port, int) and not str(address).startswith(("/", "@")):
            found["server.port"] = port
    return found
