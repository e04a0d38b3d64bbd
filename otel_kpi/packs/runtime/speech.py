"""Whether a process speaks of itself, and of what.

A process that has nothing else to tell says nothing of itself either: helper processes, like the resource tracker of
`multiprocessing`, ask no Collector to be there. The distribution knows whether there is anything else; without it a
process speaks.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.model import Instrument


class Speech:
    """What this process says of itself."""

    def __init__(self) -> None:
        self._may: Callable[[], bool] = lambda: True
        self._excluded: tuple[str, ...] = ()

    def allow(self, may: Callable[[], bool], excluded: tuple[str, ...] = ()) -> None:
        """Speak whenever `may()` holds, and not of instruments whose names match a pattern.

        Args:
            may: Asked at each collection.
            excluded: Patterns of instruments' names, `cpython.*`.
        """
        self._may, self._excluded = may, excluded

    def of(self, instrument: Instrument) -> bool:
        """Whether it says this now."""
        return self._may() and not self.excludes(instrument)

    def excludes(self, instrument: Instrument) -> bool:
        """Whether it is never to say this."""
        return any(fnmatch.fnmatch(instrument.name, pattern) for pattern in self._excluded)


SPEECH = Speech()
"""Of this process."""
