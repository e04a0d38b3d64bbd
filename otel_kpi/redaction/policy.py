"""What a process lets out, as its user decided it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.redaction.rules import Rule

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
        hash_key: Key of the hash that stands for an e-mail address; up to 64 bytes are used.
        rules: Rules in code. One that raises drops the value that it was given.
        whole_addresses: Whether network addresses stay whole, as they do in security log records.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    content: bool = False
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


def policy_of(settings: Choices) -> Policy:
    """The policy that the settings of a process describe."""
    return Policy(
        keys=tuple(settings.redact_keys),
        patterns=tuple(getattr(each, "pattern", each) for each in settings.redact_patterns),
        allow=tuple(settings.redact_allow),
        content=settings.genai_content not in {"false", "no_content"},
        hash_key=settings.redact_hash_key or "",
    )
