"""Which beginnings of prompts were seen before: what both companies call prompt caching."""

from model_provider.answers import tokens

SHORTEST = 1024
"""Tokens below which nothing is remembered."""
STEP = 128
"""OpenAI counts what it remembers in steps of so many tokens."""


class Memory:
    """Beginnings by project and model."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str]] = set()

    def recall(self, project: str, model: str, beginning: str) -> bool:
        """Whether it was seen before; from now on it has been."""
        key = (project, model, beginning)
        known = key in self._seen
        self._seen.add(key)
        return known

    def read(self, project: str, model: str, messages: list[str]) -> int:
        """Tokens that OpenAI gives its discount on, without having been asked to: the longest beginning it knows."""
        found = 0
        for count in range(1, len(messages) + 1):
            beginning = "\n".join(messages[:count])
            if self.recall(project, model, beginning) and tokens(beginning) >= SHORTEST:
                found = tokens(beginning) // STEP * STEP
        return found
