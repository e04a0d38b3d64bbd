"""What was said in conversations with models, and stays here: messages, events, errors that quote, details in logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from otel_kpi.redaction.policy import Policy

REDACTED = "[redacted]"
_DEPTH = 16

# What may stay of the body of a GenAI event: its shape, not what was said.
_FRAME = frozenset(
    {"role", "finish_reason", "index", "id", "type", "name", "message", "tool_calls", "function"}
)
_ROLES = frozenset({"user", "system", "assistant", "developer", "tool", "function", "model", "human", "ai"})
_LONGEST_ROLE = 16
_CONTENT_EVENTS = ("gen_ai.", "llm.content.")
WORDS = frozenset((
    "content", "contents", "message", "messages", "tool_calls", "arguments", "prompt", "completion", "text", "parts",
    "result", "input", "output", "body", "instructions", "system_instructions",
))  # fmt: skip
"""What it is called in a message."""


def is_message(mapping: Mapping[Any, Any]) -> bool:
    """Whether it is what somebody said to a model, or a model to somebody; Sentry writes texts with their quotes."""
    role = mapping.get("role")
    return isinstance(role, str) and len(role) <= _LONGEST_ROLE and role.strip("'\"").lower() in _ROLES


class Said:
    """What a redactor knows of conversations.

    Attributes:
        policy: The decisions of the user.
    """

    policy: Policy

    def attributes(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The attributes that may leave."""
        raise NotImplementedError

    def value(self, key: str, value: Any) -> Any:
        """The value that may leave under this key."""
        raise NotImplementedError

    @property
    def _may_leave(self) -> bool:
        return self.policy.content or self.policy.off

    def event_attributes(self, name: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The attributes of an event, without content where the event's name says that it carries a message."""
        kept = self.attributes(attributes)
        if not self._may_leave and "exception.type" in kept:
            kept = self._without_quotes(kept)
        if not self.is_content_event(name):
            return kept
        try:
            said = [key for key in kept if key.rpartition(".")[2] in WORDS]
            return {key: value for key, value in kept.items() if key not in said} if said else kept
        except Exception:
            return {}

    def quoted(self, kind: Any, text: str) -> str:
        """What an exception of this qualified name may say: a provider's may quote the prompt that it refused."""
        if self._may_leave or not isinstance(kind, str) or "." not in kind:
            return text
        from otel_kpi.redaction.quotes import is_quoting, withheld

        return withheld(text) if is_quoting(kind) else text

    def unquoted(self, text: str) -> str:
        """The text without what was said to a model or by one, and with all else in it."""
        if self._may_leave:
            return text
        from otel_kpi.redaction import quotes

        try:
            for rule in quotes.due(text):
                text = rule.replace(text)
        except Exception:
            return REDACTED
        return text

    def is_told_by(self, logger: str) -> bool:
        """Whether what this logger says in detail is content that stays here: whole requests and answers."""
        if self._may_leave:
            return False
        from otel_kpi.redaction.quotes import is_from

        return is_from(logger)

    def _without_quotes(self, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            message = attributes.get("exception.message")
            kept = (
                self.quoted(attributes.get("exception.type"), message)
                if isinstance(message, str)
                else message
            )
        except Exception:
            return {}
        return attributes if kept is message else {**attributes, "exception.message": kept}

    def is_content_event(self, name: str | None) -> bool:
        """Whether an event or log record of this name is a message of a conversation that stays here."""
        return not self.policy.content and isinstance(name, str) and name.startswith(_CONTENT_EVENTS)

    def frame(self, body: Any, depth: int = 0) -> Any:
        """The shape of a message, without what was said."""
        if depth >= _DEPTH:
            return None
        if isinstance(body, Mapping):
            return {
                name: self.frame(value, depth + 1)
                for name, value in cast("Mapping[str, Any]", body).items()
                if name in _FRAME
            }
        if isinstance(body, list | tuple):
            return [self.frame(value, depth + 1) for value in cast("Sequence[Any]", body)]
        if depth == 0:
            return None
        return body if isinstance(body, bool | int) else self.value("", body)
