"""The walk: through attributes, lists, mappings and whatever else a value may be, by one policy.

Names and texts repeat from span to span, so verdicts are kept; a full memory starts afresh. Only clean texts are
remembered, long ones by their hash: a secret never stays behind in a memory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from numbers import Number
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.redaction.contents import shortened
from otel_kpi.redaction.names import Kind, kind_of
from otel_kpi.redaction.said import REDACTED, WORDS, Said, is_message

if TYPE_CHECKING:
    from otel_kpi.redaction.policy import Policy
    from otel_kpi.redaction.ruleset import Ruleset

MEMORY_SIZE = 4096
TEXT_SIZE = 256
LONG_TEXT_SIZE = 32_768
_DEPTH = 16
_NODES = 20_000
_CARD_FROM, _CARD_TO = 10**14, 10**16
# Looked up as often as anything here, and a member of an enumeration is a slow thing to find.
_PLAIN, _EXACT, _STATEMENT, _CLIENT = Kind.PLAIN, Kind.EXACT, Kind.STATEMENT, Kind.CLIENT
_ALLOWED, _CONTENT, _LEAKING, _MESSAGE = Kind.ALLOWED, Kind.CONTENT, Kind.LEAKING, Kind.MESSAGE
_GZIP = b"\x1f\x8b"

# In names that programs write themselves there is none of these; in a name that was made of data there may be a secret.
_STRANGE = re.compile(r"[=:@ ?\"'/]|\w{20}|\d{4}")


class Redactor(Said):
    """What one policy lets out. Never raises: what cannot be looked at does not leave.

    Args:
        policy: The decisions of the user.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.off = policy.off
        self.names: dict[str, Kind] = {}
        self.clean: set[str] = set()
        self.clean_hashes: set[int] = set()
        self.statements: dict[int, str] = {}
        self.clients: dict[int, str] = {}
        self.hash_key = hashlib.blake2b(
            policy.hash_key.encode("utf-8", "replace"), person=b"otel-kpi"
        ).digest()

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """One line for each pattern that cannot be used."""
        return self._checked[1]

    @cached_property
    def _checked(self) -> tuple[Any, tuple[str, ...]]:
        if not self.policy.patterns:
            return (), ()
        from otel_kpi.redaction.patterns import create_patterns

        return create_patterns(self.policy.patterns)

    @cached_property
    def of_security(self) -> Redactor:
        """The same policy for security log records, in which addresses stay whole."""
        sibling = Redactor(replace(self.policy, whole_addresses=True))
        sibling.__dict__["_checked"] = self._checked  # patterns are tried once
        return sibling

    @cached_property
    def of_spans(self) -> Redactor:
        """The same policy for spans, on which content may be allowed or not."""
        return self._without_content if self.policy.content and not self.policy.content_on_spans else self

    @cached_property
    def of_events(self) -> Redactor:
        """The same policy for log records and Sentry's events."""
        return self._without_content if self.policy.content and not self.policy.content_in_events else self

    @cached_property
    def _without_content(self) -> Redactor:
        sibling = Redactor(replace(self.policy, content=False))
        sibling.__dict__["_checked"] = self._checked  # patterns are tried once
        return sibling

    @cached_property
    def ruleset(self) -> Ruleset:
        """The rules, compiled when the first text is looked at: starting a process does not wait for that."""
        from otel_kpi.redaction.ruleset import Ruleset

        policy = self.policy
        return Ruleset(self.is_secret_name, policy, self._checked[0], self.hash_key)

    def kind(self, name: str) -> Kind:
        """What the name says of its value."""
        kind = self.names.get(name)
        if kind is None:
            policy = self.policy
            kind = kind_of(name, policy.keys, policy.allow, content=policy.content)
            if kind is _PLAIN and _STRANGE.search(name) is not None and self.text(name) != name:
                kind = _LEAKING
            if len(self.names) >= MEMORY_SIZE:
                self.names.clear()
            if len(name) <= TEXT_SIZE:
                self.names[name] = kind
        return kind

    def is_secret_name(self, name: str) -> bool:
        """Whether a value with this name is a secret, whatever the value is."""
        return self.kind(name) is Kind.SECRET

    # --- texts

    def text(self, text: str) -> str:
        """The text that may leave; the same object when nothing was found."""
        try:
            if type(text) is not str:
                text = str.__str__(text)
            if self.off or text in self.clean or (len(text) > TEXT_SIZE and hash(text) in self.clean_hashes):
                return text
            found = self.ruleset.apply(text)
        except Exception:
            return REDACTED
        if found is text:
            self._remember(text)
        return found

    def _remember(self, text: str) -> None:
        if len(text) <= TEXT_SIZE:
            if len(self.clean) >= MEMORY_SIZE:
                self.clean.clear()
            self.clean.add(text)
        elif len(text) <= LONG_TEXT_SIZE:
            if len(self.clean_hashes) >= MEMORY_SIZE:
                self.clean_hashes.clear()
            self.clean_hashes.add(hash(text))

    def statement(self, text: str) -> str:
        """The database statement without literals."""
        identity = hash(text)
        known = self.statements.get(identity)
        if known is not None:
            return text if known == "" else known
        from otel_kpi.redaction.statements import without_literals

        found = self.text(without_literals(text))
        if len(found) <= LONG_TEXT_SIZE:
            if len(self.statements) >= MEMORY_SIZE:
                self.statements.clear()
            # Under the hash, so that the literals do not stay here either.
            self.statements[identity] = "" if found is text else found
        return found

    def client(self, text: str) -> str:
        """The address of a client, shortened."""
        identity = hash(text)
        known = self.clients.get(identity)
        if known is None:
            known = self.ruleset.client(text)
            if len(known) <= TEXT_SIZE:
                if len(self.clients) >= MEMORY_SIZE:
                    self.clients.clear()
                self.clients[identity] = known
        return text if known == text else known

    # --- values

    def value(self, key: str, value: Any) -> Any:
        """The value that may leave under this key; the same object when nothing in it is secret."""
        try:
            return self._value(key, value, 0, [_NODES])
        except Exception:
            return REDACTED

    def attributes(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: C901, PLR0912, PLR0915 - written out for speed
        """The attributes that may leave, without those whose names say content; the same object when all may."""
        changed: dict[str, Any] | None = None
        names, clean, hashes = self.names, self.clean, self.clean_hashes
        try:
            # BoundedAttributes hands out a copy of its dictionary at a quarter of what iterating costs.
            source = attributes if type(attributes) is dict else _copy(attributes)
            for key, value in source.items():
                # Written out for speed: the usual attribute has a known name and a known text or a number.
                kind = names.get(key)
                if kind is None:
                    kind = self.kind(key)
                if kind is _PLAIN or kind is _EXACT:
                    if type(value) is str:
                        if value in clean or (len(value) > TEXT_SIZE and hash(value) in hashes):
                            continue
                    elif type(value) is int:
                        if -_CARD_FROM < value < _CARD_FROM:
                            continue
                    elif type(value) is float or type(value) is bool:
                        continue
                elif kind is _STATEMENT:
                    known = self.statements.get(hash(value)) if type(value) is str else None
                    if known is not None:
                        if known:
                            if changed is None:
                                changed = dict(source)
                            changed[key] = known
                        continue
                elif kind is _CLIENT:
                    if type(value) is str and self.clients.get(hash(value)) == value:
                        continue
                elif kind is _ALLOWED:
                    continue
                elif kind is _CONTENT:
                    if changed is None:
                        changed = dict(source)
                    del changed[key]
                    continue
                elif kind is _MESSAGE and self.policy.content_store is not None:
                    if changed is None:
                        changed = dict(source)
                    del changed[key]
                    reference = self._kept_apart(key, value)
                    if reference is not None:
                        changed[f"{key}_ref"] = reference
                    continue
                kept = self.value(key, value)
                if kind is _LEAKING:
                    if changed is None:
                        changed = dict(source)
                    del changed[key]
                    key = self.text(key)  # noqa: PLW2901 - the name may not leave either
                    value = None  # noqa: PLW2901 - so that what was kept is another one
                if kept is not value:
                    if changed is None:
                        changed = dict(source)
                    changed[key] = kept
        except Exception:
            return {}
        return attributes if changed is None else changed

    def _value(self, key: str, value: Any, depth: int, budget: list[int]) -> Any:  # noqa: C901, PLR0911 - one return for each kind
        kind = self.kind(key)
        if kind is Kind.ALLOWED:
            return value
        if kind is Kind.SECRET or kind is Kind.CONTENT:
            return _secret(value)
        budget[0] -= 1
        if budget[0] < 0:
            return REDACTED
        if isinstance(value, str):
            return self._text(kind, value)
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return self._number(value)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(value)
        if depth >= _DEPTH:
            return REDACTED
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[Any, Any]", value), depth + 1, budget)
        if isinstance(value, list | tuple):
            return self._sequence(key, cast("Sequence[Any]", value), depth + 1, budget)
        if isinstance(value, Sequence):
            # May be without end, or make its members when they are asked for.
            return REDACTED if budget[0] < len(value) else self._sequence(key, list(value), depth + 1, budget)
        if isinstance(value, Number):
            return value
        # Whatever it is, it leaves as text; asked for once, since a second answer may be another one.
        return self._text(kind, str(value))

    def _text(self, kind: Kind, value: str) -> str:
        if type(value) is not str:
            value = str.__str__(value)
        if kind is Kind.STATEMENT:
            return self.statement(value)
        if kind is Kind.CLIENT and not self.policy.whole_addresses:
            return self.client(value)
        found = self.text(value)
        if kind is Kind.MESSAGE:
            return shortened(found, self.policy.content_length)
        if kind is Kind.EXACT and found is not value:
            return self.ruleset.apply(value, addresses=False)
        if "\0" in found and self.text(found.replace("\0", "")) != found.replace("\0", ""):
            return REDACTED  # UTF-16 that was read as something else
        return found

    def _kept_apart(self, key: str, value: Any) -> str | None:
        """Where content is kept, without its secrets and at full length; None when it is not."""
        store = self.policy.content_store
        if store is None:
            return None
        if isinstance(value, str):
            return store.put(self.text(value))
        return store.put(json.dumps(self._value(key, value, 0, [_NODES]), ensure_ascii=False, default=str))

    def _number(self, value: int) -> Any:
        if _CARD_FROM <= value < _CARD_TO and type(value) is int:
            text = str(value)
            return value if self.text(text) == text else REDACTED
        return value

    def _bytes(self, value: bytes | bytearray | memoryview) -> bytes:
        raw = bytes(value)
        if raw.startswith(_GZIP):
            return REDACTED.encode()
        text = raw.decode("latin-1")
        kept = self._text(Kind.PLAIN, text)
        if kept == text:
            return value if type(value) is bytes else raw
        return kept.encode("latin-1", "replace")

    def _mapping(self, mapping: Mapping[Any, Any], depth: int, budget: list[int]) -> Mapping[Any, Any]:
        changed: dict[Any, Any] = {}
        clean = True
        named = self._names_value(mapping)
        said = not self.policy.content and is_message(mapping)
        for name, value in mapping.items():
            key = name if isinstance(name, str) else str(name)
            is_hidden = (named and key.lower() == "value") or (said and key in WORDS)
            kept = _secret(value) if is_hidden else self._value(key, value, depth, budget)
            shown = name
            # A secret may be the name itself: `{"bob@example.com": 3}`.
            if len(key) > 5 and (found := self.text(key)) is not key and found != key:  # noqa: PLR2004 - shorter ones hold none
                shown = found
            clean = clean and kept is value and shown is name
            changed[shown] = kept
            if budget[0] < 0:
                changed[REDACTED] = REDACTED
                return changed
        return mapping if clean else changed

    def _names_value(self, mapping: Mapping[Any, Any]) -> bool:
        """Whether it is a name and its value: `{"name": "DB_PASSWORD", "value": "…"}`, as Kubernetes and HAR have it."""
        for key in ("name", "key", "Name", "Key"):
            name = mapping.get(key)
            if isinstance(name, str) and len(name) <= TEXT_SIZE:
                return self.is_secret_name(name)
        return False

    def _sequence(self, key: str, values: Sequence[Any], depth: int, budget: list[int]) -> Sequence[Any]:
        kept: list[Any] = []
        clean = True
        for value in values:
            new = self._value(key, value, depth, budget)
            clean = clean and new is value
            kept.append(new)
            if budget[0] < 0:
                clean = False
                break
        # `--password hunter2` as a list of arguments, and `("x-api-key", "…")` as one of headers.
        for index in range(len(kept) - 1):
            name, value = kept[index], kept[index + 1]
            if isinstance(name, bytes):
                name = name.decode("latin-1")
            if isinstance(name, str) and self._names_next(name, len(kept)) and _secret(value) is not value:
                kept[index + 1] = _secret(value)
                clean = False
        if clean:
            return values
        return tuple(kept) if isinstance(values, tuple) else kept

    def _names_next(self, text: str, size: int) -> bool:
        """Whether this member of a list is the name of the next one."""
        if text.startswith("-"):
            return "=" not in text and self.is_secret_name(text)
        return size == 2 and len(text) <= 64 and self.is_secret_name(text)  # noqa: PLR2004 - a pair


def _copy(attributes: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return attributes.copy()  # type: ignore[attr-defined,no-any-return] # BoundedAttributes has it, mappings need not
    except AttributeError:
        return dict(attributes)


def _secret(value: Any) -> Any:
    # Nothing to hide in these; a flag or an empty text is worth seeing when one looks for a missing password.
    if value is None or isinstance(value, bool) or (isinstance(value, str) and value in ("", REDACTED)):
        return value
    if isinstance(value, tuple):
        return value if value == (REDACTED,) else (REDACTED,)
    if isinstance(value, list):
        return cast("list[Any]", value) if value == [REDACTED] else [REDACTED]
    return REDACTED
