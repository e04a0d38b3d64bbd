"""Where everything of the example is. Read once from the environment of each process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What the chat service needs.

    Attributes:
        database_url: With an asyncio driver: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`.
        openai_url: Where the models are.
        provider_keys: Each shop's key there.
        redis_url: Popular products and rate limits of all workers; empty is without Redis.
    """

    database_url: str
    openai_url: str
    provider_keys: Mapping[str, str]
    redis_url: str


def load(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; without any, everything is in `./chatbot-data`, and the models are the real ones, without a key."""
    data = Path(variables.get("CHATBOT_DATA", "chatbot-data")).resolve()
    keys = (pair.partition("=") for pair in variables.get("CHATBOT_PROVIDER_KEYS", "").split(","))
    return Settings(
        database_url=variables.get("CHATBOT_DATABASE_URL") or f"sqlite+aiosqlite:///{data / 'chat.db'}",
        openai_url=variables.get("CHATBOT_OPENAI_URL", "https://api.openai.com/v1"),
        provider_keys={shop: key for shop, _, key in keys},
        redis_url=variables.get("CHATBOT_REDIS_URL", ""),
    )
