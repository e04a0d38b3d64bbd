"""The bill: what was asked for, refused and left, by project and model."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from model_provider.rates import MODELS


@dataclass(slots=True)
class Account:
    """One project's use of one model.

    Attributes:
        calls: Answered to their end.
        refused: Answered with 429, so that the client tried again.
        abandoned: Streams whose reader went away. What they cost is billed, though no client was told.
        used: Tokens of the calls: `input`, `cached`, `written`, `output`; disjoint.
        amount: Price of the calls in US dollars.
        untold: Price of what was abandoned.
    """

    calls: int = 0
    refused: int = 0
    abandoned: int = 0
    used: Counter[str] = field(default_factory=Counter[str])
    amount: Decimal = Decimal(0)
    untold: Decimal = Decimal(0)


class Ledger:
    """All accounts. Everything happens in one thread."""

    def __init__(self) -> None:
        self._accounts: dict[tuple[str, str], Account] = defaultdict(Account)

    def of(self, project: str, model: str) -> Account:
        """The account of a project for a model."""
        return self._accounts[project, model]

    def answered(self, project: str, model: str, used: dict[str, int]) -> None:
        """A call was answered to its end."""
        account = self.of(project, model)
        account.calls += 1
        account.used.update(used)
        account.amount += MODELS[model].amount(used)

    def left(self, project: str, model: str, used: dict[str, int]) -> None:
        """A stream was left by its reader."""
        account = self.of(project, model)
        account.abandoned += 1
        account.untold += MODELS[model].amount(used)

    def lines(self) -> list[dict[str, Any]]:
        """The bill, a line for each project and model; amounts are decimal numbers in text."""
        return [
            {
                "project": project,
                "model": model,
                "version": MODELS[model].version,
                "calls": account.calls,
                "refused": account.refused,
                "abandoned": account.abandoned,
                "used": dict(account.used),
                "amount": str(account.amount),
                "untold": str(account.untold),
                "currency": "USD",
            }
            for (project, model), account in sorted(self._accounts.items())
        ]
