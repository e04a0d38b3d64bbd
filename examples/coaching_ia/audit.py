"""What the script plans, in the form of the audit, and what Jaeger finds."""

import json
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx
from model_provider.audit import ABANDONED, CALLS, RETRIES, Key, decimals

from coaching_ia.traffic.script import Plan


def planned(plan: Plan) -> dict[str, dict[Key, Decimal]]:
    """The plan in the same form: calls by tenant, feature and model, streams that are left included."""
    return {
        RETRIES: decimals({(model,): count for model, count in plan.refused.items()}),
        ABANDONED: decimals(_by_model(plan.abandoned)),
        CALLS: decimals(plan.calls + plan.abandoned),
    }


def found_by(jaeger: str, service: str, tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """The spans of the traces that Jaeger finds by tags of a service's spans, with their own tags in a mapping."""
    parameters: dict[str, Any] = {
        "service": service,
        "tags": json.dumps(tags),
        "limit": 5000,
        "lookback": "1h",
    }
    answer = httpx.get(
        f"{jaeger}/api/traces", params=parameters, timeout=60, trust_env=False
    ).raise_for_status()
    return [
        {
            **span,
            "service": trace["processes"][span["processID"]]["serviceName"],
            "tags": {tag["key"]: tag["value"] for tag in span["tags"]},
        }
        for trace in answer.json()["data"]
        for span in trace["spans"]
    ]


def _by_model(counts: Counter[tuple[str, str, str]]) -> Counter[Key]:
    found: Counter[Key] = Counter()
    for (_, _, model), count in counts.items():
        found[model,] += count
    return found
