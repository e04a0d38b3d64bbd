"""A context that is current for a while, and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import context

if TYPE_CHECKING:
    from opentelemetry.context import Context


class Inside:
    """A context is the current one for the time of a `with`; None leaves the one that is.

    Without a token: what ran within may have made another context current and ended elsewhere, and a token of
    `contextvars` is refused where a generator goes on in another thread or task.
    """

    __slots__ = ("_before", "_within")

    def __init__(self, within: Context | None) -> None:
        self._within = within

    def __enter__(self) -> None:
        if self._within is not None:
            self._before = context.get_current()
            context.attach(self._within)

    def __exit__(self, *_error: object) -> None:
        if self._within is not None:
            context.attach(self._before)
