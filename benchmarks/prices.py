"""CPU of one price: ours, resolved before, and `calc_price` of genai-prices, in turns; and what the first ones take.

Run: python -m benchmarks.prices [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import genai_prices

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices.book import Prices
from otel_kpi.packs.llm.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 2_000

COUNTS = {
    "input_tokens": 1_200,
    "cache_read_tokens": 1_000,
    "output_tokens": 300,
    "output_reasoning_tokens": 50,
}
CASES = {
    "OpenAI, cached": ("https://api.openai.com/v1", "gpt-4o-2024-08-06", COUNTS),
    "Anthropic, two caches": (
        "https://api.anthropic.com",
        "claude-sonnet-4-5-20250929",
        {**COUNTS, "cache_write_tokens": 200, "cache_write_1h_tokens": 100},
    ),
    "OpenRouter": ("https://openrouter.ai/api/v1", "openai/gpt-4o", COUNTS),
}

_IMPORT = """
import time
start = time.process_time()
{code}
print((time.process_time() - start) * 1000)
"""
FIRST = {
    "ours": "from otel_kpi.packs.llm import prices\nfrom otel_kpi.packs.llm.usage import Usage\nstart = time.process_time()\n"
    "prices.price(provider='openai', endpoint='https://api.openai.com/v1', model='gpt-4o', usage=Usage({'input_tokens': 9}))",
    "theirs": "import genai_prices\n"
    "genai_prices.calc_price(genai_prices.Usage(input_tokens=9), 'gpt-4o', provider_api_url='https://api.openai.com/v1')",
}


def microseconds(call: Callable[[], Any]) -> float:
    """CPU of this thread for one call."""
    start = time.thread_time_ns()
    for _ in range(CALLS):
        call()
    return (time.thread_time_ns() - start) / CALLS / 1_000


def ours(endpoint: str, model: str, counts: dict[str, int]) -> Callable[[], Any]:
    usage = Usage.read(counts)
    return lambda: prices.price(
        provider="openai", endpoint=endpoint, model=model, usage=usage, tier="default"
    )


def theirs(endpoint: str, model: str, counts: dict[str, int]) -> Callable[[], Any]:
    usage = genai_prices.Usage(**counts)
    return lambda: genai_prices.calc_price(usage, model, provider_api_url=endpoint)


def first_of_a_kind(endpoint: str, model: str, counts: dict[str, int]) -> float:
    """Milliseconds of the first call of a process, less imports: the table, the provider, the model."""
    fresh, usage = Prices(), Usage(counts)
    start = time.thread_time_ns()
    fresh.price("openai", endpoint, model, usage, None, None, None, None)
    return (time.thread_time_ns() - start) / 1e6


def milliseconds_in_a_process(code: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT.format(code=code)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure(rounds: int) -> dict[str, Any]:
    """The best of several turns."""
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        pair = ours(*case), theirs(*case)
        assert pair[0]().amount == pair[1]().total_price
        times = [tuple(microseconds(call) for call in pair) for _ in range(rounds)]
        found[name] = {
            "ours_us": round(min(each[0] for each in times), 2),
            "theirs_us": round(min(each[1] for each in times), 2),
            "first_ms": round(min(first_of_a_kind(*case) for _ in range(rounds)), 2),
        }
    found["first call of a process, ms of CPU"] = {
        name: round(min(milliseconds_in_a_process(code) for _ in range(rounds)), 1)
        for name, code in FIRST.items()
    }
    return found


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    options = parser.parse_args(arguments)
    found = measure(options.rounds)
    if options.json:
        print(json.dumps(found))
        return
    first = found.pop("first call of a process, ms of CPU")
    print(f"{'one price':<28}{'ours':>10}{'calc_price':>12} µs{'first of its provider':>26} ms")
    for name, row in found.items():
        print(f"{name:<28}{row['ours_us']:>10}{row['theirs_us']:>12}{row['first_ms']:>29}")
    print(
        f"first call of a process, CPU: ours {first['ours']} ms and its import is part of the pack's; genai-prices with its import {first['theirs']} ms"
    )


if __name__ == "__main__":
    main()
