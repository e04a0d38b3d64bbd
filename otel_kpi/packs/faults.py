"""What went wrong in the packs themselves: counted, named once in the log, and kept from the application."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

_logger = logging.getLogger("otel_kpi.packs")

counted: Final[Counter[str]] = Counter()
"""How often, by what was not recorded."""


def failed(what: str, error: BaseException) -> None:
    """Note that something was not recorded. Never raises.

    Args:
        what: For example `"the end of a stage"`.
        error: Why.
    """
    try:
        counted[what] += 1
        if counted[what] == 1:
            _logger.warning(
                "%s was not recorded; the application is not affected (%s: %s)",
                what,
                type(error).__name__,
                error,
            )
        else:
            _logger.debug("%s was not recorded", what, exc_info=error)
    except Exception:
        pass  # an exception whose text raises
