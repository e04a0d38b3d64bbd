"""What holds for everything that is called within: a `with`, an `async with`, or a decorator.

One object may be entered by many threads and tasks at once, and again within itself: what was current before is kept
in the context and not in the object. It stays in the process; it is no baggage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from opentelemetry import context as contexts

from otel_kpi.packs.contexts import Inside
from otel_kpi.packs.decoration import decorated

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    F = TypeVar("F", bound=Callable[..., Any])

_BEFORE: Final = contexts.create_key("otel_kpi.surroundings")


class Surroundings:
    """Puts something into the context for a while; a subclass says what."""

    def place(self) -> Context | None:
        """The context within, made of the current one; None leaves that as it is."""
        raise NotImplementedError

    def again(self) -> Surroundings:
        """What surrounds one call of a decorated function: this, unless each has one of its own."""
        return self

    def __enter__(self) -> Self:
        place = self.place()
        if place is not None:
            before = contexts.get_current()
            contexts.attach(contexts.set_value(_BEFORE, (self, before), place))
        return self

    def __exit__(self, *_error: object) -> None:
        entered = contexts.get_value(_BEFORE)
        # What ran within may have left another context behind; then this one is not the one to go.
        if isinstance(entered, tuple) and entered[0] is self:
            contexts.attach(entered[1])

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)

    def __call__(self, function: F) -> F:
        """Have it hold for all that a function calls, of whatever kind; of a generator until its last value."""
        return decorated(lambda: _Surrounded(self.again().place()), function)


class _Surrounded:
    """One call of a decorated function."""

    __slots__ = ("_inside", "context")

    def __init__(self, place: Context | None) -> None:
        self.context = place
        self._inside: Inside | None = None

    def attach(self) -> None:
        self._inside = Inside(self.context)
        self._inside.__enter__()

    def detach(self) -> None:
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.__exit__()

    def end(self, error: BaseException | None = None) -> None:  # noqa: ARG002 - however it ends
        self.detach()
