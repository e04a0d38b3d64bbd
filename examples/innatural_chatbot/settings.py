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
        assistant_url: Where the language model would be.
        redis_url: Popular products and rate limits of all workers; empty is without Redis.
    """

    database_url: str
    assistant_url: str
    redis_url: str


def load(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; without any, everything is in `./chatbot-data` and on the default ports."""
    data = Path(variables.get("CHATBOT_DATA", "chatbot-data")).resolve()
    return Settings(
        database_url=variables.get("CHATBOT_DATABASE_URL") or f"sqlite+aiosqlite:///{data / 'chat.db'}",
        assistant_url=variables.get("CHATBOT_ASSISTANT_URL", "http://127.0.0.1:8102"),
        redis_url=variables.get("CHATBOT_REDIS_URL", ""),
    )
