"""Errors of what an application plugs into OpenTelemetry: samplers, id generators, processors, callbacks, views.

They cost telemetry and never the call that was recorded: each is counted under the part that raised it, and the first
of a part is one line in the log.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

_logger: Final = logging.getLogger("otel_kpi.sdk")
_MOST: Final = 100
"""Parts that are told apart; callbacks may be made without bound."""


class Faults:
    """Counts errors by the part that raised them.

    Attributes:
        counts: By the part's full name.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def failed(self, part: object, error: BaseException) -> None:
        """Count an error; say the first of its part. Never raises.

        Args:
            part: A name, a function, or an object whose class has a name.
            error: What it raised.
        """
        try:
            name = part if isinstance(part, str) else _name(part)
            with self._lock:
                if name not in self.counts and len(self.counts) >= _MOST:
                    name = "other"
                self.counts[name] = count = self.counts.get(name, 0) + 1
            if count == 1:
                _logger.warning(
                    "%s: telemetry is lost to an error, the application goes on: %s", name, in_one_line(error)
                )
        except Exception:
            pass  # there is no one left to tell

    def forget(self) -> None:
        """Begin anew in a forked child, which counts for itself."""
        self.counts = {}
        self._lock = threading.Lock()


FAULTS: Final = Faults()
"""Those of this process."""


def in_one_line(error: BaseException) -> str:
    """Say an error, and where it was raised; its message may quote what the application sent."""
    from otel_kpi.redaction import redact_text

    traceback, place = error.__traceback__, ""
    while traceback is not None:
        place = f" ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    try:
        message = redact_text(" ".join(str(error).split()))[:200]
    except Exception:
        message = "its message cannot be shown"
    return f"{type(error).__qualname__}: {message}{place}"


def _name(part: Any) -> str:
    named = part if hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}.{named.__qualname__}"
