"""Sessions of `otel-kpi dev` in a process of their own, as a person starts them, and what they have kept."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from support.children import BIN, environment

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

DEV = (str(BIN / "otel-kpi"), "dev")
_READY = re.compile(r"otel-kpi dev: (http://\S+?)/(\S*) ")


@contextlib.contextmanager
def dev(
    cwd: Path, *options: str, command: tuple[str, ...] = ()
) -> Generator[tuple[subprocess.Popen[str], str]]:
    """A session that listens, and its address."""
    words = [*DEV, *options, *(("--", *command) if command else ())]
    with subprocess.Popen(
        words,
        env=environment(),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while (found := _READY.search(said)) is None:
                line = process.stderr.readline()
                assert line, said
                said += line
            yield process, found[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def post(address: str, body: bytes) -> tuple[int, str | None, bytes]:
    """Send spans; returns status, `Retry-After` and body of the answer."""
    request = urllib.request.Request(f"{address}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, None, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Retry-After"], error.read()


def names(store: Path) -> list[str]:
    """Names of the spans of a store, in the order of their arrival."""
    with contextlib.closing(sqlite3.connect(store)) as connection:
        rows = connection.execute("SELECT s FROM span JOIN str ON str.id = span.name ORDER BY span.id")
        return [row[0] for row in rows]
