"""What `otel-kpi dev` prints: each trace as it comes, and a summary at the end.

`follow()` prints until it is cancelled, `summary()` afterwards; `mark()` says from where the summary counts.
"""

from __future__ import annotations

from otel_kpi.dev.terminal.following import follow
from otel_kpi.dev.terminal.session import Mark, mark, summary

__all__ = ["Mark", "follow", "mark", "summary"]
