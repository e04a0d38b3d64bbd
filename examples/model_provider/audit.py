"""What the provider billed, and what Prometheus says that was spent: the same, to the ninth place."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import httpx

COST, TOKENS = "kpi_llm_cost_total", "kpi_llm_tokens_total"
CALLS = "gen_ai_client_operation_duration_seconds_count"
RETRIES, ABANDONED = "kpi_llm_retries_total", "kpi_llm_streams_abandoned_total"
TENANT, FEATURE, MODEL = "kpi_tenant", "kpi_feature", "gen_ai_request_model"
CLASS, CURRENCY = "kpi_llm_token_class", "gen_ai_usage_cost_currency"
CLASSES = {"input": "input", "cached": "cache_read", "written": "cache_write", "output": "output"}
"""Our words for what the provider bills."""
DECIMALS = 9
"""Places to which money is compared: Prometheus holds doubles."""
PAUSE = 0.5  # seconds between two questions

Key = tuple[str, ...]


def bill(provider: str) -> list[dict[str, Any]]:
    """The provider's own account of what it did."""
    return httpx.get(f"{provider}/ledger", timeout=30, trust_env=False).raise_for_status().json()


def billed(lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[Key, Decimal]]:
    """The bill, as Prometheus should say it."""
    found: dict[str, dict[Key, Decimal]] = defaultdict(dict)
    retries: Counter[Key] = Counter()
    abandoned: Counter[Key] = Counter()
    for line in lines:
        project, model = line["project"], line["model"]
        if line["calls"]:
            found[COST][project, model, line["currency"]] = _money(Decimal(line["amount"]))
        for kind, count in line["used"].items():
            if count:
                found[TOKENS][project, model, CLASSES[kind]] = Decimal(count)
        retries[model,] += line["refused"]
        abandoned[model,] += line["abandoned"]
    found[RETRIES], found[ABANDONED] = decimals(retries), decimals(abandoned)
    return found


def in_prometheus(url: str, environment: str) -> dict[str, dict[Key, Decimal]]:
    """Totals of all processes, those that have ended included."""
    return {
        COST: _totals(url, environment, COST, (TENANT, MODEL, CURRENCY), _money),
        TOKENS: _totals(url, environment, TOKENS, (TENANT, MODEL, CLASS)),
        RETRIES: _totals(url, environment, RETRIES, (MODEL,)),
        ABANDONED: _totals(url, environment, ABANDONED, (MODEL,)),
        CALLS: _totals(url, environment, CALLS, (TENANT, FEATURE, MODEL)),
    }


def differences(
    expected: Mapping[str, Mapping[Key, Decimal]], found: Mapping[str, Mapping[Key, Decimal]]
) -> list[str]:
    """A line for every number that is not the expected one, and for each that nobody expects."""
    return [
        f"{name}{list(key)}: expected {wanted.get(key, 0)}, got {found[name].get(key, 0)}"
        for name, wanted in sorted(expected.items())
        for key in sorted(wanted.keys() | found[name].keys())
        if wanted.get(key, 0) != found[name].get(key, 0)
    ]


def agree(ask: Callable[[], list[str]], within: float) -> list[str]:
    """Ask until nothing differs, or the time is up; returns what differs then."""
    deadline = time.monotonic() + within
    while (lines := ask()) and time.monotonic() < deadline:
        time.sleep(PAUSE)  # stores have no event for "arrived"; `within` ends it
    return lines


def decimals(counts: Mapping[Any, int]) -> dict[Key, Decimal]:
    """Counts in the form of everything here; what is 0 is left out."""
    return {key: Decimal(count) for key, count in counts.items() if count}


def _money(amount: Decimal) -> Decimal:
    return round(amount, DECIMALS).normalize()


def _totals(
    url: str,
    environment: str,
    name: str,
    labels: tuple[str, ...],
    shown: Callable[[Decimal], Decimal] = Decimal,
) -> dict[Key, Decimal]:
    query = f'{name}{{environment="{environment}"}}[6h]'
    answer: Any = httpx.get(
        f"{url}/api/v1/query", params={"query": query}, timeout=30, trust_env=False
    ).raise_for_status()
    sums: dict[Key, Decimal] = defaultdict(Decimal)
    for series in answer.json()["data"]["result"]:
        key = tuple(series["metric"].get(label, "") for label in labels)
        sums[key] += _increase(Decimal(value) for _, value in series["values"])
    return {key: shown(total) for key, total in sums.items() if total}


def _increase(values: Iterable[Decimal]) -> Decimal:
    """As `increase()` reads a counter, without its extrapolation: a value that falls began again at zero."""
    before = total = Decimal(0)
    for value in values:
        total += value - before if value >= before else value
        before = value
    return total
