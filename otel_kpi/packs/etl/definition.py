"""What `etl.run(...)` and `etl.stage(...)` return: something to put after `with`, or over a function.

One object serves again and again, in several threads and tasks at once: each entry and each call begins a scope of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from otel_kpi.packs.decoration import decorated
from otel_kpi.packs.etl.outcome import Skip
from otel_kpi.packs.etl.scope import Scope, innermost

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

S = TypeVar("S", bound=Scope)
F = TypeVar("F", bound="Callable[..., Any]")


def named(name: Any, otherwise: str) -> str:
    """The text of a name; `otherwise` of what has none."""
    try:
        return str(name)
    except Exception:
        return otherwise


class Definition(Generic[S]):
    """Begins scopes: with `with`, `async with`, or at each call of a function that it decorates.

    Attributes:
        swallows_skip: Whether `etl.Skip` ends a decorated function quietly.
    """

    swallows_skip = False

    def __init__(self) -> None:
        self._entered: list[S] = []

    def begin(self) -> S:
        """Begin a scope that is not yet the innermost. Never raises."""
        raise NotImplementedError

    def __enter__(self) -> S:
        scope = self.begin()
        scope.attach()
        self._entered.append(scope)
        return scope

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        scope = self._leave()
        if scope is not None:
            scope.end(error)

    async def __aenter__(self) -> S:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Decorate a function, a coroutine function, a generator function or a method of these kinds."""
        begin: Any = (
            self.begin
        )  # its scope always has a context; an attribute of a protocol cannot be narrowed
        return decorated(begin, function, (Skip,) if self.swallows_skip else ())

    def _leave(self) -> S | None:
        """The scope whose `with` ends here: the one that is current, when several have been entered."""
        entered = self._entered
        try:
            if len(entered) == 1:
                return entered.pop(0)
            current: Any = innermost()
            if current in entered:
                entered.remove(current)
                return current
            return entered.pop()
        except (IndexError, ValueError):
            return None  # left without having been entered
