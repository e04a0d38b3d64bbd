"""A session of `otel-kpi view`: the pages of a store that somebody else may be writing, or of a Jaeger."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import webbrowser
from typing import TYPE_CHECKING

from otel_kpi.dev.app import make_app
from otel_kpi.dev.jaeger_client import JaegerError, JaegerTraces
from otel_kpi.dev.listening import listen
from otel_kpi.dev.processes import on_signals
from otel_kpi.dev.server import Server
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store.files import StoreError
from otel_kpi.dev.stores import DEFAULT, ReadStore

if TYPE_CHECKING:
    from pathlib import Path

    from otel_kpi.dev.listening import Listening


def view(path: Path | None, *, jaeger: str | None, port: int | None, open_page: bool) -> int:
    """Serve the pages until a signal.

    Args:
        path: Of a store; None is the folder's.
        jaeger: Address of a Jaeger, whose traces are shown instead.
        port: None is a free one.
        open_page: In the browser.

    Returns:
        The exit status: 1 when there is nothing to show or the port is taken.
    """
    try:
        listening = listen(port=port or 0)
    except OSError as error:
        return _refuse(f"port {port}: {error.strerror or error}")
    with contextlib.closing(listening):
        try:
            dev, shown = _of_jaeger(jaeger) if jaeger else _of_store(path or DEFAULT)
        except (JaegerError, StoreError) as error:
            return _refuse(str(error))
        asyncio.run(_serve(dev, listening, shown, open_page=open_page))
    return 0


def _of_jaeger(address: str) -> tuple[Dev, str]:
    traces = JaegerTraces(address)
    return Dev(traces=traces), f"the traces of {traces.url}"


def _of_store(path: Path) -> tuple[Dev, str]:
    from otel_kpi.dev.store.reading.traces import StoredTraces

    store = ReadStore(path)
    store.reader()  # so that what is wrong with it is said now
    return Dev(traces=StoredTraces(store), store=store), str(path)


async def _serve(dev: Dev, listening: Listening, shown: str, *, open_page: bool) -> None:
    ended = on_signals()
    server = Server(make_app(dev), listening.sockets)
    await server.start()
    print(f"otel-kpi view: {listening.address}/ shows {shown}; Ctrl-C ends", file=sys.stderr, flush=True)  # noqa: T201 - a command prints
    if dev.store is None:
        await asyncio.to_thread(_say_if_away, dev)
    if open_page:
        await asyncio.to_thread(webbrowser.open, f"{listening.address}/")
    await ended.wait()
    await server.stop()
    if dev.store is not None:
        dev.store.close()


def _say_if_away(dev: Dev) -> None:
    """Whoever has mistyped the address reads it here; one that comes later is shown then."""
    try:
        dev.traces.services()
    except JaegerError as error:
        _refuse(f"{error}. {error.advice}")


def _refuse(text: str) -> int:
    print(f"otel-kpi view: {text}", file=sys.stderr)  # noqa: T201 - the same
    return 1
