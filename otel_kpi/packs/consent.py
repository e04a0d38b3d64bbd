"""Whether what people and models say to each other may be written down, and where."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""OpenTelemetry's setting. The distribution writes what `configure()` or a file says of it there, too."""

_SPANS: Final = frozenset({"true", "span_only", "span_and_event"})
_EVENTS: Final = frozenset({"true", "event_only", "span_and_event"})


def on_spans() -> bool:
    """Whether content may stand on spans. No unless somebody said yes."""
    return os.environ.get(VARIABLE, "").strip().lower() in _SPANS


def on_events() -> bool:
    """Whether content may stand in events. No unless somebody said yes."""
    return os.environ.get(VARIABLE, "").strip().lower() in _EVENTS
