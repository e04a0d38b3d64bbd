"""How a connection ended, from its close code. Pure functions; the codes are those of RFC 6455 §7.4 and IANA."""

from __future__ import annotations

from typing import Final, Literal

By = Literal["client", "server"]

_CLASSES: Final = {
    1000: "normal",
    1001: "going_away",
    1002: "protocol",
    1003: "protocol",
    1005: "no_status",
    1006: "abnormal",
    1007: "protocol",
    1008: "policy",
    1009: "too_big",
    1010: "protocol",
    1011: "error",
    1012: "restart",
    1013: "restart",
    1014: "gateway",
    1015: "gateway",
}
_OF_SERVERS: Final = frozenset({1011, 1012, 1013, 1014})
"""What only a server says of itself: one that shuts down tells its application of the code that it sent."""

_LIBRARY: Final = range(3000, 4000)
_APPLICATION: Final = range(4000, 5000)


def close_class(code: int) -> str:
    """What a close code says, one of the members of `CLOSE_CLASS`; a number that is no code is `abnormal`."""
    if code in _LIBRARY:
        return "library"
    if code in _APPLICATION:
        return "application"
    return _CLASSES.get(code, "abnormal") if isinstance(code, int) else "abnormal"  # pyright: ignore[reportUnnecessaryIsInstance] - it is the application's word


def reported_by(code: int) -> By:
    """Who ended a connection of whose end the application is told by this code."""
    return "server" if code in _OF_SERVERS else "client"
