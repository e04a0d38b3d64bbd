"""`otel-kpi view`: the pages alone, of a store or of a Jaeger; nothing is received."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

SUMMARY = "Show a store of `otel-kpi dev`, or a Jaeger, in the browser; nothing is received."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    from otel_kpi.cli.dev import port

    parser.add_argument(
        "store", nargs="?", type=Path, metavar="FILE", help="a store (default: .otel-kpi/dev.db)"
    )
    parser.add_argument("--jaeger", metavar="URL", help="show a Jaeger instead, as http://localhost:16686")
    parser.add_argument("--port", type=port, metavar="N", help="where it listens (default: a free one)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")


def main(args: argparse.Namespace) -> int:
    """Serve until a signal; status 1 when it cannot start."""
    from otel_kpi.cli.dev import missing_extra

    if status := missing_extra("view"):
        return status
    if args.jaeger and args.store is not None:
        print("otel-kpi view: a store or --jaeger, not both", file=sys.stderr)
        return 2
    from otel_kpi.dev.viewing import view

    return view(args.store, jaeger=args.jaeger, port=args.port, open_page=args.open)
