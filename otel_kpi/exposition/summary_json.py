"""`/api/metrics/summary`: the figures in the shape that an older system has, name by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_kpi.exposition.figures import Durations, Figures, Number


def written(figures: Figures, now: datetime | None = None) -> bytes:
    """The summary; what nobody measured is null.

    Args:
        figures: To tell.
        now: When they were so.
    """
    good, bad = figures.requests or (None, None)
    metrics: dict[str, Any] = {
        "requests": {
            "total": None if good is None or bad is None else good + bad,
            "success": good,
            "errors": bad,
            "avgDuration": _average(figures.latency),
        },
        "sessions": {"active": _whole(figures.sessions)},
        "messages": {
            "total": _total(figures.messages),
            "byRole": _each(figures.messages),
            "byLanguage": _each(figures.languages),
        },
        "ai": {
            "requests": figures.ai.count if figures.ai is not None else None,
            "avgDuration": _average(figures.ai),
            "tokensUsed": _whole(figures.tokens),
        },
        "database": {
            "connections": _whole(figures.connections),
            "avgQueryDuration": _average(figures.queries),
        },
        "errors": {"total": _total(figures.errors), "byType": _each(figures.errors)},
    }
    return _body({"success": True, "metrics": metrics, "timestamp": _timestamp(now)})


def refused(reason: str, now: datetime | None = None) -> bytes:
    """Say why there is no summary."""
    return _body({"success": False, "error": reason, "timestamp": _timestamp(now)})


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")


def _timestamp(now: datetime | None) -> str:
    return (now or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _average(durations: Durations | None) -> float | None:
    average = durations.average() if durations is not None else None
    return None if average is None else round(average, 6)


def _whole(value: Number | None) -> Number | None:
    """A number without a fraction where it has none: an observed count comes as a floating-point number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _each(values: dict[str, Number] | None) -> dict[str, Number | None] | None:
    return None if values is None else {key: _whole(value) for key, value in values.items()}


def _total(values: dict[str, Number] | None) -> Number | None:
    return None if values is None else _whole(sum(values.values()))
