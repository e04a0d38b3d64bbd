"""`otel-kpi catalogue`: every instrument that is installed, with its Prometheus name, unit, labels and budget."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from otel_kpi.packs import packs
from otel_kpi.reference import entries

if TYPE_CHECKING:
    import argparse

    from otel_kpi.reference import Entry

SUMMARY = "List every instrument: its name in Prometheus, unit, labels, how many series it may have, who asked for it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("pack", nargs="*", help="only these packs, for example: etl websocket")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print the catalogue; status 2 when there is no such pack."""
    found = packs()
    unknown = set(args.pack).difference(pack.name for pack in found)
    if unknown:
        names = ", ".join(pack.name for pack in found)
        print(f"otel-kpi: no pack {', '.join(sorted(unknown))}; there are {names}", file=sys.stderr)
        return 2
    chosen = [pack for pack in found if not args.pack or pack.name in args.pack]
    rows = entries(chosen)
    if args.json:
        print(json.dumps({"instruments": [row.as_json() for row in rows]}, indent=2))
        return 0
    for pack in chosen:
        print(f"\n{pack.title}: {pack.brief}\n")
        for row in rows:
            if row.pack == pack.name:
                print(_line(row))
    where = "one pack" if len(chosen) == 1 else f"{len(chosen)} packs"
    print(f"\n{len(rows)} instruments in {where}; the name of each in OpenTelemetry: --json")
    return 0


def _line(row: Entry) -> str:
    labels = ", ".join(f"{name} ≤{most}" for name, most in row.labels.items())
    asked = " ".join(row.systems)
    line = f"  {row.prometheus:<58} {row.kind:<13} {row.unit:<17} ≤{row.series:<5}{asked:<9} {labels}"
    return line.rstrip()
