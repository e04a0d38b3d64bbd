"""FastAPI's security schemes: credentials that are missing or malformed, and those that somebody else judges.

A scheme looks for credentials and does not judge them. What it raises is a failure; what it finds is judged by PyJWT
or by the application, whose answer of 401 or 403 says so.
"""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security.names import scheme_of
from otel_kpi.instrumentation.security.patches import Patches
from otel_kpi.packs.security import attempts

_PATCHES: Final = Patches(Boundary("fastapi_security"))
_REFUSALS: Final = frozenset({401, 403})


class Instrumentor:
    """Watches each class of `fastapi.security` that is called with a request."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap their `__call__`; their signature, which FastAPI reads, stays."""
        from fastapi import security
        from fastapi.security.base import SecurityBase

        for cls in {each for each in vars(security).values() if isinstance(each, type)}:
            for base in cls.__mro__:
                if issubclass(base, SecurityBase) and "__call__" in vars(base):
                    _PATCHES.wrap(base, "__call__", _call)

    def uninstrument(self) -> None:
        """Take it back."""
        _PATCHES.undo()


async def _call(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    scheme = scheme_of(type(args[0]))
    try:
        found = await wrapped(*args, **kwargs)
    except Exception as error:
        if getattr(error, "status_code", None) in _REFUSALS:
            request: Any = args[1] if len(args) > 1 else kwargs["request"]
            given = scheme != "api_key" and request.headers.get("authorization")
            attempts.judged(scheme, "invalid_credentials" if given else "missing_credentials")
        raise
    if found is not None:
        attempts.offered(scheme or "unknown", required=bool(getattr(args[0], "auto_error", True)))
    return found
