"""A newer table of prices, compiled into the user's data folder."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from otel_kpi.packs.llm.prices.table import NAME, data_folder, load
from otel_kpi.reference import prices as compilation

if TYPE_CHECKING:
    import argparse


def update(_args: argparse.Namespace) -> int:
    """Compile a newer table; status 2 when there is nothing to compile from."""
    path = data_folder() / NAME
    table, unused = load()
    if unused is not None:
        print(f"otel-kpi: {unused}", file=sys.stderr)
    before = path.read_text(encoding="utf-8") if path.exists() else None
    try:
        text = compilation.compiled(before)
    except ImportError:
        print(
            f"otel-kpi: genai-prices is not installed, from which a table is compiled; in use is {table.label}.\n"
            "Type: pip install --upgrade genai-prices; otel-kpi prices update\n"
            "It is needed for this command alone, and can be in an environment of its own beside otel-kpi.",
            file=sys.stderr,
        )
        return 2
    except ValueError as error:
        print(f"otel-kpi: this genai-prices cannot be compiled: {error}", file=sys.stderr)
        return 2
    header = compilation.header_of(text)
    new = compilation.version_key(header["version"])
    if new <= compilation.version_key(table.version):
        print(
            f"{table.label} is in use, and genai-prices {header['version']} is not newer; "
            "for newer ones: pip install --upgrade genai-prices"
        )
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(text, encoding="utf-8")
    written.replace(path)  # a process that starts meanwhile reads the one or the other
    print(f"{path}: genai-prices {header['version']} {header['date']}, instead of {table.label}")
    return 0
