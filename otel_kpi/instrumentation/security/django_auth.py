"""Authentication by Django's backends: who was believed, who was not, and whose session was not.

The signal of a failed login says that it failed. Why, a backend says by raising `PermissionDenied` or by refusing an
inactive user; it is made for each login, and listened to as it is.
"""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security.names import scheme_of
from otel_kpi.instrumentation.security.patches import Patches
from otel_kpi.packs.security import attempts

_PATCHES: Final = Patches(Boundary("django_auth"))
_UID: Final = "otel_kpi"


class Instrumentor:
    """Listens to Django's signals, and watches the functions of `django.contrib.auth`."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Connect and wrap."""
        from django.contrib import auth
        from django.contrib.auth import signals

        _PATCHES.wrap(auth, "authenticate", _authenticate)
        _PATCHES.wrap(auth, "get_user", _get_user)
        _PATCHES.wrap(auth, "load_backend", _load_backend)
        if hasattr(auth, "aauthenticate"):  # since Django 5.0
            _PATCHES.wrap(auth, "aauthenticate", _aauthenticate)
            _PATCHES.wrap(auth, "aget_user", _aget_user)
        guarded = _PATCHES.boundary.listener
        signals.user_login_failed.connect(guarded(_login_failed), weak=False, dispatch_uid=_UID)
        signals.user_logged_in.connect(guarded(_logged_in), weak=False, dispatch_uid=_UID)

    def uninstrument(self) -> None:
        """Disconnect and take back."""
        from django.contrib.auth import signals

        signals.user_login_failed.disconnect(dispatch_uid=_UID)
        signals.user_logged_in.disconnect(dispatch_uid=_UID)
        _PATCHES.undo()


def _scheme(credentials: Any) -> str | None:
    names = set(credentials) - {"request"}
    if "password" in names:
        return "password"
    return next((each for each in ("token", "remote_user", "api_key") if each in names), None)


def _authenticate(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    user = wrapped(*args, **kwargs)
    if user is not None:
        attempts.judged(_scheme(kwargs), None, django=True)
    return user


async def _aauthenticate(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    user = await wrapped(*args, **kwargs)
    if user is not None:
        attempts.judged(_scheme(kwargs), None, django=True)
    return user


def _login_failed(credentials: Any = None, **_rest: Any) -> None:
    attempts.judged(_scheme(credentials or ()), _take_hint() or "invalid_credentials", django=True)


def _logged_in(user: Any = None, **_rest: Any) -> None:
    """A login without `authenticate()`: by a provider, by a link in a mail."""
    attempt = attempts.current()
    if attempt is not None and attempt.believed:
        return
    backend = str(getattr(user, "backend", "")).rpartition(".")[2]
    attempts.judged(scheme_of(type(backend, (), {})) if backend else None, None, django=True)


def _load_backend(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    backend = wrapped(*args, **kwargs)
    _PATCHES.listen(backend, "authenticate", _by_backend)
    _PATCHES.listen(backend, "user_can_authenticate", _can_authenticate)
    return backend


def _by_backend(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    from django.core.exceptions import PermissionDenied

    try:
        return wrapped(*args, **kwargs)
    except PermissionDenied:
        _hint("permission_denied")
        raise


def _can_authenticate(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    can = wrapped(*args, **kwargs)
    if not can:
        _hint("inactive")
    return can


def _hint(reason: str) -> None:
    attempt = attempts.current()
    if attempt is not None:
        attempt.hint = reason


def _take_hint() -> str:
    attempt = attempts.current()
    if attempt is None:
        return ""
    hint, attempt.hint = attempt.hint, ""
    return hint


def _get_user(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    user = wrapped(*args, **kwargs)
    _look_at_session(args[0] if args else kwargs["request"], user)
    return user


async def _aget_user(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    user = await wrapped(*args, **kwargs)
    _look_at_session(args[0] if args else kwargs["request"], user)
    return user


def _look_at_session(request: Any, user: Any) -> None:
    if user.is_anonymous and _take_hint() == "inactive":
        attempts.judged("session", "inactive", django=True)
        return
    # Django empties the session whose user has another password by now, and says nothing.
    session = request.session
    if user.is_anonymous and session.modified and session.is_empty():
        attempts.judged("session", "invalid_session", django=True)
