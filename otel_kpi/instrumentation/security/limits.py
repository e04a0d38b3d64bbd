"""Rate limits of slowapi and django-ratelimit: which requests they looked at, and which they turned away."""

from __future__ import annotations

from typing import Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security.patches import Patches
from otel_kpi.packs.security import rate_limited

_SLOWAPI: Final = Patches(Boundary("slowapi"))
_DJANGO: Final = Patches(Boundary("django_ratelimit"))
_COUNTED: Final = "_otel_kpi_counted_limit"

_ARGUMENTS: Final = ("request", "group", "fn", "key", "rate", "method", "increment")


class SlowApi:
    """Watches every limiter of slowapi's, whether a decorator or its middleware asks."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap the method that evaluates the limits of a request."""
        owner, name = _compat.slowapi_check()
        _SLOWAPI.wrap(owner, name, _check)

    def uninstrument(self) -> None:
        """Take it back."""
        _SLOWAPI.undo()


def _check(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    from slowapi.errors import RateLimitExceeded

    request: Any = args[1] if len(args) > 1 else kwargs["request"]
    try:
        result = wrapped(*args, **kwargs)
    except RateLimitExceeded as error:
        # When its store is gone it asks itself once more, of a store in memory.
        if not hasattr(error, _COUNTED):
            setattr(error, _COUNTED, True)
            rate_limited(str(error.limit.limit) if error.limit is not None else "unknown", allowed=False)
        raise
    evaluated = getattr(request.state, "view_rate_limit", None)
    if evaluated is not None and evaluated is not getattr(request.state, _COUNTED, None):
        setattr(request.state, _COUNTED, evaluated)
        rate_limited(str(evaluated[0]), allowed=True)
    return result


class DjangoRatelimit:
    """Watches `get_usage()` of django-ratelimit, through which its decorator and `is_ratelimited()` go."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap the function."""
        from django_ratelimit import core

        _DJANGO.wrap(core, "get_usage", _get_usage)

    def uninstrument(self) -> None:
        """Take it back."""
        _DJANGO.undo()


def _get_usage(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    usage = wrapped(*args, **kwargs)
    given = {**dict(zip(_ARGUMENTS, args, strict=False)), **kwargs}
    # Without `increment` somebody only looks how much is left.
    if usage is not None and given.get("increment"):
        rate = given.get("rate")
        policy = given.get("group") or (rate if isinstance(rate, str) and "." not in rate else "dynamic")
        rate_limited(str(policy), allowed=not usage["should_limit"])
    return usage
