"""`otel-kpi prices`: explain a price step by step, check a price file, compile a newer table."""

from __future__ import annotations

import argparse
import importlib
from datetime import UTC, datetime

SUMMARY = (
    "Explain what a call of a language model costs; check a price file; compile a newer table of prices."
)

PROMETHEUS = "http://localhost:9090"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    what = parser.add_subparsers(dest="what", required=True, metavar="what")

    show = what.add_parser("show", help="explain the price of a call step by step")
    show.add_argument("model", help="the model, as the provider calls it")
    show.add_argument("--provider", help="gen_ai.provider.name, for example azure.ai.openai")
    show.add_argument("--endpoint", help="the address that is called; it wins over --provider")
    show.add_argument(
        "--usage",
        default="",
        metavar="UNIT=COUNT,…",
        help="what the call used: input=1200,cache_read=1000,output=300; input contains what was cached",
    )
    show.add_argument("--tier", help="flex, priority, … as the provider reports it")
    show.add_argument("--processing", help="batch, for a batch API")
    show.add_argument("--seconds", type=float, help="how long it took, for what is billed by time")
    show.add_argument(
        "--at", type=_moment, help="when: 2026-11-01, or 2026-11-01T03:00 in UTC; now without it"
    )
    show.add_argument("--json", action="store_true", help="print JSON")
    show.set_defaults(act="explanation:show")

    check = what.add_parser(
        "check", help="check a price file, and name the models seen lately that have no price"
    )
    check.add_argument(
        "file", nargs="?", help="YAML or JSON; without it the file of OTEL_KPI_PRICES_FILE, if there is one"
    )
    check.add_argument(
        "--prometheus",
        default=PROMETHEUS,
        help=f"where kpi_llm_unpriced_total is read ({PROMETHEUS}); `none` asks nobody",
    )
    check.add_argument("--since", default="24h", help="how far back (24h)")
    check.set_defaults(act="inspection:check")

    update = what.add_parser("update", help="compile the table from the genai-prices that is installed")
    update.set_defaults(act="renewal:update")


def main(args: argparse.Namespace) -> int:
    """Run one of the three."""
    module, _, function = args.act.partition(":")
    return int(getattr(importlib.import_module(f"otel_kpi.cli.pricing.{module}"), function)(args))


def _moment(written: str) -> float:
    """Seconds since 1970; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{written!r} is no time; write 2026-11-01 or 2026-11-01T03:00"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
