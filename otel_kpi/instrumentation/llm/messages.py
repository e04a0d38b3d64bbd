"""What is said to a model and by it, in the form of OpenTelemetry's conventions. Only for those who agreed.

Mistral, Cohere, Ollama and LiteLLM have one shape: messages with a role, a content that is text or a list of parts, and
calls of tools. They come as dictionaries or as objects of the SDK.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def get(thing: Any, name: str) -> Any:
    """Give a field of a dictionary or an object; None where it has none."""
    if isinstance(thing, dict):
        return thing.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- of anything
    return getattr(thing, name, None)


def word(value: Any) -> str | None:
    """Give a text; None for what an SDK has where nothing was said (`UNSET`, `...`)."""
    return value if isinstance(value, str) else None


def text_of(content: Any) -> str:
    """Give the text of a content: one, or that of its parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        content = [content]
    return "".join(
        text
        for part in content
        for text in (part if isinstance(part, str) else get(part, "text"),)
        if isinstance(text, str)
    )


def thought_of(content: Any) -> str:
    """Give what a content has of thinking: a part of its own, which may have parts again."""
    if not isinstance(content, (list, tuple)):
        return ""
    return "".join(text_of(thinking) for part in content if (thinking := get(part, "thinking")) is not None)


def inputs(messages: Any) -> list[Any]:
    """Give messages that are sent to a model."""
    from opentelemetry.util.genai.types import InputMessage, TextPart, ToolCallResponsePart

    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    found: list[Any] = []
    for message in messages or ():
        role = str(getattr(get(message, "role"), "value", get(message, "role")) or "user")
        text = text_of(get(message, "content"))
        if role == "tool":
            parts: list[Any] = [ToolCallResponsePart(response=text, id=get(message, "tool_call_id"))]
        else:
            parts = [TextPart(content=text)] if text else []
            parts += _calls(get(message, "tool_calls"))
        found.append(InputMessage(role=role, parts=parts))
    return found


def definitions(tools: Any) -> list[Any]:
    """Give the tools that a model may call; those that are no dictionaries are left out."""
    from opentelemetry.util.genai.types import FunctionToolDefinition

    found: list[Any] = []
    for tool in tools if isinstance(tools, (list, tuple)) else ():
        function = get(tool, "function")
        name = get(function, "name")
        if isinstance(name, str):
            found.append(
                FunctionToolDefinition(
                    name=name,
                    description=get(function, "description"),
                    parameters=get(function, "parameters") if isinstance(tool, dict) else None,
                )
            )
    return found


def _calls(calls: Any) -> Iterable[Any]:
    from opentelemetry.util.genai.types import ToolCallRequestPart

    for call in calls if isinstance(calls, (list, tuple)) else ():
        function = get(call, "function")
        name = get(function, "name")
        if name:
            yield ToolCallRequestPart(
                arguments=get(function, "arguments"), name=str(name), id=get(call, "id")
            )


@dataclass(slots=True)
class Parts:
    """What one choice of an answer has said so far.

    Attributes:
        texts: Pieces of text, in the order of their arrival.
        thoughts: Pieces of thinking.
        calls: Calls of tools; in a stream name and arguments come in pieces.
    """

    texts: list[str] = field(default_factory=list[str])
    thoughts: list[str] = field(default_factory=list[str])
    calls: dict[Any, dict[str, Any]] = field(default_factory=dict[Any, "dict[str, Any]"])

    def add(self, message: Any) -> None:
        """Take a message, or a piece of one."""
        content = get(message, "content")
        if text := text_of(content):
            self.texts.append(text)
        thought = get(message, "thinking") or get(message, "reasoning_content") or thought_of(content)
        if thought and isinstance(thought, str):
            self.thoughts.append(thought)
        calls = get(message, "tool_calls")
        if calls is not None and not isinstance(calls, (list, tuple)):
            calls = [calls]
        for number, call in enumerate(calls or ()):
            self._add_call(get(call, "index") if get(call, "index") is not None else number, call)

    def _add_call(self, index: Any, call: Any) -> None:
        function = get(call, "function")
        known = self.calls.setdefault(index, {"id": None, "name": "", "arguments": ""})
        known["id"] = get(call, "id") or known["id"]
        known["name"] = get(function, "name") or known["name"]
        arguments = get(function, "arguments")
        if isinstance(arguments, str) and isinstance(known["arguments"], str):
            known["arguments"] += arguments
        elif arguments is not None:
            known["arguments"] = arguments

    def message(self, finish: str | None) -> Any:
        """Give the message of the assistant."""
        from opentelemetry.util.genai.types import (
            OutputMessage,
            ReasoningPart,
            TextPart,
            ToolCallRequestPart,
        )

        parts: list[Any] = []
        if self.thoughts:
            parts.append(ReasoningPart(content="".join(self.thoughts)))
        if self.texts:
            parts.append(TextPart(content="".join(self.texts)))
        parts += [
            ToolCallRequestPart(arguments=each["arguments"], name=str(each["name"]), id=each["id"])
            for each in self.calls.values()
            if each["name"]
        ]
        return OutputMessage(role="assistant", parts=parts, finish_reason=finish)
