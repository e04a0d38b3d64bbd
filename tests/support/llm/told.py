"""What calls of language models left behind in a test: their spans, their tokens by class, their money."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from support.captured import Captured
    from support.measured import Measured

COST = "gen_ai.usage.cost.amount"


@dataclass(frozen=True)
class Told:
    """The spans of a process and the series of a test.

    Attributes:
        captured: Has the spans.
        measured: Has what our handles recorded.
    """

    captured: Captured
    measured: Measured

    def spans(self) -> list[ReadableSpan]:
        """Those of calls of models: with an operation and a provider."""
        return [each for each in self.captured.spans() if "gen_ai.provider.name" in (each.attributes or {})]

    def span(self) -> ReadableSpan:
        """The only one."""
        [span] = self.spans()
        return span

    def attributes(self) -> dict[str, Any]:
        return dict(self.span().attributes or {})

    def tokens(self) -> dict[str, int]:
        """Tokens by class, and by class and modality where that is known: `input`, `input/audio`."""
        counts: Counter[str] = Counter()
        for labels, point in self.measured.points("kpi_llm_tokens_total").items():
            named = dict(labels)
            modality = named.get("gen_ai_token_modality", "unknown")
            kind = named["kpi_llm_token_class"]
            counts[kind if modality == "unknown" else f"{kind}/{modality}"] += point.value
        return dict(counts)

    def cost(self) -> float | None:
        """The whole of it, in whatever currency; None where nothing was priced."""
        points = self.measured.points("kpi_llm_cost_total").values()
        return sum(point.value for point in points) if points else None

    def count(self, series: str, **labels: str) -> float:
        """The sum of a counter's series with these labels."""
        return sum(
            point.value
            for given, point in self.measured.points(series).items()
            if labels.items() <= dict(given).items()
        )
