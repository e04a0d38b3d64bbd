"""What never leaves the process: one policy, for spans, log records, metrics, the resource and Sentry events.

Three questions are asked of every value: does its *name* say what it is (`names`), does its *text* carry a secret
(`rules`, `shapes`, `statements`), and did the user decide about it (`policy`). Nothing here raises: what a rule cannot
handle is replaced as a whole. The rules themselves are imported when the first text is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi.redaction.policy import Policy, policy_of
from otel_kpi.redaction.redactor import REDACTED, Redactor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.redaction.rules import Rule

__all__ = [
    "REDACTED",
    "Policy",
    "Redactor",
    "Rule",
    "active",
    "hashed",
    "is_secret_name",
    "policy_of",
    "redact_attributes",
    "redact_event_attributes",
    "redact_text",
    "redact_url",
    "redact_value",
    "use",
]

_active = Redactor(Policy())


def use(policy: Policy) -> tuple[str, ...]:
    """Make this the policy of the process; returns one line for each part that cannot be used."""
    global _active
    redactor = Redactor(policy)
    problems = redactor.problems
    if policy.off:
        problems += ("redaction is off: everything leaves as it is",)
    _active = redactor
    return problems


def active() -> Redactor:
    """What the policy of the process is done by."""
    return _active


def is_secret_name(name: str) -> bool:
    """Whether a value with this name is a secret, whatever the value is.

    Names are compared by their words, so `X-Api-Key`, `x_api_key`, `xApiKey` and
    `http.request.header.x-api-key` are one name, while `gen_ai.usage.input_tokens` and `session.id` are clean.
    """
    return _active.is_secret_name(name)


def redact_text(text: str) -> str:
    """The text without the secrets that the rules find in it; the same object when there are none."""
    return _active.of_events.text(text)


def redact_url(url: str) -> str:
    """The address without user information and without secret query parameters."""
    return _active.text(url)


def redact_value(key: str, value: Any) -> Any:
    """The value that may leave under this key; the same object when nothing in it is secret.

    Mappings and sequences are walked; a sequence under a secret name stays a sequence of one text, so that an
    attribute keeps its type.
    """
    return _active.of_events.value(key, value)


def redact_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes that may leave; the same object when nothing in them is secret."""
    return _active.attributes(attributes)


def redact_event_attributes(name: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of an event of a span; a message of a conversation loses what was said."""
    return _active.event_attributes(name, attributes)


def hashed(text: str) -> str:
    """Twelve hexadecimal digits for an identity, the same in every process with the same `redact_hash_key`."""
    from otel_kpi.redaction.shapes import hashed as hash_of

    return hash_of(text, _active.hash_key)


def __getattr__(name: str) -> Any:
    if name == "Rule":
        from otel_kpi.redaction.rules import Rule

        return Rule
    raise AttributeError(name)
