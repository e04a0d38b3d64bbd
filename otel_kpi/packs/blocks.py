"""What surrounds work with a span of its own: current within, and what was current before current again behind it.

`Attached` is a scope as `packs.decoration` takes it. `Block` is one that a person writes, too: `with`, `async with`, or
a decorator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context, trace

from otel_kpi.packs.decoration import Scope, decorated

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    F = TypeVar("F", bound=Callable[..., Any])


class Attached(Scope):
    """A span that is the current one for a while.

    Attributes:
        context: That of its span; None before it began, without a span, and where that failed.
    """

    __slots__ = ("_before", "_span", "context")

    def __init__(self) -> None:
        self.context: Context | None = None
        self._span: Span = trace.INVALID_SPAN
        self._before: Context | None = None

    def attach(self) -> None:
        """Have its span be the current one."""
        if self.context is not None:
            self._before = context.get_current()
            context.attach(self.context)

    def detach(self) -> None:
        """Have the span before it be the current one."""
        before, self._before = self._before, None
        # Without a token: one of another task, or of a generator that is closed late, would bring back what is over.
        if before is not None and self._is_current():
            context.attach(before)

    def _is_current(self) -> bool:
        return trace.get_current_span() is self._span


class Block(Attached):
    """A piece of work: a block of code, or each call of a function."""

    __slots__ = ()

    @property
    def span(self) -> Span:
        """Its span, for attributes of one's own."""
        return self._span

    def begin(self) -> Self:
        """Begin to measure, not yet as what is current. Never raises."""
        raise NotImplementedError

    def end(self, error: BaseException | None = None) -> None:
        """End the measurement and the span. Never raises."""
        raise NotImplementedError

    def _anew(self) -> Self:
        """The same work, to be done once more, by another call."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.begin()
        self.attach()
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(cls, error, traceback)

    def __call__(self, function: F) -> F:
        """Decorate a function: each call is a piece of work of its own, a generator's until its last value."""
        return decorated(lambda: self._anew().begin(), function)
