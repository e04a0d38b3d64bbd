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

    Entered again, it goes on with what was current when it was left: a generator that yields within a span of its own
    is within that span after the `yield`, too.

    Attributes:
        place: The context that is current within.
    """

    __slots__ = ("_before", "place")

    def __init__(self, within: Context | None) -> None:
        self.place = within

    def __enter__(self) -> None:
        if self.place is not None:
            self._before = context.get_current()
            context.attach(self.place)

    def __exit__(self, *_error: object) -> None:
        if self.place is not None:
            self.place = context.get_current()
            context.attach(self._before)
