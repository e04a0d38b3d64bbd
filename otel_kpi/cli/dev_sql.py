"""`otel-kpi dev sql`: ask the store of `otel-kpi dev` what its pages do not show."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from otel_kpi.dev.store.sql import Answer

SUMMARY = "Ask the store in SQL. It reads alone, also while otel-kpi dev is running."

_EXAMPLES: Final = """Views: {views}

  otel-kpi dev sql "SELECT service, name, count(*), avg(duration_ms) FROM spans GROUP BY 1, 2 ORDER BY 3 DESC"
  otel-kpi dev sql "SELECT attr(shape, attrs, 'http.route') AS route, max(duration_ms) FROM spans GROUP BY route"
  otel-kpi dev sql "SELECT model, feature, sum(cost), currency FROM llm_calls GROUP BY 1, 2, 4"
  otel-kpi dev sql "SELECT trace_id, message FROM occurrences ORDER BY time DESC" --json

`attr(shape, attrs, 'key')` is an attribute, `attributes` has all of them as JSON. Columns of a view:
  otel-kpi dev sql "SELECT name FROM pragma_table_info('spans')"
"""
_WIDEST: Final = 60
_NARROWEST: Final = 8
_GRACE: Final = 2.0
"""Seconds after which a statement is ended that SQLite does not stop."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "text", nargs="?", metavar="SQL", help="one statement; - is standard input; none lists the views"
    )
    parser.add_argument("--store", type=Path, metavar="FILE", help="which one (default: .otel-kpi/dev.db)")
    parser.add_argument("--json", action="store_true", help="a JSON object for each row")
    parser.add_argument("--csv", action="store_true", help="comma-separated, with a line of names")
    parser.add_argument(
        "--limit", type=_rows, default=1_000, metavar="N", help="rows at most (default: 1000)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=5.0, metavar="S", help="how long it may take (default: 5)"
    )


def main(args: argparse.Namespace) -> int:
    """Print the answer.

    Returns:
        0, or 1 where there is no answer; the reason goes to standard error.
    """
    from otel_kpi.dev.store import StoreError
    from otel_kpi.dev.store.sql import SqlError, query
    from otel_kpi.dev.store.sql_views import VIEWS
    from otel_kpi.dev.stores import DEFAULT

    if args.text is None:
        print(_EXAMPLES.format(views=", ".join(VIEWS)), end="")
        return 0
    text = sys.stdin.read() if args.text == "-" else args.text
    try:
        with _ended_after(args.seconds):
            answer = query(args.store or DEFAULT, text, limit=args.limit, seconds=args.seconds)
    except (SqlError, StoreError) as error:
        print(f"otel-kpi dev sql: {error}", file=sys.stderr)
        return 1
    if args.json:
        _print_json(answer)
    elif args.csv:
        _print_csv(answer)
    else:
        _print_table(answer, _width())
    if answer.more:
        print(f"the first {len(answer.rows):,} rows; more with --limit", file=sys.stderr)
    return 0


def _rows(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**31:
        raise argparse.ArgumentTypeError(f"{text}: one row at least")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text}: a number above 0")
    return number


@contextlib.contextmanager
def _ended_after(seconds: float) -> Generator[None]:
    """End the process where a statement goes on after its time.

    SQLite looks at the clock between two steps, and one can take minutes: `printf('%.*c', 1000000000, 'x')`.
    """

    def end() -> None:
        print(f"otel-kpi dev sql: stopped after {seconds:g} s: ask for less", file=sys.stderr, flush=True)
        os._exit(1)  # nothing is being written, and no thread of Python's can stop SQLite here

    timer = threading.Timer(seconds + _GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _width() -> int | None:
    """Columns of the terminal; None where it goes to a file or a program."""
    return shutil.get_terminal_size().columns if os.isatty(1) else None


def _print_json(answer: Answer) -> None:
    for row in answer.rows:
        values = [value.hex() if isinstance(value, bytes) else _finite(value) for value in row]
        print(json.dumps(dict(zip(answer.columns, values, strict=True)), ensure_ascii=False))


def _finite(value: Any) -> Any:
    """JSON has no infinity; as in the API it is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    # A program gets what is there; a terminal would obey some of it.
    shown = _cell if os.isatty(1) else _as_it_is
    writer.writerow(answer.columns)
    for row in answer.rows:
        writer.writerow([shown(value) for value in row])


def _as_it_is(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _print_table(answer: Answer, width: int | None) -> None:
    """Columns under their names, numbers to the right; what is long is cut, and says so."""
    table = [[_cell(value) for value in row] for row in answer.rows]
    widths = [
        min(_WIDEST, max(len(name), *(len(row[place]) for row in table)) if table else len(name))
        for place, name in enumerate(answer.columns)
    ]
    while width is not None and sum(widths) + 2 * len(widths) > width and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    right = [
        all(isinstance(row[place], int | float | None) for row in answer.rows) for place in range(len(widths))
    ]
    for row in ([*map(_cell, answer.columns)], ["─" * each for each in widths], *table):
        cells = (
            _cut(cell, size).rjust(size) if to_right else _cut(cell, size).ljust(size)
            for cell, size, to_right in zip(row, widths, right, strict=True)
        )
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    """A value on one line, with nothing in it that a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return f"{value:.6g}"
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(value)
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
