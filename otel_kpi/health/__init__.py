"""Health: what this process depends on, asked in the background, answered at once.

```python
from otel_kpi import health

health.check("database", engine)
health.check("redis", redis_client)
health.check("ai", health.ai_provider("OPENAI_API_KEY"))
```

A check is declared once; nothing runs before somebody asks, or `start()`. The answer is always the last known
result with its age. `otel_kpi.endpoints` puts the answers on paths.
"""

from otel_kpi.health.checks import (
    ai_provider,
    call,
    cpu,
    disk,
    django_database,
    http,
    memory,
    redis,
    sqlalchemy,
)
from otel_kpi.health.checks.check import Check, Kind
from otel_kpi.health.process import answer, check, clear, start, stop
from otel_kpi.health.result import Result, Status

__all__ = [
    "Check",
    "Kind",
    "Result",
    "Status",
    "ai_provider",
    "answer",
    "call",
    "check",
    "clear",
    "cpu",
    "disk",
    "django_database",
    "http",
    "memory",
    "redis",
    "sqlalchemy",
    "start",
    "stop",
]
