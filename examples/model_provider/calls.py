"""One call that is being answered: its words, at the pace of a model, and its line on the bill."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import cycle

from model_provider.answers import chunks, tokens
from model_provider.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Call:
    """A call, and what it will have cost.

    Attributes:
        ledger: Where it is written down.
        project: Who pays.
        model: As it was asked for.
        text: The answer.
        used: Tokens by class, disjoint.
        pace: Seconds for a few words.
        endless: Whether it goes on speaking until nobody listens any more.
    """

    ledger: Ledger
    project: str
    model: str
    text: str
    used: dict[str, int]
    pace: float
    endless: bool = False

    async def whole(self) -> None:
        """Take the time that writing takes, and put it on the bill."""
        await asyncio.sleep(self.pace * len(list(chunks(self.text))))
        self.ledger.answered(self.project, self.model, self.used)

    async def words(self) -> AsyncGenerator[str]:
        """The answer as it is written; when its reader leaves, what was written until then is billed."""
        sent = ""
        try:
            for each in cycle(chunks(f"{self.text} ")) if self.endless else chunks(self.text):
                await asyncio.sleep(self.pace)
                sent += each
                yield each
        except BaseException:
            self.ledger.left(self.project, self.model, self.used | {"output": tokens(sent)})
            raise
        self.ledger.answered(self.project, self.model, self.used)
