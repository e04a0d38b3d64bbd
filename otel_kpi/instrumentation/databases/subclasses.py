"""Subclasses that stand in for classes which cannot be changed: connections and cursors written in C.

Their name and module are those of the class that they stand in for. A factory that is no class is left alone.
"""

from __future__ import annotations

from typing import Any, Final

_MOST: Final = 256
"""Kept for one library; an application that makes classes on the run gets further ones made anew."""


class Subclasses:
    """Makes, of each class once, a subclass with methods of ours.

    Attributes:
        methods: A class whose methods come first, or last before the driver's own.
    """

    def __init__(self, methods: type, *, first: bool) -> None:
        """Keep what is mixed in.

        Args:
            methods: A plain class to come first, or a subclass of the driver's class to come after the user's.
            first: Which of the two.
        """
        self.methods = methods
        self._first = first
        self._made: Final[dict[type, type]] = {}

    def of(self, factory: Any) -> Any:
        """Give the subclass of a class, or what was given when there can be none."""
        if not isinstance(factory, type) or issubclass(factory, self.methods):
            return factory
        made = self._made.get(factory)
        if made is not None:
            return made
        names = {
            "__module__": factory.__module__,
            "__qualname__": factory.__qualname__,
            "__doc__": factory.__doc__,
        }
        if self._first:
            bases = (self.methods, factory)
        elif factory in self.methods.__mro__:
            bases = (self.methods,)
        else:
            bases = (factory, self.methods)
        try:
            made = type(factory)(factory.__name__, bases, names)
        except TypeError:  # a class that does not want to be derived from
            return factory
        if len(self._made) < _MOST:
            self._made[factory] = made
        return made
