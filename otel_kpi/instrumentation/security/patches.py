"""Functions that are replaced while an instrumentor is there, guarded by its boundary."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.instrumentation.boundary import Boundary

    Wrapper = Callable[..., Any]
    """Called as wrapt does, `(wrapped, instance, args, kwargs)`; the instance is among the arguments."""


class Patches:
    """What one instrumentor has replaced.

    Another instrumentor may have wrapped the same function since: what cannot be taken back then is left in place
    and passes calls on, and is in force again when the instrumentor is.

    Args:
        boundary: Keeps errors of the wrappers from the application.
    """

    def __init__(self, boundary: Boundary) -> None:
        self.boundary = boundary
        self.active = False
        self._placed: dict[tuple[int, str], tuple[Any, str, Any, Any]] = {}

    def wrap(self, owner: Any, name: str, wrapper: Wrapper) -> None:
        """Put a guarded wrapper in the place of a function.

        Args:
            owner: The class or module that has it itself, not by inheritance.
            name: Its name there.
            wrapper: A coroutine function where the function is one.
        """
        self.active = True
        if (id(owner), name) in self._placed:
            return
        original = vars(owner)[name]
        patched = self._patched(original, wrapper)
        setattr(owner, name, patched)
        self._placed[id(owner), name] = (owner, name, original, patched)

    def undo(self) -> None:
        """Take everything back that is still as it was placed."""
        self.active = False
        for key, (owner, name, original, patched) in list(self._placed.items()):
            if vars(owner).get(name) is patched:
                setattr(owner, name, original)
                del self._placed[key]

    def listen(self, instance: Any, name: str, wrapper: Wrapper) -> None:
        """Put a guarded wrapper before a method of one object: whatever its class, its caller finds it.

        Args:
            instance: An object that lives as long as a request; one that takes no attributes is left alone.
            name: Of the method.
            wrapper: A coroutine function where the method is one.
        """
        method = getattr(instance, name, None)
        if not self.active or method is None or name in getattr(instance, "__dict__", {name: None}):
            return
        setattr(instance, name, self._patched(method, wrapper))

    def _patched(self, original: Any, wrapper: Wrapper) -> Any:
        boundary = self.boundary
        made: Any
        if inspect.iscoroutinefunction(wrapper):

            @functools.wraps(original)
            async def patched_async(*args: Any, **kwargs: Any) -> Any:
                if not self.active:
                    return await original(*args, **kwargs)
                return await boundary.call_async(wrapper, original, None, args, kwargs)

            made = patched_async
        else:

            @functools.wraps(original)
            def patched(*args: Any, **kwargs: Any) -> Any:
                if not self.active:
                    return original(*args, **kwargs)
                return boundary.call(wrapper, original, None, args, kwargs)

            made = patched
        return made
