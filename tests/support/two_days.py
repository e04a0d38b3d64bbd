"""Three days of three clubs in Prometheus, of which one cost twice as much on the second as on the first.

What they did is the same; on the second day the instructions of its plans began with the time, so that nothing of them
was found in the provider's cache any more.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STEP: Final = timedelta(minutes=5)
_DAY: Final = timedelta(days=1)
_RATES: Final = {
    "gpt-4o-mini": {"input": "0.15", "cache_read": "0.075", "output": "0.6"},
    "claude-sonnet-4-6": {"input": "3", "cache_read": "0.3", "cache_write": "3.75", "output": "15"},
    "claude-haiku-4-5": {"input": "1", "output": "5"},
}
"""US dollars for a million tokens, from the data of genai-prices 0.2.3."""
_PROVIDERS: Final = {"gpt": "openai", "claude": "anthropic"}


@dataclass(frozen=True, slots=True)
class Work:
    """What a club does with a model, in each five minutes.

    Attributes:
        tenant: The club.
        feature: For what.
        model: Which.
        calls: How many.
        used: Tokens of one call, by class.
        later: The same on the last two days, where they are others.
    """

    tenant: str
    feature: str
    model: str
    calls: int
    used: Mapping[str, int]
    later: Mapping[str, int] | None = None


_CHAT: Final = {"input": 300, "cache_read": 1280, "output": 60}
_PLAN: Final = {"input": 260, "cache_read": 11_000, "output": 2000}
_SUMMARY: Final = {"input": 900, "output": 120}
WORK: Final = (
    Work(
        "lyon", "plan", "claude-sonnet-4-6", 1, _PLAN, {"input": 260, "cache_write": 11_000, "output": 2000}
    ),
    Work("lyon", "chat", "gpt-4o-mini", 4, _CHAT),
    Work("lyon", "summary", "claude-haiku-4-5", 2, _SUMMARY),
    Work("annecy", "chat", "gpt-4o-mini", 6, _CHAT),
    Work("annecy", "summary", "claude-haiku-4-5", 3, _SUMMARY),
    Work("brest", "chat", "gpt-4o-mini", 2, _CHAT),
    Work("brest", "plan", "claude-sonnet-4-6", 1, _PLAN),
)


def samples(now: datetime) -> Iterator[str]:
    """The text that `promtool tsdb create-blocks-from openmetrics` reads: from two days before yesterday until now."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    begin, change = midnight - 3 * _DAY, midnight - _DAY
    for name in ("kpi_llm_cost", "kpi_llm_tokens", "gen_ai_client_operation_duration_seconds_count"):
        # A histogram's count is a counter like the others; of the rest of it nothing is asked here.
        metric = name if name.startswith("kpi") else name.removesuffix("_count")
        yield f"# TYPE {metric} {'counter' if name.startswith('kpi') else 'unknown'}"
        for work in WORK:
            totals: Counter[str] = Counter()
            money = Decimal(0)
            moment = begin
            while moment <= now:
                yield from _lines(name, work, totals, money, moment)
                used = work.later if work.later is not None and moment >= change else work.used
                for kind, count in used.items():
                    totals[kind] += count * work.calls
                    money += Decimal(_RATES[work.model][kind]) * count * work.calls / 1_000_000
                totals["calls"] += work.calls
                moment += STEP
    yield "# EOF"


def _lines(name: str, work: Work, totals: Counter[str], money: Decimal, moment: datetime) -> Iterator[str]:
    provider = next(value for key, value in _PROVIDERS.items() if work.model.startswith(key))
    labels = {
        "app": "coaching-api",
        "version": "1.0.0",
        "environment": "production",
        "instance": "api-1",
        "job": "coaching-api",
        "gen_ai_provider_name": provider,
        "gen_ai_request_model": work.model,
        "kpi_tenant": work.tenant,
        "kpi_feature": work.feature,
    }
    at = int(moment.timestamp())
    if name == "kpi_llm_cost":
        more = {"gen_ai_usage_cost_currency": "USD", "gen_ai_usage_cost_source": "local"}
        yield f"{name}_total{_text(labels | more | {'kpi_llm_cost_kind': 'inference'})} {money} {at}"
    elif name == "kpi_llm_tokens":
        for kind in sorted({*work.used, *(work.later or ())}):
            more = {"kpi_llm_token_class": kind, "gen_ai_token_modality": "unknown"}
            yield f"{name}_total{_text(labels | more)} {totals[kind]} {at}"
    else:
        yield f"{name}{_text(labels | {'gen_ai_operation_name': 'chat'})} {totals['calls']} {at}"


def _text(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def write(promtool: Path, folder: Path) -> None:
    """Write them as blocks of Prometheus."""
    text = folder / "samples.txt"
    text.write_text("\n".join(samples(datetime.now(UTC))) + "\n", encoding="ascii")
    command = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "tsdb")]
    subprocess.run([*command, "--max-block-duration=96h"], check=True, capture_output=True)
