"""Which conversation calls belong to. It stays in the process and goes with its context.

OpenTelemetry's util-genai keeps an id of its own in the context, which packs cannot reach: they know
opentelemetry-api alone. What follows its invocations hands this one over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts

from otel_kpi.packs.surroundings import Surroundings

if TYPE_CHECKING:
    from opentelemetry.context import Context

ATTRIBUTE: Final = "gen_ai.conversation.id"
_KEY: Final = contexts.create_key("otel_kpi.conversation")
_LONGEST: Final = 256
"""Characters of an id; what is longer is text."""


def current(within: Context | None = None) -> str | None:
    """The id of the conversation of a context; None outside of one."""
    found = contexts.get_value(_KEY, context=within)
    return found if isinstance(found, str) else None


class Conversation(Surroundings):
    """What `conversation()` gives: for `with`, `async with`, and as a decorator.

    Attributes:
        id: `gen_ai.conversation.id`; None leaves the one that is current.
    """

    def __init__(self, conversation: str | None) -> None:
        self.id = conversation

    def place(self) -> Context | None:
        """The context within."""
        return None if self.id is None else contexts.set_value(_KEY, self.id)


def conversation(id: str) -> Conversation:  # noqa: A002 - the word of the convention
    """Say to which conversation the calls within belong.

    Args:
        id: As the application names it: of a chat session or a thread; never a person's name. Up to 256 characters.

    It is `gen_ai.conversation.id` on the span of every call of a language model within, of `rag.query` and of what
    users and evaluations say of answers. A framework that names its own conversation keeps that. On no metric.
    """
    return Conversation(_text(id))


def _text(value: Any) -> str | None:
    try:
        text = str(value)
    except Exception:
        return None
    return text[:_LONGEST] if value is not None and text else None
