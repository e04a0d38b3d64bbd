"""What wants to know that the process ends, and may not know who ends it: a leaf between packs and the lifecycle.

The lifecycle of the distribution calls `tell` once, before the last drain. Without the distribution nobody does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("otel_kpi")
_callbacks: list[Callable[[int | None], None]] = []


def before_end(callback: Callable[[int | None], None]) -> None:
    """Have `callback` called before the process ends, with the number of the signal that ends it if one does.

    It may be called in a signal handler, on top of whatever the main thread was doing.
    """
    _callbacks.append(callback)


def tell(number: int | None) -> None:
    """Call what was given to `before_end`. Never raises."""
    for callback in _callbacks:
        try:
            callback(number)
        except Exception:
            _logger.exception("something was not ended; the application is not affected")
