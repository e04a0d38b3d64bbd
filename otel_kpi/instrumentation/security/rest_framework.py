"""Django REST framework: what its authenticators, permissions and throttles say of a request.

Authenticators and throttles are made for each request, so each one is listened to as it is: one of the
application's own is seen, too, and its class says the scheme.
"""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security.names import reason_of, scheme_of
from otel_kpi.instrumentation.security.patches import Patches
from otel_kpi.packs.security import attempts, rate_limited

_PATCHES: Final = Patches(Boundary("djangorestframework"))


class Instrumentor:
    """Watches `Request` and `APIView`."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap what makes authenticators and throttles known, and what answers exceptions."""
        from rest_framework.request import Request
        from rest_framework.views import APIView

        _PATCHES.wrap(Request, "__init__", _init)
        _PATCHES.wrap(APIView, "get_throttles", _get_throttles)
        _PATCHES.wrap(APIView, "handle_exception", _handle_exception)

    def uninstrument(self) -> None:
        """Take it back."""
        _PATCHES.undo()


def _init(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    for authenticator in args[0].authenticators or ():
        _PATCHES.listen(authenticator, "authenticate", _authenticate)


def _authenticate(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    from rest_framework.exceptions import APIException, PermissionDenied

    scheme = scheme_of(type(getattr(wrapped, "__self__", None)))
    try:
        found = wrapped(*args, **kwargs)
    except PermissionDenied:
        # The one of sessions raises it for a request that another site may have made.
        attempts.judged(scheme, "csrf" if scheme == "session" else "permission_denied", django=True)
        raise
    except APIException as error:
        attempts.judged(scheme, _reason(scheme, error), django=True)
        raise
    if found is not None:
        attempts.judged(scheme, None, django=True)
    return found


def _reason(scheme: str | None, error: BaseException) -> str:
    """Why; a library's exception behind it says it better."""
    behind = error.__cause__ or error.__context__
    reason = reason_of(behind) if behind is not None else None
    return reason or (
        "invalid_token" if scheme in {"jwt", "token", "bearer", "oauth2"} else "invalid_credentials"
    )


def _handle_exception(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
    from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, PermissionDenied

    view, error = args[0], args[1] if len(args) > 1 else kwargs["exc"]
    attempt = attempts.current()
    if attempt is None or not attempt.failed:
        if isinstance(error, NotAuthenticated):
            attempts.judged(_scheme_of(view), "missing_credentials", django=True)
        elif isinstance(error, AuthenticationFailed):
            # Raised by a view: one that gives tokens for passwords.
            attempts.judged(None, _reason(None, error), django=True)
        elif isinstance(error, PermissionDenied | DjangoPermissionDenied) and not (
            attempt and attempt.limited
        ):
            attempts.judged(_scheme_of(view), "permission_denied", django=True)
    return wrapped(*args, **kwargs)


def _scheme_of(view: Any) -> str | None:
    """Of the authenticator that succeeded, or else of the first, which is what the answer asks for."""
    request = view.request
    authenticators = getattr(request, "authenticators", None) or ()
    chosen = getattr(request, "successful_authenticator", None) or next(iter(authenticators), None)
    return None if chosen is None else scheme_of(type(chosen))


def _get_throttles(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    throttles = wrapped(*args, **kwargs)
    for throttle in throttles:
        _PATCHES.listen(throttle, "allow_request", _allow_request)
    return throttles


def _allow_request(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    from rest_framework.throttling import SimpleRateThrottle

    throttle = getattr(wrapped, "__self__", None)
    allowed = wrapped(*args, **kwargs)
    # One for anonymous clients lets everybody else pass without having looked.
    looked = not isinstance(throttle, SimpleRateThrottle) or bool(
        getattr(throttle, "rate", None) and getattr(throttle, "key", None)
    )
    if looked:
        policy = getattr(throttle, "scope", None) or type(throttle).__name__
        rate_limited(str(policy), allowed=bool(allowed))
    return allowed
