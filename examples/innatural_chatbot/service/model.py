"""The language model, as the chat service calls it. What it took, how many tokens, what it cost: nothing says so here."""

from collections.abc import Mapping

import openai
from openai import AsyncOpenAI

from innatural_chatbot.shops import INSTRUCTIONS, Shop
from otel_kpi import llm

WAITS = 0.5  # seconds
RETRIES = 1


def clients(url: str, keys: Mapping[str, str]) -> dict[str, AsyncOpenAI]:
    """A way to the models for each shop, with the shop's own key."""
    return {
        shop: AsyncOpenAI(api_key=key, base_url=url, timeout=WAITS, max_retries=RETRIES)
        for shop, key in keys.items()
    }


async def complete(client: AsyncOpenAI, shop: Shop, sender: str, question: str) -> str:
    """Ask the model, for a shop.

    Raises:
        TimeoutError: It takes longer than anybody waits.
    """
    with llm.context(tenant=shop.name, feature="chat", user=sender):
        try:
            said = await client.chat.completions.create(
                model=shop.model,
                messages=[
                    {"role": "system", "content": INSTRUCTIONS},
                    {"role": "user", "content": question},
                ],
            )
        except openai.APITimeoutError:
            raise TimeoutError("the model takes too long") from None
    return said.choices[0].message.content or ""
