"""Any function as a check, and whatever else can be told by its looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.health.checks.check import Check

if TYPE_CHECKING:
    from collections.abc import Callable

_RECOGNISED: Final = (
    ("sqlalchemy.engine", "Engine", "sqlalchemy"),
    ("sqlalchemy.ext.asyncio", "AsyncEngine", "sqlalchemy"),
    ("redis", "Redis", "redis"),
    ("redis", "RedisCluster", "redis"),
    ("redis.asyncio", "Redis", "redis"),
    ("redis.asyncio", "RedisCluster", "redis"),
)
"""Module, class, and the function of this package that makes a check of one."""


def call(function: Callable[[], Any]) -> Check:
    """Ask a function.

    Args:
        function: Takes nothing. Returns `None` or `True` (healthy), `False` (unhealthy), one of the three words, or
            a `Result`; raises when it is unhealthy. Anything else that it returns counts as unhealthy. A coroutine
            function runs on an event loop that only this check has: objects that are bound to the application's
            loop cannot be used in it.
    """
    return Check("function", lambda _timeout: function())


def check_of(target: Any) -> Check:
    """Give the check of a target: a check itself, an engine, a Redis client, an address, a function.

    Raises:
        TypeError: It is none of these.
    """
    from otel_kpi.health import checks

    if isinstance(target, Check):
        return target
    for module, name, maker in _RECOGNISED:
        # Who has an object of a library has imported the library.
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type) and isinstance(target, cls):
            return getattr(checks, maker)(target)
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        return checks.http(target)
    if callable(target):
        return call(target)
    raise TypeError(f"{type(target).__name__} is nothing that can be asked")
