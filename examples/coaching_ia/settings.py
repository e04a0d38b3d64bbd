"""Where everything of the example is. Read once from the environment of each process."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What site and API need.

    Attributes:
        data: Folder of the site's database.
        api_url: Where the API is.
        openai_url: Where OpenAI is.
        anthropic_url: Where Anthropic is.
        signing_key: Signs the tokens with which members come from the site to the API.
        provider_keys: Each club's key at the provider of models, and the house's.
        clock: Whether the instructions of a plan begin with the time. It looks harmless; nothing of them is found in
            the provider's cache any more.
    """

    data: Path
    api_url: str
    openai_url: str
    anthropic_url: str
    signing_key: str
    provider_keys: Mapping[str, str]
    clock: bool = False


def load(variables: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; without addresses the models are the real ones.

    Raises:
        KeyError: There is no signing key, or no key for the provider: nothing is shipped in their place.
    """
    pairs = (pair.partition("=") for pair in variables["COACHING_PROVIDER_KEYS"].split(","))
    return Settings(
        data=Path(variables.get("COACHING_DATA", "coaching-data")).resolve(),
        api_url=variables.get("COACHING_API_URL", "http://127.0.0.1:8202"),
        openai_url=variables.get("COACHING_OPENAI_URL", "https://api.openai.com/v1"),
        anthropic_url=variables.get("COACHING_ANTHROPIC_URL", "https://api.anthropic.com"),
        signing_key=variables["COACHING_SIGNING_KEY"],
        provider_keys={club: key for club, _, key in pairs},
        clock=bool(variables.get("COACHING_CLOCK")),
    )
