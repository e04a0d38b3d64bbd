"""What there is to see, in the form of the plan."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
from model_provider import audit

from innatural_chatbot.traffic.plan import Labels, Plan, labels

COMMON = ("app", "version", "environment", "instance", "job", "service_instance_id", "__name__")
"""Labels of every series: who speaks, not what of."""
NOT_PLANNED = {"innatural_chatbot_redis_operations_total": ("EVALSHA", "EVAL", "SCRIPT LOAD")}
"""How slowapi counts in Redis is its own affair."""

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: .*)?")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Found = dict[str, Counter[Labels]]


def in_prometheus(prometheus: str, environment: str, names: Iterable[str]) -> Found:
    """Totals of all processes, those that have ended included: what was counted within the last hours."""
    found: Found = {}
    for name in names:
        counter = name.endswith(("_total", "_count"))
        selector = f'{name}{{environment="{environment}"}}'
        query = f"{selector}[6h]" if counter else selector
        answer = _get(f"{prometheus}/api/v1/query", {"query": query})["data"]["result"]
        totals: Counter[Labels] = Counter()
        for series in answer:
            values = series["values"] if counter else [series["value"]]
            amount = _increase(float(value) for _, value in values) if counter else float(values[-1][1])
            totals[_own(series["metric"])] += round(amount)
        found[name] = totals
    return found


def in_text(url: str, names: Iterable[str]) -> Found:
    """Totals in what `/metrics` answers."""
    wanted = set(names)
    found: Found = defaultdict(Counter)
    response = httpx.get(f"{url}/metrics", timeout=30, trust_env=False)
    response.raise_for_status()
    for name, held, value in samples(response.text):
        if name in wanted:
            found[name][_own(held)] += round(value)
    return {name: found[name] for name in wanted}


def samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """The samples of an exposition: name, labels, value."""
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.fullmatch(line)
        if match is not None and not math.isnan(float(match[3])):
            yield match[1], dict(_LABEL.findall(match[2] or "")), float(match[3])


def in_summary(url: str) -> dict[str, Any]:
    """What `/api/metrics/summary` says."""
    return _get(f"{url}/api/metrics/summary", {})["metrics"]


def differences(plan: Plan, found: Found) -> list[str]:
    """A line for every series that does not say what was planned."""
    lines: list[str] = []
    for name, planned in sorted(plan.series.items()):
        seen = found.get(name, Counter())
        left_out = NOT_PLANNED.get(name, ())
        lines += [
            f"{name}{json.dumps(dict(key), ensure_ascii=False)}: expected {planned[key]}, got {seen[key]}"
            for key in sorted(planned.keys() | seen.keys())
            if planned[key] != seen[key] and dict(key).get("operation") not in left_out
        ]
    return lines


def summary_differences(plan: Plan, summary: dict[str, Any]) -> list[str]:
    """The same for the summary."""
    return [
        f"summary {part}.{name}: expected {wanted}, got {summary[part].get(name)}"
        for part, figures in plan.summary().items()
        for name, wanted in figures.items()
        if summary[part].get(name) != wanted
    ]


def bill_differences(provider: str, prometheus: str, environment: str) -> list[str]:
    """A line for each amount and number of tokens, by shop and model, that is not what the provider billed."""
    bill = audit.billed(audit.bill(provider))
    wanted = {name: bill[name] for name in (audit.COST, audit.TOKENS)}
    return audit.differences(wanted, audit.in_prometheus(prometheus, environment))


def _own(held: dict[str, str]) -> Labels:
    return labels(**{name: value for name, value in held.items() if name not in COMMON})


def _increase(values: Iterable[float]) -> float:
    """As `increase()` reads a counter, without its extrapolation: a value that falls began again at zero."""
    before = total = 0.0
    for value in values:
        total += value - before if value >= before else value
        before = value
    return total


def _get(url: str, parameters: dict[str, str]) -> Any:
    response = httpx.get(url, params=parameters, timeout=30, trust_env=False)
    response.raise_for_status()
    return response.json()
