"""What the index of words has of a span or a record, and what a search asks it for: both sides take it from here.

A document is a list of terms: `k<hash>` for each attribute with its value, `zs<service>`, `zr<resource>`, `zn<name>`,
`zx<status>`, `zk<kind>`, `zd<bits of the duration>`, `zl<span>` of each that it links to (spans), `zv<severity>` (log
records), and the words of names and values. The index knows no positions and a hash may lie: what it finds is compared with the rows before it is shown.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Value

LONGEST: Final = 4_096
"""Characters of a value whose words are indexed: a search for more of a prompt than its beginning finds nothing."""
MOST_TEXTS: Final = 32
"""Elements of a list that are found by themselves."""

_UNINDEXED: Final = frozenset(("exception.stacktrace", "code.stacktrace"))
"""A stack says the same again and again; errors are found by their type and message."""
_WORD: Final = re.compile(r"[^\W_]+")
# Nothing separates their words: each sign is one, and a search for several asks for all of them.
_SIGNS: Final = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


def hash48(key: str, text: str) -> str:
    """48 bits of an attribute and its value, as hexadecimal digits."""
    return blake2b(f"{key}\0{text}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def texts_of(value: Value, json: str) -> list[str]:
    """Under which texts a value is found: itself, or its JSON and what it lists.

    Args:
        value: As OTLP has it.
        json: The same as JSON.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        plain = [each for each in value[:MOST_TEXTS] if isinstance(each, str | bool | int | float)]
        return [json, *(each if isinstance(each, str) else str(each).lower() for each in plain)]
    return [json]


def terms_of(key: str, value: Value, json: str) -> str:
    """The terms of an attribute; those of a body, which has no key, are words alone."""
    if key in _UNINDEXED:
        return ""
    texts = texts_of(value, json)
    words = (
        ""
        if value is None or isinstance(value, bool | float | bytes)
        else words_of(json if len(texts) > 1 else texts[0])
    )
    if not key:
        return words
    hashes = " ".join([f"k{hash48(key, text)}" for text in texts])
    return f"{hashes} {words}" if words else hashes


def words_of(text: str) -> str:
    """A text as the index takes it: its beginning, signs that are words of their own apart."""
    text = text[:LONGEST]
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text).encode("utf-8", "replace").decode()
    return " ".join(_WORD.findall(_SIGNS.sub(r" \g<0> ", text)))


def query_of(text: str) -> str:
    """What to ask the index for a text that a person wrote: all of its words, the last of them may be a beginning.

    Returns:
        An expression of FTS5, empty where there is no word in it.
    """
    return " AND ".join([term for term in wanted(text).values() if term])


def wanted(text: str) -> dict[str, str]:
    """What to ask the index for each word of a text, by the word as `folded` has it.

    The index is asked for the first words and for the last; for the others the answer is empty, and rows are looked at.
    """
    *words, last = _WORD.findall(words_of(text)) or [""]
    found = {folded(word): f'"{word}"' if at < MOST_TEXTS else "" for at, word in enumerate(words)}
    return found | {folded(last): f'"{last}"*'} if last else found


def folded(text: str) -> str:
    """A text as the index has it: without case and accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFD", text)
    return "".join(each for each in plain if not unicodedata.combining(each)).casefold()


@lru_cache(maxsize=4_096)
def attribute_term(key: str, text: str) -> str:
    """The term of an attribute that has a value, as text."""
    return f"k{hash48(key, text)}"


def service_term(service: int) -> str:
    """The term of a service, by its id."""
    return f"zs{service}"


def resource_term(resource: int) -> str:
    """The term of a resource, by its id."""
    return f"zr{resource}"


def name_term(name: int) -> str:
    """The term of a span's name, by the id of the text."""
    return f"zn{name}"


def link_term(span_id: bytes) -> str:
    """The term of a link to a span."""
    return f"zl{span_id.hex()}"


def status_term(status: int) -> str:
    """The term of a span's status, by OTLP's number."""
    return f"zx{status}"


def kind_term(kind: int) -> str:
    """The term of a span's kind, by OTLP's number."""
    return f"zk{kind}"


def severity_term(severity: int) -> str:
    """The term of a log record's severity, by OTLP's number."""
    return f"zv{severity}"


def duration_terms(least_ns: int | None, most_ns: int | None) -> str:
    """What to ask the index for durations that may lie between two; it finds some that lie outside.

    Returns:
        An expression of FTS5, empty where any duration is right.
    """
    if least_ns is None and most_ns is None:
        return ""
    first = max(least_ns or 0, 0).bit_length()
    last = 63 if most_ns is None else max(most_ns, 0).bit_length()
    return "(" + " OR ".join([f"zd{bits}" for bits in range(first, last + 1)] or ["zd_none"]) + ")"
