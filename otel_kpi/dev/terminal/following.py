"""Prints each trace once it has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from otel_kpi.dev.state import Dev


async def follow(dev: Dev, *, out: TextIO | None = None, quiet: bool = False, as_json: bool = False) -> None:
    """Print each trace as it comes, until cancelled.

    Args:
        dev: What is running.
        out: Where to; None is standard output. Trees are drawn where it is a terminal, else each trace is one line.
        quiet: Print nothing.
        as_json: A line of JSON for each trace.
    """
    raise NotImplementedError
