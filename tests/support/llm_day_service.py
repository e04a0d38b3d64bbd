"""A service that makes the calls of the scripted day: gunicorn serves it, and each request is a few calls."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

import anthropic
import openai
from google import genai
from google.genai.types import HttpOptions

from otel_kpi import llm
from support.llm_day import READ, SAID, Call, call_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

URLS: dict[str, str] = json.loads(os.environ.get("LLM_DAY_URLS", "{}"))
_made = threading.Lock()


@cache
def _openai() -> openai.OpenAI:
    return openai.OpenAI(api_key="sk-test", base_url=f"{URLS['openai']}/v1")


@cache
def _anthropic() -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="sk-ant-test", base_url=URLS["anthropic"])


@cache
def _google() -> genai.Client:
    return genai.Client(api_key="test", http_options=HttpOptions(base_url=URLS["google"]))


def play(call: Call) -> str:
    """Make a call, and say what the application got."""
    kind = call.kind
    with llm.context(tenant=call.tenant, feature=call.feature):
        try:
            if kind == "cancelled":
                return asyncio.run(_cancelled(call))
            if call.provider == "anthropic":
                return _message(call)
            if call.provider == "gcp.gemini":
                return _content(call)
            if kind.startswith("responses"):
                return _response(call)
            return _embeddings(call) if kind == "embeddings" else _chat(call)
        except Exception as error:
            return type(error).__name__


def _read(pieces: Iterable[str | None], close: Callable[[], Any], *, left: bool) -> str:
    """Read a stream, or some parts of it."""
    text = ""
    for number, piece in enumerate(pieces, 1):
        text += piece or ""
        if left and number == READ:
            close()
            return "left"
    return text


def _chat(call: Call) -> str:
    messages: Any = [{"role": "user", "content": call.text}]
    if not call.streams:
        said = _openai().chat.completions.create(model=call.model, messages=messages)
        return said.choices[0].message.content or ""
    # One in two asks for its usage; whether the other's is known, the setting says.
    more: Any = {"stream_options": {"include_usage": True}} if call.kind == "stream" else {}
    stream = _openai().chat.completions.create(model=call.model, messages=messages, stream=True, **more)
    pieces = (choice.delta.content for chunk in stream for choice in chunk.choices)
    return _read(pieces, stream.close, left=call.kind == "left")


async def _cancelled(call: Call) -> str:
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=f"{URLS['openai']}/v1") as client:
        messages: Any = [{"role": "user", "content": call.text}]
        begun = asyncio.Event()

        async def read() -> None:
            stream = await client.chat.completions.create(model=call.model, messages=messages, stream=True)
            async for _ in stream:
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        return "cancelled" if task.cancelled() else "not cancelled"


def _response(call: Call) -> str:
    if call.kind == "responses":
        return _openai().responses.create(model=call.model, input=call.text).output_text
    with _openai().responses.create(model=call.model, input=call.text, stream=True) as stream:
        return "".join(each.delta for each in stream if each.type == "response.output_text.delta")


def _embeddings(call: Call) -> str:
    made = _openai().embeddings.create(model=call.model, input=[call.text])
    return SAID if made.data[0].embedding == [0.0, 1.0] else "another vector"


def _message(call: Call) -> str:
    messages: Any = [{"role": "user", "content": call.text}]
    if not call.streams:
        said: Any = _anthropic().messages.create(model=call.model, max_tokens=99, messages=messages)
        return said.content[0].text
    with _anthropic().messages.stream(model=call.model, max_tokens=99, messages=messages) as stream:
        return _read(stream.text_stream, stream.close, left=call.kind == "message_left")


def _content(call: Call) -> str:
    if not call.streams:
        return _google().models.generate_content(model=call.model, contents=call.text).text or ""
    stream: Any = _google().models.generate_content_stream(model=call.model, contents=call.text)
    return _read((chunk.text for chunk in stream), stream.close, left=call.kind == "content_left")


gc.freeze()  # as services do that are loaded before they fork: else each worker's end looks at all of it once more


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Make the calls whose numbers are in the body; answer what came of each."""
    numbers: list[int] = json.loads(
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or "[]"
    )
    with _made:
        for client in (_openai, _anthropic, _google):
            client()
    outcomes = {number: play(call_of(number)) for number in numbers}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"process": os.getpid(), "outcomes": outcomes}).encode()]
