"""The price list, in US dollars for a million tokens: written down by hand, and never read by what is being tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Rates:
    """What one model costs.

    Attributes:
        version: The dated name with which it answers.
        input: Tokens that it reads.
        output: Tokens that it writes.
        cached: Tokens that it has read before.
        written: Tokens that it is to remember; None where that costs nothing extra.
    """

    version: str
    input: Decimal
    output: Decimal = Decimal(0)
    cached: Decimal = Decimal(0)
    written: Decimal | None = None

    def amount(self, used: Mapping[str, int]) -> Decimal:
        """What a call costs; the classes of `used` are disjoint."""
        written = self.input if self.written is None else self.written
        return (
            used.get("input", 0) * self.input
            + used.get("cached", 0) * self.cached
            + used.get("written", 0) * written
            + used.get("output", 0) * self.output
        ) / MILLION


MODELS = {
    "gpt-4o-mini": Rates("gpt-4o-mini-2024-07-18", Decimal("0.15"), Decimal("0.60"), Decimal("0.075")),
    "gpt-4.1-nano": Rates("gpt-4.1-nano-2025-04-14", Decimal("0.10"), Decimal("0.40"), Decimal("0.025")),
    "text-embedding-3-small": Rates("text-embedding-3-small", Decimal("0.02")),
    "claude-haiku-4-5": Rates(
        "claude-haiku-4-5-20251001", Decimal(1), Decimal(5), Decimal("0.10"), Decimal("1.25")
    ),
    "claude-sonnet-4-6": Rates(
        "claude-sonnet-4-6", Decimal(3), Decimal(15), Decimal("0.30"), Decimal("3.75")
    ),
}
