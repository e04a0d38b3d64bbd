"""`otel-kpi cost`: what language models cost, by model, tenant and whatever else is asked for, and why it changed."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from otel_kpi.spending import period as periods
from otel_kpi.spending.report import DIMENSIONS

if TYPE_CHECKING:
    import argparse

    from otel_kpi.spending.source import Source

SUMMARY = (
    "Show what language models cost, by model, tenant, feature: totals, what is coming, and why it changed."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    when = parser.add_argument_group("when", f"A time is one of {periods.ACCEPTS}.")
    when.add_argument("--since", metavar="TIME", help="from this time on; default: 24h")
    when.add_argument("--until", metavar="TIME", help="up to this time; default: now")
    when.add_argument("--on", metavar="TIME", help="a whole day or month, for example yesterday, or 2026-11")
    parser.add_argument(
        "--by",
        default="model",
        metavar="NAMES",
        help=f"a line for each of these: {', '.join(DIMENSIONS)}, or none; default: model",
    )
    for name in DIMENSIONS:
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only this {name}")
    parser.add_argument(
        "--currency", metavar="CODE", help="convert into it, by the rates of OTEL_KPI_CURRENCY_RATES"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--prometheus", metavar="URL", help="where Prometheus is; default: http://127.0.0.1:9090"
    )
    where.add_argument(
        "--store", metavar="FILE", help="read the file of otel-kpi dev instead: .otel-kpi/dev.db"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--csv", action="store_true", help="print CSV")


def main(args: argparse.Namespace) -> int:
    """Print what was spent; status 1 when it cannot be read, 2 when the question cannot be understood."""
    from otel_kpi.spending import text
    from otel_kpi.spending.printable import printable_json
    from otel_kpi.spending.report import report
    from otel_kpi.spending.source import SourceError

    try:
        by = _dimensions(args.by)
        when = _period(args, time.time())
    except ValueError as error:
        print(f"otel-kpi cost: {error}", file=sys.stderr)
        return 2
    only = {name: value for name in DIMENSIONS if (value := getattr(args, name)) is not None}
    currency = args.currency.strip().upper() if args.currency else None
    try:
        found = report(_source(args), by, when, only, currency)
    except SourceError as error:
        where = (
            ""
            if args.prometheus or args.store
            else "; say where yours is: --prometheus URL, or start one: otel-kpi stack up, or read --store .otel-kpi/dev.db"
        )
        print(f"otel-kpi cost: {error}{where}", file=sys.stderr)
        return 1
    if args.json:
        print(printable_json(json.dumps(text.as_json(found), indent=2, ensure_ascii=False)))
    elif args.csv:
        sys.stdout.write(text.as_csv(found))
    else:
        print(text.table(found))
    return 0


def _source(args: argparse.Namespace) -> Source:
    if args.store:
        from pathlib import Path

        from otel_kpi.spending.stored import StoreSource

        return StoreSource(Path(args.store))
    from otel_kpi.spending.source import Prometheus
    from otel_kpi.stack import ports

    return Prometheus(args.prometheus or f"http://{ports.HOST}:{ports.numbers(0)['prometheus']}")


def _dimensions(given: str) -> list[str]:
    names = [name for part in given.split(",") if (name := part.strip().lower())]
    if names == ["none"]:
        return []
    unknown = [name for name in names if name not in DIMENSIONS]
    if unknown or not names:
        raise ValueError(
            f"--by takes {', '.join(DIMENSIONS)}, or none; not {', '.join(unknown) or 'nothing'}"
        )
    return list(dict.fromkeys(names))


def _period(args: argparse.Namespace, now: float) -> periods.Period:
    if args.on is not None:
        if args.since is not None or args.until is not None:
            raise ValueError("--on is a whole day or month; --since and --until say another time beside it")
        return periods.whole(args.on, now)
    return periods.period(args.since or "24h", args.until, now)
