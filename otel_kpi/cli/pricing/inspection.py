"""A price file, looked at line by line; and the models that were called lately and have no price."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices.remedies import REMEDIES
from otel_kpi.packs.llm.prices.rules_file import read
from otel_kpi.packs.llm.prices.table import load
from otel_kpi.spending.period import period
from otel_kpi.spending.printable import printable
from otel_kpi.spending.source import Prometheus, Query, SourceError

if TYPE_CHECKING:
    import argparse

NOBODY: Final = "none"
_UNPRICED: Final = "kpi_llm_unpriced_total"
_LABELS: Final = ("gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model", "kpi_llm_reason")


def check(args: argparse.Namespace) -> int:
    """Check; status 1 when the file has a fault or a model has no price, 2 when something could not be asked."""
    status = _check_file(args.file or os.environ.get(prices.FILE))
    if args.prometheus == NOBODY:
        return status
    try:
        rows = _unpriced(args.prometheus, args.since)
    except ValueError as error:
        print(f"otel-kpi: --since: {error}", file=sys.stderr)
        return 2
    except SourceError as error:
        print(
            f"otel-kpi: which models have no price is not known: {error}; say where your Prometheus is: "
            f"--prometheus URL, or --prometheus {NOBODY}",
            file=sys.stderr,
        )
        return 2
    if not rows:
        print(f"no call without a price since {args.since}, of those that Prometheus knows")
        return status
    print(f"\ncalls without a price since {args.since}")
    for (provider, asked, answered, reason), calls in rows:
        model = printable(asked if answered in {"", asked} else f"{asked} → {answered}")
        print(f"  {calls:>8} {printable(provider) or '–':<18} {model or '–':<44} {reason}")
        if reason in REMEDIES:
            print(f"  {'':>8} {REMEDIES[reason]}")
    return 1


def _check_file(given: str | None) -> int:
    if not given:
        print(f"no price file was given, and {prices.FILE} is not set: there is the table alone")
        return 0
    said = read(Path(given).expanduser(), load()[0])
    for fault in said.faults:
        print(fault)
    print(f"{given}: {len(said.rules)} rules can be used, {len(said.faults)} faults")
    return 1 if said.faults else 0


def _unpriced(address: str, since: str) -> list[tuple[tuple[str, ...], int]]:
    """Provider, model asked for, model that answered, reason; and of how many calls, most first."""
    calls: Counter[tuple[str, ...]] = Counter()
    for series in Prometheus(address).read(Query(_UNPRICED, period(since, None, time.time()))):
        calls[tuple(series.labels.get(name, "") for name in _LABELS)] += int(series.value)
    return [(labels, count) for labels, count in calls.most_common() if count > 0]
