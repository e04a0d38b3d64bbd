"""`otel-kpi bootstrap`: the instrumentors that this environment lacks."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

SUMMARY = "Print, or install, the instrumentors that are missing for the libraries of this environment."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--install", action="store_true", help="install them in one resolver pass (uv or pip)")
    what.add_argument("--dry-run", action="store_true", help="print what --install would run")
    parser.add_argument("--all", action="store_true", help="those too that are left out on purpose (jinja2)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Print one requirement a line, or install; status 1 when the installation failed."""
    from otel_kpi.bootstrap import NoInstaller, install, install_command, missing

    found = missing(everything=args.all)
    requirements = sorted({each.requirement for each in found if each.requirement})
    command: list[str] = []
    try:
        if requirements:
            command = install_command(requirements)
    except NoInstaller as error:
        if args.install or args.dry_run:
            print(f"otel-kpi bootstrap: {error}", file=sys.stderr)
            return 1
    if args.json:
        print(json.dumps({"missing": [asdict(each) for each in found], "command": command}, indent=2))
    else:
        for requirement in requirements:
            libraries = ", ".join(
                f"{each.library} {each.version}" for each in found if each.requirement == requirement
            )
            print(requirement if not sys.stdout.isatty() else f"{requirement:<60} # {libraries}")
        for each in found:
            if not each.requirement:
                print(
                    f"{each.library} {each.version}: upstream's instrumentor is for {each.specifier}",
                    file=sys.stderr,
                )
        if args.dry_run and command:
            print(" ".join(command))
    if not args.install or not command:
        return 0
    sys.stdout.flush()
    return 0 if install(command) == 0 else 1
