"""`otel-kpi generate`: write what follows from the declarations of packs, or check that it is what is there.

In our own repository that includes the table of prices, which follows from the data of genai-prices.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from otel_kpi._version import __version__
from otel_kpi.model.lint import problems
from otel_kpi.packs import own_packs, packs
from otel_kpi.reference import generated, prices, undeclared_renames
from otel_kpi.reference.files import CATALOGUE

if TYPE_CHECKING:
    import argparse

SUMMARY = "Write the reference pages, the catalogue and OpenTelemetry's registry from what packs declare."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "pack", nargs="*", help="packs that are installed, by name; without one, those of otel-kpi"
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when a file is not what it should be"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("docs/reference"), help="folder of the files (docs/reference)"
    )
    parser.add_argument(
        "--prices", type=Path, default=Path(prices.TABLE), help=f"the table of prices ({prices.TABLE})"
    )


def main(args: argparse.Namespace) -> int:
    """Write or check; status 1 when a declaration is wrong or a file differs, 2 when it could not be done."""
    found = packs() if args.pack else own_packs()
    chosen = tuple(pack for pack in found if not args.pack or pack.name in args.pack)
    unknown = set(args.pack).difference(pack.name for pack in chosen)
    if unknown:
        names = ", ".join(pack.name for pack in found)
        print(f"otel-kpi: no pack {', '.join(sorted(unknown))}; there are {names}", file=sys.stderr)
        return 2
    # Ours are looked at with those that were asked for: two packs may meet in one name.
    wrong = problems((*own_packs(), *(pack for pack in chosen if pack not in own_packs())))
    before = args.output / CATALOGUE
    if before.exists():
        wrong += undeclared_renames(chosen, before.read_text(encoding="utf-8"))
    for line in wrong:
        print(f"otel-kpi: {line}", file=sys.stderr)
    if wrong:
        return 1
    try:
        files = generated(chosen, __version__)
    except ImportError:
        print("otel-kpi: generate needs PyYAML: pip install 'otel-kpi[config]'", file=sys.stderr)
        return 2
    # Of another distribution's repository nothing is a table of prices.
    table = 0 if args.pack or not args.prices.parent.is_dir() else _table(args.prices, check=args.check)
    differing = [name for name, text in files.items() if _read(args.output / name) != text]
    stale = [name for name in _present(args.output) if name not in files]
    if args.check:
        for name in (*differing, *stale):
            print(
                f"otel-kpi: {args.output / name} is not what the declarations say; run: otel-kpi generate",
                file=sys.stderr,
            )
        return 1 if differing or stale else table
    for name in differing:
        path = args.output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[name], encoding="utf-8")
        print(path)
    for name in stale:
        (args.output / name).unlink()
        print(f"{args.output / name} removed")
    return table


def _table(path: Path, *, check: bool) -> int:
    """Write or check the table of prices; where genai-prices is missing or older than it, say so and leave it."""
    before = _read(path)
    try:
        text = prices.compiled(before)
    except ImportError:
        print(f"otel-kpi: {path} stays as it is: genai-prices is not installed", file=sys.stderr)
        return 0
    except ValueError as error:
        print(f"otel-kpi: {path} cannot be compiled from genai-prices: {error}", file=sys.stderr)
        return 1
    version, there = (prices.header_of(each).get("version", "") for each in (text, before or ""))
    if prices.version_key(version) < prices.version_key(there):
        print(
            f"otel-kpi: {path} stays as it is: genai-prices {version} is older than its data", file=sys.stderr
        )
        return 0
    if text == before:
        return 0
    if check:
        print(
            f"otel-kpi: {path} is not what genai-prices {version} says; run: otel-kpi generate",
            file=sys.stderr,
        )
        return 1
    path.write_text(text, encoding="utf-8")
    print(path)
    return 0


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _present(folder: Path) -> list[str]:
    """Files in the folder that this command has written."""
    return [
        str(path.relative_to(folder))
        for path in sorted((*folder.glob("*.md"), *folder.glob("registry/*.yaml")))
        if "by `otel-kpi generate`" in path.read_text(encoding="utf-8")[:200]
    ]
