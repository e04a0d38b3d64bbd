"""JSON Schemas of what is answered, as OpenAPI 3.1 takes them. Pure data."""

from __future__ import annotations

from typing import Any, Final

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_NUMBER: Final[dict[str, Any]] = {"type": "number", "minimum": 0}
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}
_TIME: Final[dict[str, Any]] = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}
_MEGABYTES: Final[dict[str, Any]] = {"type": "string", "pattern": r"^\d+MB$"}
_PERCENT: Final[dict[str, Any]] = {"type": "string", "pattern": r"^\d+\.\d\d%$"}
_FOUND: Final = ["healthy", "degraded", "unhealthy"]
_OVERALL: Final[dict[str, Any]] = {"type": "string", "enum": [*_FOUND, "starting"]}
_STATUS: Final[dict[str, Any]] = {"type": "string", "enum": [*_FOUND, "starting", "unknown"]}


def _object(
    required: dict[str, Any], optional: dict[str, Any] | None = None, *, more: bool = False
) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": more,
    }


_OUTCOME: Final[dict[str, Any]] = {
    "responseTime": {**_NUMBER, "description": "Milliseconds that the last run took."},
    "age": {**_NUMBER, "description": "Seconds since the last run ended."},
    "checkedAt": _TIME,
    "lastStatus": {"type": "string", "enum": _FOUND, "description": "Of an outcome that is too old to hold."},
    "error": {**_TEXT, "description": "Type of the exception."},
    "hangingSince": {**_TIME, "description": "Begin of a run that was given up and has not ended."},
    "blockedBy": {"type": "array", "items": _TEXT, "description": "Because of which it was not asked."},
    "dependencies": {"type": "object", "additionalProperties": _STATUS},
}
_SERVICE: Final = _object({"status": _STATUS, "critical": {"type": "boolean"}}, _OUTCOME, more=True)


def _machine(figures: dict[str, Any]) -> dict[str, Any]:
    return _object({"status": _STATUS}, {**figures, **_OUTCOME}, more=True)


HEALTH: Final = _object(
    {
        "status": _OVERALL,
        "timestamp": _TIME,
        "uptime": _object(
            {
                "seconds": _COUNT,
                "formatted": {"type": "string", "pattern": r"^\d+h \d+m \d+s$"},
                "startTime": _TIME,
            }
        ),
        "responseTime": {**_NUMBER, "description": "Milliseconds that this answer took."},
        "services": {"type": "object", "additionalProperties": _SERVICE},
        "system": _object(
            {"python": _TEXT, "platform": _TEXT, "arch": _TEXT},
            {
                "memory": _machine(
                    {
                        "heap": _object({"total": _MEGABYTES, "used": _MEGABYTES, "usage": _PERCENT}),
                        "rss": _MEGABYTES,
                        "usage": _PERCENT,
                    }
                ),
                "cpu": _machine({"user": _PERCENT, "system": _PERCENT, "total": _PERCENT}),
                "disk": _machine({"total": _MEGABYTES, "free": _MEGABYTES, "usage": _PERCENT}),
            },
            more=True,
        ),
    },
    {"version": _TEXT, "environment": _TEXT},
)

LIVE: Final = _object({"status": {"type": "string", "const": "ok"}, "timestamp": _TIME})

READY: Final = _object(
    {"status": {"type": "string", "enum": ["ready", "not ready"]}, "timestamp": _TIME},
    {
        "missing": {
            "type": "array",
            "items": _TEXT,
            "description": "Critical checks that failed or have not run.",
        }
    },
)

INSTRUMENTATION: Final = _object(
    {"status": _OVERALL, "timestamp": _TIME}, {"metrics": {"type": "object"}, "version": _TEXT}
)

_COUNTS: Final[dict[str, Any]] = {"type": ["object", "null"], "additionalProperties": _NUMBER}
_FIGURE: Final[dict[str, Any]] = {"type": ["number", "null"], "description": "null is what nobody measured."}


def _part(figures: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": figures, "additionalProperties": True}


SUMMARY: Final = _object(
    {
        "success": {"type": "boolean"},
        "metrics": _part(
            {
                "requests": _part(
                    {"total": _FIGURE, "success": _FIGURE, "errors": _FIGURE, "avgDuration": _FIGURE}
                ),
                "sessions": _part({"active": _FIGURE}),
                "messages": _part({"total": _FIGURE, "byRole": _COUNTS, "byLanguage": _COUNTS}),
                "ai": _part({"requests": _FIGURE, "avgDuration": _FIGURE, "tokensUsed": _FIGURE}),
                "database": _part({"connections": _FIGURE, "avgQueryDuration": _FIGURE}),
                "errors": _part({"total": _FIGURE, "byType": _COUNTS}),
            }
        ),
        "timestamp": _TIME,
    },
    more=True,
)

REFUSED: Final = _object({"success": {"type": "boolean", "const": False}, "error": _TEXT, "timestamp": _TIME})
