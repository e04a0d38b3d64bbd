"""An application that talks to models of three providers, and says in every way that it can what was said.

Each thing that is said has a word in it that is nowhere else. The same words follow from a prefix in the application
and in the test.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from apps.planting import Planted

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("shop.coach")

CONTENT = (
    "openai.system", "openai.prompt", "openai.stream", "openai.responses", "openai.embedding", "openai.refused",
    "openai.wrapped", "openai.tool", "anthropic.system", "anthropic.prompt", "anthropic.stream", "anthropic.refused",
    "ollama.prompt", "ollama.refused", "ollama.uncaught", "answer", "rag.question", "rag.document", "rag.answer",
    "feedback.comment", "evaluation.explanation", "span.openinference", "span.openinference.prompt", "span.openllmetry",
    "span.litellm", "span.litellm.answer", "span.sentry", "span.variable", "span.tool.name", "span.mcp",
    "span.event", "log.event", "log.message", "log.repr", "log.debug", "sentry.variable",
)  # fmt: skip
"""What is content: it leaves by consent only."""
SECRETS = ("openai.secret", "anthropic.secret", "rag.secret")
"""Secrets inside of content: they never leave."""


def words(planted: Planted) -> dict[str, str]:
    """Every word that is said, by what it is said in."""
    return {label: planted.word(label) for label in (*CONTENT, *SECRETS)}


_planted = Planted("conversations")


def word(label: str) -> str:
    """What is said; no variable holds more than that."""
    return _planted.word(label)


class ShopError(Exception):
    """What the application makes of a provider's error."""


def with_openai(url: str) -> None:
    from openai import BadRequestError, OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    tools: Any = [
        {
            "type": "function",
            "function": {"name": "look", "parameters": {"type": "object", "title": word("openai.tool")}},
        }
    ]
    messages: Any = [
        {"role": "system", "content": f"you are {word('openai.system')}"},
        {"role": "user", "content": f"I ask {word('openai.prompt')} password={word('openai.secret')}"},
    ]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
    asked: Any = [{"role": "user", "content": f"I ask {word('openai.stream')}"}]
    for _ in client.chat.completions.create(model="gpt-4o-mini", messages=asked, stream=True):
        pass
    client.responses.create(model="gpt-4o-mini", input=f"I ask {word('openai.responses')}")
    client.embeddings.create(model="text-embedding-3-small", input=f"I mean {word('openai.embedding')}")
    asked = [{"role": "user", "content": f"REFUSE {word('openai.refused')}"}]
    try:
        client.chat.completions.create(model="gpt-4o-mini", messages=asked)
    except BadRequestError:
        logger.exception("the coach does not answer")
    asked = [{"role": "user", "content": f"REFUSE {word('openai.wrapped')}"}]
    try:
        try:
            client.chat.completions.create(model="gpt-4o-mini", messages=asked)
        except BadRequestError as error:
            raise ShopError(f"no answer: {error}") from error
    except ShopError as error:
        logger.warning("%s", error, exc_info=error)


def with_anthropic(url: str) -> None:
    from anthropic import Anthropic, BadRequestError

    client = Anthropic(base_url=url, api_key="none", max_retries=0)
    asked: Any = [
        {"role": "user", "content": f"I ask {word('anthropic.prompt')} password={word('anthropic.secret')}"}
    ]
    system = f"you are {word('anthropic.system')}"
    client.messages.create(model="claude-sonnet-4-5", max_tokens=10, system=system, messages=asked)
    asked = [{"role": "user", "content": f"I ask {word('anthropic.stream')}"}]
    for _ in client.messages.create(model="claude-sonnet-4-5", max_tokens=10, messages=asked, stream=True):
        pass
    asked = [{"role": "user", "content": f"REFUSE {word('anthropic.refused')}"}]
    try:
        client.messages.create(model="claude-sonnet-4-5", max_tokens=10, messages=asked)
    except BadRequestError as error:
        from opentelemetry import trace

        with trace.get_tracer("shop").start_as_current_span("refused") as span:
            span.record_exception(error)
        logger.exception("the coach does not answer")


def with_ollama(url: str) -> None:
    from ollama import Client, ResponseError

    client = Client(host=url)
    client.chat(model="llama3.2", messages=[{"role": "user", "content": f"I ask {word('ollama.prompt')}"}])
    try:
        client.chat(
            model="llama3.2", messages=[{"role": "user", "content": f"REFUSE {word('ollama.refused')}"}]
        )
    except ResponseError:
        logger.exception("the coach does not answer")
    from opentelemetry import trace

    with (
        contextlib.suppress(ResponseError),
        trace.get_tracer("shop").start_as_current_span("uncaught"),
    ):
        client.chat(
            model="llama3.2", messages=[{"role": "user", "content": f"REFUSE {word('ollama.uncaught')}"}]
        )


def with_documents() -> None:
    from otel_kpi import rag

    question = f"what is {word('rag.question')}? token={word('rag.secret')}"
    with rag.query("faq", question=question) as query:
        with query.retrieval("products", top_k=3) as retrieval:
            retrieval.documents([{"id": word("rag.document"), "score": 0.5, "text": "said"}])
        query.answer(f"it is {word('rag.answer')}")


def with_opinions() -> None:
    from otel_kpi.packs import llm

    with llm.conversation("c-42"):
        llm.feedback("negative", comment=f"it hurts {word('feedback.comment')}")
        llm.evaluation("relevance", 0.5, "fail", f"it says {word('evaluation.explanation')}")


def with_other_instrumentations() -> None:
    """As those write it that are not installed here."""
    from opentelemetry import trace
    from opentelemetry._logs import LogRecord, get_logger

    attributes = {
        "input.value": word("span.openinference"),
        "llm.input_messages.0.message.content": word("span.openinference.prompt"),
        "gen_ai.prompt.0.content": word("span.openllmetry"),
        "llm.openai.messages": f"[{word('span.litellm')}]",
        "llm.openai.stringified_raw_response": word("span.litellm.answer"),
        "gen_ai.response.text": word("span.sentry"),
        "gen_ai.prompt.variable.name": word("span.variable"),
        "gen_ai.tool.call.arguments": f'{{"name": "{word("span.tool.name")}"}}',
        "mcp.tool.result": word("span.mcp"),
    }
    with trace.get_tracer("others").start_as_current_span("others", attributes=attributes) as span:
        span.add_event("gen_ai.user.message", {"content": word("span.event"), "role": "user"})
        body = {"content": word("log.event"), "role": "user"}
        get_logger("others").emit(LogRecord(event_name="gen_ai.user.message", body=body))
    logger.info("sent %s", [{"role": "user", "content": f"I say {word('log.message')}"}])
    logger.info("got ChatCompletionMessage(content='I say %s', role='assistant')", word("log.repr"))
    logging.getLogger("openai._base_client").debug("Request options: %s", {"input": word("log.debug")})


def with_an_error() -> None:
    """The variables of an error go to Sentry."""

    def ask(messages: list[dict[str, str]], prompt: str) -> None:
        raise ShopError(f"{len(messages) + len(prompt) * 0} messages")

    try:
        ask([{"role": "user", "content": word("sentry.variable")}], f"I ask {word('sentry.variable')}")
    except ShopError:
        from otel_kpi import capture_exception

        capture_exception()


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    url = os.environ["PROVIDER_URL"]
    providers: tuple[Callable[[str], None], ...] = (with_openai, with_anthropic, with_ollama)
    for provider in providers:
        provider(url)
    for each in (with_documents, with_opinions, with_other_instrumentations, with_an_error):
        each()
    print("said")


if __name__ == "__main__":
    main()
