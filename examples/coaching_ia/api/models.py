"""The models: one for each thing that the coach does, of two companies. Nothing here speaks of telemetry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

if TYPE_CHECKING:
    from anthropic.types import MessageParam, TextBlockParam
    from openai.types.chat import ChatCompletionMessageParam

CHAT, PLAN, SUMMARY, VECTORS = (
    "gpt-4o-mini",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
    "text-embedding-3-small",
)
LONGEST_ANSWER = 60
"""Words after which nobody reads on, so that the rest of the stream is not fetched."""

SUMS_UP = "You sum up what members of a sports club talked about with their coach, in two sentences."
SUM_UP = "What did the assistant say about training?"


def wish(goal: str, weeks: int) -> str:
    """What the model is asked for when a plan is wanted."""
    return f"Make a training plan of {weeks} weeks: {goal}"


@dataclass(frozen=True, slots=True)
class Clients:
    """A club's ways to both companies: its own key, so that the bill says what it used."""

    openai: AsyncOpenAI
    anthropic: AsyncAnthropic

    async def close(self) -> None:
        """Leave."""
        await self.openai.close()
        await self.anthropic.close()


def clients(openai_url: str, anthropic_url: str, keys: Mapping[str, str]) -> dict[str, Clients]:
    """The ways of all clubs."""
    return {
        club: Clients(
            AsyncOpenAI(api_key=key, base_url=openai_url),
            AsyncAnthropic(api_key=key, base_url=anthropic_url),
        )
        for club, key in keys.items()
    }


async def vectors(of: Clients, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text."""
    found = await of.openai.embeddings.create(model=VECTORS, input=list(texts), encoding_format="float")
    return [each.embedding for each in found.data]


def _said(message: Mapping[str, str]) -> "ChatCompletionMessageParam":
    if message["role"] == "assistant":
        return {"role": "assistant", "content": message["content"]}
    return {"role": "user", "content": message["content"]}


async def answer(
    of: Clients, instructions: str, documents: str, history: Sequence[Mapping[str, str]], question: str
) -> str:
    """Answer a question; streamed, and cut where it becomes too long."""
    messages: list[ChatCompletionMessageParam] = [
        {"role": "system", "content": instructions},
        {"role": "system", "content": documents},
        *map(_said, history),
        {"role": "user", "content": question},
    ]
    said = ""
    async with await of.openai.chat.completions.create(model=CHAT, messages=messages, stream=True) as stream:
        async for chunk in stream:
            for choice in chunk.choices:
                said += choice.delta.content or ""
            if len(said.split()) >= LONGEST_ANSWER:
                return f"{said.rstrip()} …"
    return said


async def plan(of: Clients, instructions: str, documents: str, goal: str, weeks: int) -> str:
    """Make a training plan. The instructions are always the same, so the model is to remember them."""
    system: list[TextBlockParam] = [
        {"type": "text", "text": instructions, "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": documents},
    ]
    asked: MessageParam = {"role": "user", "content": wish(goal, weeks)}
    made = await of.anthropic.messages.create(model=PLAN, max_tokens=2000, system=system, messages=[asked])
    return "".join(block.text for block in made.content if block.type == "text")


async def summary(of: Clients, history: Sequence[Mapping[str, str]]) -> str:
    """Sum a talk up; streamed, and read to its end."""
    talk = "\n".join(f"{each['role']}: {each['content']}" for each in history)
    messages: list[MessageParam] = [
        {"role": "user", "content": talk or "Nothing was said."},
        {"role": "user", "content": SUM_UP},
    ]
    async with of.anthropic.messages.stream(
        model=SUMMARY, max_tokens=500, system=SUMS_UP, messages=messages
    ) as stream:
        made = await stream.get_final_message()
    return "".join(block.text for block in made.content if block.type == "text")
