"""`python -m matrix`: run the version matrix and write down what became of it; `--markdown` prints the page.

PYTHONPATH=tests python -m matrix [LIBRARY ...]    run cells, all or a library's; write docs/libraries.json
PYTHONPATH=tests python -m matrix --markdown       print docs/libraries.md
"""

from __future__ import annotations

import argparse
import concurrent.futures
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from matrix import cells, pages
from matrix.libraries import LIBRARIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matrix.libraries import Library

AXES = ("newest OpenTelemetry", "oldest OpenTelemetry", "Python")


def jobs(names: list[str], axes: list[str]) -> Iterator[tuple[Library, str, Any]]:
    """All cells, those that say the most first."""
    chosen = [library for library in LIBRARIES if not names or library.name in names]
    for axis, set_of in (("newest OpenTelemetry", "newest"), ("oldest OpenTelemetry", "oldest")):
        if axis in axes:
            for library in chosen:
                for end in cells.ENDS:
                    yield library, pages.key(end, set_of), (library, end, set_of)
    if "Python" in axes:
        for version, interpreter in sorted(cells.other_interpreters().items()):
            for library in chosen:
                yield (
                    library,
                    pages.key("newest", "newest", version),
                    (library, "newest", "newest", interpreter),
                )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m matrix")
    parser.add_argument("libraries", nargs="*", help="names of rows; all without one")
    parser.add_argument("--axis", action="append", choices=AXES, help="some of the cells only")
    parser.add_argument("--markdown", action="store_true", help="print the page and run nothing")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.markdown:
        sys.stdout.write(pages.markdown(pages.read()))
        return 0
    beside = {
        "opentelemetry": {end: pages.lockstep(cells.opentelemetry(end)) for end in ("oldest", "newest")},
        "python": cells.pythons(),
    }
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        waiting = {
            pool.submit(cells.run, *how): (library, key)
            for library, key, how in jobs(arguments.libraries, arguments.axis or list(AXES))
        }
        for done in concurrent.futures.as_completed(waiting):
            library, key = waiting[done]
            try:
                cell = done.result()
            except Exception as error:
                cell = cells.Cell("", "failed", reason=str(error)[:300])
            failed += cell.result == "failed"
            print(
                f"{library.name:<18} {key:<24} {cell.version:<12} {cell.result} {cell.tests or ''} {cell.reason}",
                flush=True,
            )
            pages.note(
                beside, library.name, key, {**asdict(cell), "date": datetime.now(UTC).date().isoformat()}
            )
    pages.PAGE.write_text(pages.markdown(pages.read()), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
