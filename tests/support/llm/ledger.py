"""A book of what a scripted provider answered: tokens and money of each call, as a person would write them down.

The prices are those of OpenAI and Anthropic for two models, by hand, in US dollars for a million tokens.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import Answer
from support.llm.provider import ScriptedProvider
from support.measured import measured

if TYPE_CHECKING:
    from collections.abc import Generator

    import pytest
    from opentelemetry.sdk.trace import ReadableSpan

    from support.captured import Captured
    from support.llm.answers import Asked
    from support.measured import Measured

MODELS: Final = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
_MILLION: Final = Decimal(1_000_000)
_RATES: Final = {
    "openai": (Decimal("0.15"), Decimal("0.075"), Decimal("0.60")),
    "anthropic": (Decimal(1), Decimal("0.10"), Decimal(5)),
}
"""Input, cached input, output."""

_METRICS: Final = {"duration": "gen_ai.client.operation.duration", "tokens": "gen_ai.client.token.usage"}


@dataclass(frozen=True)
class Billed:
    """One call as the provider would bill it."""

    provider: str
    fresh: int
    cached: int
    output: int

    @property
    def input(self) -> int:
        return self.fresh + self.cached

    @property
    def money(self) -> Decimal:
        rates = _RATES[self.provider]
        return (
            sum(
                (n * rate for n, rate in zip((self.fresh, self.cached, self.output), rates, strict=True)),
                Decimal(0),
            )
            / _MILLION
        )


@dataclass
class Ledger:
    """The book, the provider whose answers are in it, and what was measured of them.

    Attributes:
        provider: Answers each call with a usage of its own.
        billed: Its calls, in the order of their arrival; those that failed are not in it.
    """

    captured: Captured
    series: Measured
    provider: ScriptedProvider = field(init=False)
    billed: list[Billed] = field(default_factory=list[Billed])

    def __post_init__(self) -> None:
        self.provider = ScriptedProvider(self._answer)
        self._numbers = itertools.count(1)
        self._before = self._upstream()

    @property
    def openai(self) -> str:
        """Base URL for the SDK of OpenAI."""
        return f"{self.provider.url}/v1"

    def _answer(self, asked: Asked) -> Answer:
        number = next(self._numbers)
        anthropic = asked.route.endswith("/messages")
        fresh, cached, output = 1000 + number, 100 + number, 50 + number
        self.billed.append(Billed("anthropic" if anthropic else "openai", fresh, cached, output))
        usage: dict[str, Any]
        if anthropic:
            usage = {"input_tokens": fresh, "cache_read_input_tokens": cached, "output_tokens": output}
        elif asked.route.endswith("/responses"):
            usage = {
                "input_tokens": fresh + cached,
                "output_tokens": output,
                "total_tokens": fresh + cached + output,
                "input_tokens_details": {"cached_tokens": cached},
                "output_tokens_details": {"reasoning_tokens": 0},
            }
        else:
            usage = {
                "prompt_tokens": fresh + cached,
                "completion_tokens": output,
                "total_tokens": fresh + cached + output,
                "prompt_tokens_details": {"cached_tokens": cached},
            }
        return Answer(usage=usage, tools=_tool_to_call(asked.json))

    def _upstream(self) -> dict[str, float]:
        points = {key: self.captured.points(name) for key, name in _METRICS.items()}
        sums: dict[str, float] = {
            "calls": sum(
                point.count
                for point in points["duration"]
                if point.attributes["gen_ai.operation.name"] == "chat"
            )
        }
        for kind in ("input", "output"):
            sums[kind] = sum(
                point.sum for point in points["tokens"] if point.attributes["gen_ai.token.type"] == kind
            )
        return sums

    def inferences(self) -> list[ReadableSpan]:
        """Spans of calls of models, whoever wrote them."""
        return [
            span
            for span in self.captured.spans()
            if (span.attributes or {}).get("gen_ai.operation.name") == "chat"
        ]

    def check(self, *, failed: int = 0, unmeasured: int = 0) -> None:
        """Compare what was measured with the book, to the last token and the last cent's ninth digit.

        Args:
            failed: Spans of calls that were answered with an error.
            unmeasured: Spans that are no call of a model.
        """
        billed = self.billed
        totals = {
            "input": sum(each.input for each in billed),
            "output": sum(each.output for each in billed),
            "money": sum((each.money for each in billed), Decimal(0)),
        }
        now = self._upstream()
        assert {key: now[key] - self._before[key] for key in now} == {
            "calls": len(billed) + failed,
            "input": totals["input"],
            "output": totals["output"],
        }
        assert self.tokens() == {
            "input": sum(each.fresh for each in billed),
            "cache_read": sum(each.cached for each in billed),
            "output": totals["output"],
        }
        assert round(self.money(), 9) == round(totals["money"], 9), self.unpriced()
        spans = self.inferences()
        assert len(spans) == len(billed) + failed + unmeasured
        for key, name in (("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens")):
            assert sum((span.attributes or {}).get(name, 0) for span in spans) == totals[key]  # pyright: ignore[reportArgumentType, reportCallIssue] - numbers
        costs = [(span.attributes or {}).get("gen_ai.usage.cost.amount", 0) for span in self.captured.spans()]
        assert round(Decimal(sum(costs)), 9) == round(totals["money"], 9)  # pyright: ignore[reportArgumentType, reportCallIssue] - numbers

    def tokens(self) -> dict[str, int]:
        """Our own tokens by class."""
        found: dict[str, int] = {}
        for labels, point in self.series.points("kpi_llm_tokens_total").items():
            name = dict(labels)["kpi_llm_token_class"]
            found[name] = found.get(name, 0) + point.value
        return {name: count for name, count in found.items() if count}

    def money(self, **labels: str) -> Decimal:
        """What was spent by our own count, of the series with these labels."""
        return sum(
            (
                Decimal(repr(point.value))
                for given, point in self.series.points("kpi_llm_cost_total").items()
                if labels.items() <= dict(given).items()
            ),
            Decimal(0),
        )

    def unpriced(self) -> dict[str, str]:
        """Why calls have no price, by their span."""
        return {
            span.name: str((span.attributes or {}).get("kpi.llm.unpriced.reason"))
            for span in self.inferences()
        }


def _tool_to_call(request: dict[str, Any]) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The first tool of a request, as long as the conversation has no result of one."""
    tools = request.get("tools") or ()
    texts = str(request.get("messages") or request.get("input"))
    if not tools or "'role': 'tool'" in texts or "tool_result" in texts or "function_call_output" in texts:
        return ()
    name = (tools[0].get("function") or tools[0])["name"]
    return ((name, {"question": "when"}),)


@contextmanager
def ledger(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Generator[Ledger]:
    """Give an empty book, a provider that fills it, and its prices for what comes from loopback."""
    with measured() as series:
        book = Ledger(captured, series)
        with book.provider:
            monkeypatch.setenv("OPENAI_API_KEY", "none")
            monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
            yield book
