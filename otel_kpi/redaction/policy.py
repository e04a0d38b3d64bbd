"""What a process lets out, as its user decided it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.redaction.contents import Store
    from otel_kpi.redaction.rules import Rule

CONTENT_LENGTH = 16_384
"""Characters of an attribute with content."""
_NOWHERE = frozenset({"false", "no_content"})
EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Policy:
    """The decisions of a user; everything else is built in.

    Attributes:
        keys: Names whose values never leave, beside those that are known. Compared by words, whatever their
            spelling; with `*` or `?` compared as a whole.
        patterns: Regular expressions; what they match (or their group `secret`) is replaced in every text.
        allow: Names whose values leave as they are, whatever is in them. Wins over everything; `*` alone switches
            redaction off.
        content: Whether prompts, completions and the arguments of tools may leave.
        content_on_spans: Whether they may do so on spans.
        content_in_events: Whether they may do so in log records and in Sentry's events.
        content_length: Characters of each of them at most; 0 is without limit.
        content_store: Where they are kept apart; a reference stands in their place.
        hash_key: Key of the hash that stands for an e-mail address; up to 64 bytes are used.
        rules: Rules in code. One that raises drops the value that it was given.
        whole_addresses: Whether network addresses stay whole, as they do in security log records.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    content: bool = False
    content_on_spans: bool = True
    content_in_events: bool = True
    content_length: int = CONTENT_LENGTH
    content_store: Store | None = None
    hash_key: str = ""
    rules: tuple[Rule, ...] = ()
    whole_addresses: bool = False

    @property
    def off(self) -> bool:
        """Whether everything leaves as it is."""
        return EVERYTHING in self.allow


class Choices(Protocol):
    """The settings that make a policy, as `config.Settings` has them."""

    @property
    def redact_keys(self) -> Sequence[str]: ...  # noqa: D102 - see config.py
    @property
    def redact_patterns(self) -> Sequence[str]: ...  # noqa: D102 - the same
    @property
    def redact_allow(self) -> Sequence[str]: ...  # noqa: D102 - the same
    @property
    def redact_hash_key(self) -> str | None: ...  # noqa: D102 - the same
    @property
    def genai_content(self) -> str: ...  # noqa: D102 - the same
    @property
    def genai_content_length(self) -> int: ...  # noqa: D102 - the same


def policy_of(settings: Choices, content_store: Store | None = None) -> Policy:
    """The policy that the settings of a process describe."""
    return Policy(
        keys=tuple(settings.redact_keys),
        patterns=tuple(getattr(each, "pattern", each) for each in settings.redact_patterns),
        allow=tuple(settings.redact_allow),
        content=settings.genai_content not in _NOWHERE,
        content_on_spans=settings.genai_content != "event_only",
        content_in_events=settings.genai_content != "span_only",
        content_length=settings.genai_content_length,
        content_store=content_store,
        hash_key=settings.redact_hash_key or "",
    )
