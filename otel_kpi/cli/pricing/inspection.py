"""A price file, looked at line by line; and the models that were called lately and have no price."""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_kpi.cli.pricing.remedies import REMEDIES
from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices.rules_file import read
from otel_kpi.packs.llm.prices.table import load

if TYPE_CHECKING:
    import argparse

NOBODY: Final = "none"
_SEEN: Final = (
    "sum by (gen_ai_provider_name, gen_ai_request_model, gen_ai_response_model, kpi_llm_reason) "
    "(increase(kpi_llm_unpriced_total[{since}]))"
)


def check(args: argparse.Namespace) -> int:
    """Check; status 1 when the file has a fault or a model has no price, 2 when something could not be asked."""
    status = 0
    given = args.file or os.environ.get(prices.FILE)
    if given:
        said = read(Path(given).expanduser(), load()[0])
        for fault in said.faults:
            print(fault)
        print(f"{given}: {len(said.rules)} rules can be used, {len(said.faults)} faults")
        status = 1 if said.faults else 0
    else:
        print(f"no price file was given, and {prices.FILE} is not set: there is the table alone")
    if args.prometheus == NOBODY:
        return status
    try:
        rows = _unpriced(args.prometheus, args.since)
    except (OSError, ValueError) as error:
        print(f"otel-kpi: models without a price are not known: {args.prometheus}: {error}", file=sys.stderr)
        return 2
    if not rows:
        print(f"every call of the last {args.since} that Prometheus knows of has a price")
        return status
    print(f"\ncalls of the last {args.since} without a price")
    for calls, provider, asked, answered, reason in rows:
        model = asked if answered in {"", asked} else f"{asked} → {answered}"
        print(f"  {calls:>8} {provider or '–':<18} {model or '–':<44} {reason}")
        print(f"  {'':>8} {REMEDIES.get(reason, '')}".rstrip())
    return 1


def _unpriced(address: str, since: str) -> list[tuple[int, str, str, str, str]]:
    """Calls without a price, most first: how many, provider, model asked for, model that answered, reason."""
    query = urllib.parse.urlencode({"query": _SEEN.format(since=since)})
    url = f"{address.rstrip('/')}/api/v1/query?{query}"
    if not url.startswith(("http://", "https://")):
        raise ValueError("is no http:// or https:// address")
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - its scheme was looked at
            answer = json.load(response)
    except urllib.error.HTTPError as error:
        raise ValueError(f"answers {error.code}: {error.read(300).decode(errors='replace')}") from None
    rows: list[tuple[int, str, str, str, str]] = []
    for result in answer["data"]["result"]:
        labels = result["metric"]
        # `increase` reaches beyond the samples, so it is seldom a whole number.
        calls = round(float(result["value"][1]))
        if calls > 0:
            rows.append(
                (
                    calls,
                    labels.get("gen_ai_provider_name", ""),
                    labels.get("gen_ai_request_model", ""),
                    labels.get("gen_ai_response_model", ""),
                    labels.get("kpi_llm_reason", ""),
                )
            )
    return sorted(rows, reverse=True)
