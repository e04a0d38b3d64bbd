"""Headers of requests, wherever an event has them: those that are known to be harmless stay.

Every other one is withheld, because a header of one's own may be a key under any name. They are in the request of an
event, and in its local variables: in an ASGI scope, which is what Starlette's request is to Sentry, in a WSGI
environment, and in whatever is called headers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi.redaction import REDACTED, redact_value

if TYPE_CHECKING:
    from collections.abc import Mapping

_KNOWN: Final = frozenset(
    [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "host",
        "origin",
        "referer",
        "traceparent",
        "user-agent",
        "x-correlation-id",
        "x-request-id",
    ]
)
_PAIR: Final = 2
_WSGI: Final = "HTTP_"


def known(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers, with nothing of those that are not known but their names."""
    return {name: _value(name, value) for name, value in headers.items()}


def known_in(variables: Any) -> Any:
    """Local variables, as the SDK serialises them, with the values of known headers only.

    Args:
        variables: Texts, numbers, lists and dictionaries.

    Returns:
        The same object where it has no headers.
    """
    if isinstance(variables, list):
        return _same_or([known_in(value) for value in cast("list[Any]", variables)], variables)
    if not isinstance(variables, dict):
        return variables
    mapping = cast("dict[Any, Any]", variables)
    return _same_or({name: _variable(name, value) for name, value in mapping.items()}, variables)


def _variable(name: Any, value: Any) -> Any:
    if not isinstance(name, str):
        return known_in(value)
    if name.startswith(_WSGI):
        return _value(name.removeprefix(_WSGI).replace("_", "-"), value)
    return _headers(value) if name.lower().endswith("headers") else known_in(value)


def _headers(value: Any) -> Any:
    """What is called headers: a mapping, pairs, or a text that says them all."""
    if isinstance(value, dict):
        return known({str(name): one for name, one in cast("dict[Any, Any]", value).items()})
    if isinstance(value, list):
        return [
            [pair[0], _value(str(pair[0]), pair[1])]
            if isinstance(pair, list) and len(pair) == _PAIR
            else REDACTED
            for pair in cast("list[Any]", value)
        ]
    return REDACTED if isinstance(value, str) and value else value


def _value(name: str, value: Any) -> Any:
    # The SDK writes bytes and the members of lists as Python does: `b'accept'`.
    plain = name.removeprefix("b").strip("'\"").lower() if name.endswith(("'", '"')) else name.lower()
    return redact_value(plain, value) if plain in _KNOWN else REDACTED


def _same_or(changed: Any, given: Any) -> Any:
    return given if changed == given else changed
