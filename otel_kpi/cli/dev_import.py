"""`otel-kpi dev import`: lines of OTLP's JSON into the store, or into the `otel-kpi dev` that has it open."""

from __future__ import annotations

import gzip
import re
import sys
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from otel_kpi.dev.telemetry import MalformedError, Request

SUMMARY = "Read lines of OTLP JSON into the store: what `export` or a Collector's file exporter wrote."

_LONGEST: Final = 256 * 2**20
"""Bytes of a line."""
_MANY: Final = 2_000
"""Spans, points and records of a commit."""
_WHERE: Final = re.compile(r"\(process \d+, (https?://[^\s)]+)\)")
_SHOWN: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("file", help="what to read; - is standard input; compressed if it ends in .gz")
    parser.add_argument("--store", type=Path, metavar="FILE", help="which one (default: .otel-kpi/dev.db)")


def main(args: argparse.Namespace) -> int:
    """Read the lines.

    Returns:
        0, or 1 where some or all could not be kept; the reasons go to standard error.
    """
    from otel_kpi.dev.store import StoreError

    try:
        with ExitStack() as opened:
            file = _opened(args.file, opened)
            return _import(file, _keeper(args.store, opened))
    except (StoreError, _RefusedError) as error:
        print(f"otel-kpi dev import: {error}", file=sys.stderr)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"otel-kpi dev import: {args.file}: {reason}", file=sys.stderr)
    return 1


class _RefusedError(Exception):
    """Who has the store open does not take it."""


def _opened(name: str, opened: ExitStack) -> IO[bytes]:
    if name == "-":
        return sys.stdin.buffer
    path = Path(name)
    return opened.enter_context(
        cast("IO[bytes]", gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))
    )


def _keeper(path: Path | None, opened: ExitStack) -> Callable[[list[Request[Any]]], object]:
    """What keeps requests: the store, or who has it open."""
    from otel_kpi.dev.store import Store
    from otel_kpi.dev.store.files import InUseError
    from otel_kpi.dev.stores import DEFAULT, in_its_folder

    try:
        store = Store(in_its_folder(path or DEFAULT))
    except InUseError as error:
        address = _WHERE.search(str(error))
        if address is None:
            raise
        return _Sender(address[1])
    opened.callback(store.close)
    return store.write


class _Sender:
    """Sends to an `otel-kpi dev` that is running."""

    def __init__(self, address: str) -> None:
        import urllib3

        self._address = address
        # It asks to come again later when too much waits.
        patience = urllib3.Retry(
            total=60, connect=2, status_forcelist=(429, 503), allowed_methods=None, backoff_max=1
        )
        self._pool = urllib3.PoolManager(retries=patience, timeout=30.0)

    def __call__(self, requests: list[Request[Any]]) -> None:
        import urllib3

        from otel_kpi.dev.wire import otlp_json

        for request in requests:
            url = f"{self._address}/v1/{request.signal}"
            try:
                answer = self._pool.request(
                    "POST", url, body=otlp_json.encode(request), headers={"content-type": "application/json"}
                )
            except urllib3.exceptions.HTTPError as error:
                raise _RefusedError(f"{url}: {error}") from error
            if answer.status != HTTPStatus.OK:
                raise _RefusedError(
                    f"{url} answers {answer.status}: {answer.data[:200].decode('utf-8', 'replace')}"
                )


def _import(file: IO[bytes], keep: Callable[[list[Request[Any]]], object]) -> int:
    from otel_kpi.dev.telemetry import MalformedError

    counts: dict[str, int] = {}
    waiting: list[Request[Any]] = []
    items = wrong = 0
    for number, read in _requests(file):
        if isinstance(read, MalformedError):
            wrong += 1
            if wrong <= _SHOWN:
                print(f"otel-kpi dev import: line {number}: {read}", file=sys.stderr)
            continue
        size = sum(len(group.items) for group in read.groups)
        counts[read.signal] = counts.get(read.signal, 0) + size
        wrong += bool(read.rejected)
        if read.rejected and wrong <= _SHOWN:
            print(
                f"otel-kpi dev import: line {number}: {read.rejected} left out: {read.problem}",
                file=sys.stderr,
            )
        waiting.append(read)
        items += size
        if items >= _MANY:
            keep(waiting)
            waiting, items = [], 0
    if waiting:
        keep(waiting)
    nouns = {"traces": "spans", "logs": "log records", "metrics": "metrics"}
    said = ", ".join(f"{count:,} {nouns[signal]}" for signal, count in counts.items()) or "nothing"
    noun = "line" if wrong == 1 else "lines"
    print(f"imported {said}{f'; {wrong:,} {noun} with faults' if wrong else ''}")
    return 1 if wrong else 0


def _requests(file: IO[bytes]) -> Iterator[tuple[int, Request[Any] | MalformedError]]:
    """Each line that is not empty, read; or why it cannot be."""
    from otel_kpi.dev.telemetry import MalformedError
    from otel_kpi.dev.wire.json import decode_line

    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        if len(line) > _LONGEST:
            yield number, MalformedError(f"longer than {_LONGEST >> 20} MiB")
            while line and not line.endswith(b"\n"):
                line = file.readline(_LONGEST)
            continue
        if line.strip():
            try:
                yield number, decode_line(line)
            except MalformedError as error:
                yield number, error
