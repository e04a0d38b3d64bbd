"""Requests of Django: where one begins and ends, what Django finds suspicious, and what it refuses.

Django turns exceptions into responses in one place, which sees all of them: each `SuspiciousOperation` is an
intrusion attempt of its kind, `PermissionDenied` a refusal. A request whose CSRF check fails gets an answer without
an exception.
"""

from __future__ import annotations

from typing import Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security.names import kind_of
from otel_kpi.instrumentation.security.patches import Patches
from otel_kpi.packs.security import attempts, handles
from otel_kpi.packs.security.origin import Origin, hops

_PATCHES: Final = Patches(Boundary("django_security"))


class Instrumentor:
    """Watches every handler of Django's: WSGI, ASGI, and the test client."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap what answers a request, what answers an exception, and the CSRF check where it is used."""
        from django.core.handlers import exception
        from django.core.handlers.base import BaseHandler

        handles.django_auth_failures()
        _PATCHES.wrap(BaseHandler, "get_response", _get_response)
        _PATCHES.wrap(BaseHandler, "get_response_async", _get_response_async)
        _PATCHES.wrap(exception, "response_for_exception", _response_for_exception)
        _compat.after_import("django.middleware.csrf", _watch_csrf)

    def uninstrument(self) -> None:
        """Take it back."""
        _PATCHES.undo()


def _watch_csrf(module: Any) -> None:
    # Called by an import of the application's.
    try:
        if _PATCHES.active:
            _PATCHES.wrap(module.CsrfViewMiddleware, "process_view", _process_view)
    except Exception as error:
        _PATCHES.boundary.failed(error)


def _origin(request: Any) -> Origin:
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return Origin(request.META.get("REMOTE_ADDR") or "", hops(forwarded) if forwarded else (), django=True)


def _get_response(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    attempt, token = attempts.begin(_origin(args[1] if len(args) > 1 else kwargs["request"]))
    status: int | None = None
    try:
        response = wrapped(*args, **kwargs)
        status = response.status_code
        return response
    finally:
        attempts.end(attempt, token, status)


async def _get_response_async(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    attempt, token = attempts.begin(_origin(args[1] if len(args) > 1 else kwargs["request"]))
    status: int | None = None
    try:
        response = await wrapped(*args, **kwargs)
        status = response.status_code
        return response
    finally:
        attempts.end(attempt, token, status)


def _response_for_exception(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    from django.core.exceptions import PermissionDenied

    request, error = args[0], args[1]
    kind = kind_of(error)
    if kind is not None:
        attempts.attacked(kind)
    elif isinstance(error, PermissionDenied) and not _is_of_a_limit(error):
        attempts.judged("session" if hasattr(request, "session") else None, "permission_denied", django=True)
    return wrapped(*args, **kwargs)


def _is_of_a_limit(error: Exception) -> bool:
    """Whether it was raised since there were too many requests: django-ratelimit's is a `PermissionDenied`."""
    attempt = attempts.current()
    return (attempt is not None and attempt.limited) or type(error).__name__ == "Ratelimited"


def _process_view(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    refusal = wrapped(*args, **kwargs)
    if refusal is not None:
        attempts.judged("session", "csrf", django=True)
    return refusal
