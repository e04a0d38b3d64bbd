"""Run every benchmark: `python -m benchmarks [name …]`."""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "startup",
    "span",
    "log",
    "encode",
    "measurement",
    "helpers",
    "prices",
    "llm",
    "redaction",
    "endpoints",
    "storefront",
    "dev_wire",
    "dev_store",
    "dev_search",
    "dev_pages",
    "dev_live",
)


def main() -> None:
    """Run the named benchmarks, or all."""
    for name in sys.argv[1:] or NAMES:
        print(f"\n=== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main([])


if __name__ == "__main__":
    main()
