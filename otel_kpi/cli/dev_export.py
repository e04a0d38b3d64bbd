"""`otel-kpi dev export`: what the store has, as lines of OTLP's JSON."""

from __future__ import annotations

import gzip
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    import argparse
    import sqlite3

SUMMARY = "Write what the store has as lines of OTLP JSON: for `import`, a Collector, or a colleague."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "file",
        nargs="?",
        default="-",
        help="where to; compressed if it ends in .gz (default: -, standard output)",
    )
    parser.add_argument("--store", type=Path, metavar="FILE", help="which one (default: .otel-kpi/dev.db)")
    parser.add_argument("--trace", metavar="ID", help="one trace alone, with its log records")


def main(args: argparse.Namespace) -> int:
    """Write the lines.

    Returns:
        0, or 1 where they cannot be written; the reason goes to standard error.
    """
    from otel_kpi.dev.store import StoreError
    from otel_kpi.dev.store.files import open_for_reading
    from otel_kpi.dev.store.reading.traces import trace_id_bytes
    from otel_kpi.dev.stores import DEFAULT

    trace_id = trace_id_bytes(args.trace) if args.trace else None
    if args.trace and trace_id is None:
        print(f"otel-kpi dev export: {args.trace} is no trace id: 32 hexadecimal digits are", file=sys.stderr)
        return 1
    try:
        with closing(open_for_reading(args.store or DEFAULT)) as reader:
            if (
                trace_id
                and not reader.execute("SELECT 1 FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
            ):
                print(f"otel-kpi dev export: there is no trace {args.trace}", file=sys.stderr)
                return 1
            if args.file == "-":
                _write(reader, sys.stdout.buffer, trace_id)
            else:
                _write_file(reader, Path(args.file), trace_id)
    except StoreError as error:
        print(f"otel-kpi dev export: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        raise  # the command line ends as programs do of which nobody reads
    except OSError as error:
        print(f"otel-kpi dev export: {args.file}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _write_file(reader: sqlite3.Connection, path: Path, trace_id: bytes | None) -> None:
    """Write a file that is there as a whole, or not at all."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as file, ExitStack() as opened:
            packed = (
                opened.enter_context(gzip.GzipFile(fileobj=file, mode="wb")) if path.suffix == ".gz" else file
            )
            _write(reader, cast("IO[bytes]", packed), trace_id)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write(reader: sqlite3.Connection, file: IO[bytes], trace_id: bytes | None) -> None:
    from otel_kpi.dev.store import exporting
    from otel_kpi.dev.wire import otlp_json

    for line in otlp_json.lines(exporting.requests(reader, trace_id=trace_id)):
        file.write(line)
    file.flush()
