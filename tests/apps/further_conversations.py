"""The same with the libraries that take longer to import: what is said through them, and what is refused."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any

from apps.planting import Planted

logger = logging.getLogger("shop.coach")

LIBRARIES = ("litellm", "langchain", "google", "mistral", "cohere", "bedrock", "llama_index")
CONTENT = (
    *(f"{library}.{what}" for library in LIBRARIES for what in ("prompt", "refused")),
    "mcp.argument", "mcp.result", "langchain.document", "answer",
)  # fmt: skip

_planted = Planted("further")


def word(label: str) -> str:
    return _planted.word(label)


def words(planted: Planted) -> dict[str, str]:
    return {label: planted.word(label) for label in CONTENT}


def both(library: str, ask: Any) -> None:
    """Ask twice; the second time the provider refuses, and quotes."""
    ask(f"I ask {word(f'{library}.prompt')}")
    try:
        ask(f"REFUSE {word(f'{library}.refused')}")
    except Exception:
        logger.exception("%s does not answer", library)
    else:
        raise AssertionError(f"{library} was not refused")


def with_litellm(url: str) -> None:
    import litellm

    def ask(prompt: str) -> None:
        asked: Any = [{"role": "user", "content": prompt}]
        litellm.completion("openai/gpt-4o-mini", asked, api_base=f"{url}/v1", api_key="none", num_retries=0)

    both("litellm", ask)


def with_langchain(url: str) -> None:
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, **_given: Any) -> list[Document]:
            return [Document(page_content=f"{query} {word('langchain.document')}", id="d1")]

    model = ChatOpenAI(model="gpt-4o-mini", base_url=f"{url}/v1", api_key=SecretStr("none"), max_retries=0)
    both("langchain", model.invoke)
    Shelf().invoke(word("langchain.document"))


def with_google(url: str) -> None:
    from google.genai import Client

    client = Client(api_key="none", http_options={"base_url": url})

    def ask(prompt: str) -> Any:
        return client.models.generate_content(model="gemini-2.5-flash", contents=prompt)

    both("google", ask)


def with_mistral(url: str) -> None:
    from mistralai.client import Mistral

    client = Mistral(api_key="none", server_url=url)

    def ask(prompt: str) -> None:
        asked: Any = [{"role": "user", "content": prompt}]
        client.chat.complete(model="mistral-small-latest", messages=asked)

    both("mistral", ask)


def with_cohere(url: str) -> None:
    import cohere

    client = cohere.ClientV2(api_key="none", base_url=url)

    def ask(prompt: str) -> None:
        asked: Any = [{"role": "user", "content": prompt}]
        client.chat(model="command-a-03-2025", messages=asked)

    both("cohere", ask)


def with_bedrock(url: str) -> None:
    import boto3

    client: Any = boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="none",
        aws_secret_access_key="none",
    )

    def ask(prompt: str) -> None:
        asked: Any = [{"role": "user", "content": [{"text": prompt}]}]
        client.converse(modelId="anthropic.claude-sonnet-4-5-20250929-v1:0", messages=asked)

    both("bedrock", ask)


def with_llama_index(url: str) -> None:
    from llama_index.llms.openai import OpenAI

    model = OpenAI(model="gpt-4o-mini", api_base=f"{url}/v1", api_key="none", max_retries=0)
    both("llama_index", model.complete)


def with_mcp() -> None:
    from mcp import Client
    from mcp.server import MCPServer

    server = MCPServer("shop")

    @server.tool()
    def look(what: str) -> str:
        return f"{what} is {word('mcp.result')}"

    async def talk() -> None:
        async with Client(server) as client:
            await client.call_tool("look", {"what": word("mcp.argument")})

    asyncio.run(talk())


def main() -> None:
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    url = os.environ["PROVIDER_URL"]
    for each in (
        with_litellm,
        with_langchain,
        with_google,
        with_mistral,
        with_cohere,
        with_bedrock,
        with_llama_index,
    ):
        each(url)
    with_mcp()
    print("said")


if __name__ == "__main__":
    main()
