"""Which conversation calls belong to. It stays in the process and goes with its context.

OpenTelemetry's util-genai keeps an id of its own in the context, which packs cannot reach: they know
opentelemetry-api alone. What follows its invocations hands this one over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from opentelemetry import context as contexts

from otel_kpi.packs.contexts import Inside
from otel_kpi.packs.decoration import decorated

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    F = TypeVar("F", bound=Callable[..., Any])

ATTRIBUTE: Final = "gen_ai.conversation.id"
_KEY: Final = contexts.create_key("otel_kpi.conversation")
_LONGEST: Final = 256
"""Characters of an id; what is longer is text."""


def current(within: Context | None = None) -> str | None:
    """The id of the conversation of a context; None outside of one."""
    found = contexts.get_value(_KEY, context=within)
    return found if isinstance(found, str) else None


class _Call:
    """One call of a decorated function, within a conversation."""

    __slots__ = ("_inside", "context")

    def __init__(self, conversation: str | None) -> None:
        self.context = None if conversation is None else contexts.set_value(_KEY, conversation)
        self._inside: Inside | None = None

    def attach(self) -> None:
        self._inside = Inside(self.context)
        self._inside.__enter__()

    def detach(self) -> None:
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.__exit__()

    def end(self, error: BaseException | None = None) -> None:  # noqa: ARG002 - however it ends
        self.detach()


class Conversation:
    """What `conversation()` gives: for `with`, `async with`, and as a decorator.

    Attributes:
        id: `gen_ai.conversation.id`; None leaves the one that is current.
    """

    __slots__ = ("_inside", "id")

    def __init__(self, conversation: str | None) -> None:
        self.id = conversation
        self._inside: list[Inside] = []

    def __enter__(self) -> str | None:
        inside = Inside(None if self.id is None else contexts.set_value(_KEY, self.id))
        inside.__enter__()
        self._inside.append(inside)
        return self.id

    def __exit__(self, *_error: object) -> None:
        self._inside.pop().__exit__()

    async def __aenter__(self) -> str | None:
        return self.__enter__()

    async def __aexit__(self, *_error: object) -> None:
        self.__exit__()

    def __call__(self, function: F) -> F:
        """Have all that a function does be of the conversation, a generator until its last value."""
        return decorated(lambda: _Call(self.id), function)


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
