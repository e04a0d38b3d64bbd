"""PyJWT and python-jose: why a token was refused, whoever asked for its verification.

A token that is read without verification, for its key id, is no authentication. What says that the program calls
the library wrongly (a key of the wrong kind, no algorithms) says nothing of the token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security.names import reason_of
from otel_kpi.instrumentation.security.patches import Patches
from otel_kpi.packs.security import attempts

if TYPE_CHECKING:
    from collections.abc import Mapping

_PYJWT: Final = Patches(Boundary("pyjwt"))
_JOSE: Final = Patches(Boundary("python_jose"))

_ARGUMENTS: Final = ("token", "key", "algorithms", "options")
"""What is given by position, after the class's own instance."""


class PyJWT:
    """Watches `jwt.decode()` and `jwt.decode_complete()`."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap the method that both go through, and the function that was bound before."""
        import jwt

        _PYJWT.wrap(jwt.PyJWT, "decode_complete", _method)
        if hasattr(jwt, "decode_complete"):  # since 2.5
            _PYJWT.wrap(jwt, "decode_complete", _function)

    def uninstrument(self) -> None:
        """Take it back."""
        _PYJWT.undo()


class PythonJose:
    """Watches `jose.jwt.decode()`."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **_options: Any) -> None:
        """Wrap the function."""
        from jose import jwt

        _JOSE.wrap(jwt, "decode", _jose_function)

    def uninstrument(self) -> None:
        """Take it back."""
        _JOSE.undo()


def _method(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    return _decode(wrapped, args[1:], args, kwargs)


def _function(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    return _decode(wrapped, args, args, kwargs)


def _jose_function(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    # Without algorithms it takes any that the key is for.
    return _decode(wrapped, args, args, kwargs, any_algorithm=True)


def _decode(wrapped: Any, given: Any, args: Any, kwargs: Any, *, any_algorithm: bool = False) -> Any:
    named = {**dict(zip(_ARGUMENTS, given, strict=False)), **kwargs}
    options: Mapping[str, Any] | None = named.get("options")
    if options and not options.get("verify_signature", True):
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except Exception as error:
        reason = reason_of(error)
        if reason is not None and (any_algorithm or _can_verify(named)):
            attempts.tried("jwt", reason)
        raise
    attempts.tried("jwt", None)
    return result


def _can_verify(named: Mapping[str, Any]) -> bool:
    """Whether there are algorithms; without them PyJWT says of every token that it cannot be decoded."""
    return bool(named.get("algorithms")) or type(named.get("key")).__name__ == "PyJWK"
