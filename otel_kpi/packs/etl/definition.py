"""What `etl.run(...)` and `etl.stage(...)` return: something to put after `with`, or over a function.

One object serves again and again, in several threads and tasks at once: each entry and each call begins a scope of
its own.
"""

from __future__ import annotations

import inspect
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
        self._entered: list[tuple[S, int]] = []

    def begin(self) -> S:
        """Begin a scope that is not yet the innermost. Never raises."""
        raise NotImplementedError

    def __enter__(self) -> S:
        return self._enter(_caller())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit(_caller(), error)

    async def __aenter__(self) -> S:
        return self._enter(_caller())

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit(_caller(), error)

    def __call__(self, function: F) -> F:
        """Decorate a function, a coroutine function, a generator function or a method of these kinds."""
        # Its scope always has a context; an attribute of a protocol cannot be narrowed.
        begin: Any = self.begin
        return decorated(begin, function, (Skip,) if self.swallows_skip else ())

    def _enter(self, caller: int) -> S:
        scope = self.begin()
        scope.attach()
        self._entered.append((scope, caller))
        return scope

    def _exit(self, caller: int, error: BaseException | None) -> None:
        scope = self._leave(caller)
        if scope is not None:
            scope.end(error)

    def _leave(self, caller: int) -> S | None:
        """The scope whose `with` ends here: the last one entered there.

        By where the `with` stands, since what is current may be the scope of a generator that holds one open. An
        `ExitStack` enters and leaves in different places: there it is the one that is current.
        """
        entered = self._entered
        try:
            if len(entered) == 1:
                return entered.pop(0)[0]
            current = innermost()
            for found in (
                *(each for each in reversed(entered) if each[1] == caller),
                *(each for each in entered if each[0] is current),
            ):
                entered.remove(found)
                return found[0]
            return entered.pop()[0]
        except (IndexError, ValueError):
            return None  # left without having been entered


def _caller() -> int:
    """The frame of the code that the calling method was called from, as a number; 0 where Python does not say."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    return id(frame) if frame is not None else 0
