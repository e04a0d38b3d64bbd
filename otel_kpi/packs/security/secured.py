"""The time of what needs permission, and how it ended."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from otel_kpi.packs.decoration import Scope, decorated
from otel_kpi.packs.security import handles
from otel_kpi.packs.security.words import label

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_F = TypeVar("_F", bound="Callable[..., Any]")

_DENIED: Final = frozenset({401, 403, 407, 429, 451})
_DENIALS: Final = frozenset(
    {"AuthenticationFailed", "NotAuthenticated", "PermissionDenied", "InvalidTokenError"}
)


class secured_request:  # noqa: N801 - it is called as a function, with or without `with`
    """Measure a request or a call that needs permission, the check included.

    A context manager, and a decorator of functions of any kind; a generator's time ends with its last value:

        with security.secured_request("orders.create") as request:
            if not may(user, "orders.create"):
                request.denied()

    Args:
        operation: What is secured, for example `"orders.create"`; at most 40 distinct values.

    Exported as `kpi_security_secured_request_duration_seconds` by operation and by how it ended: `denied` when
    `denied()` was called or an exception says so (`PermissionError`, HTTP 401, 403, 407, 429, 451, the
    `PermissionDenied` and `AuthenticationFailed` of Django and its kin), `error` for other exceptions,
    `cancellation` for those that end a task or the process. Exceptions pass. It is no attempt of authentication:
    `authentication()` counts these.
    """

    __slots__ = ("_operation", "_result", "_started")

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._result = ""
        self._started = 0.0

    def denied(self) -> None:
        """Say that it was refused, where no exception says so."""
        self._result = "denied"

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _record(self._started, self._operation, self._result or _result_of(error))

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: _F) -> _F:
        """Measure each call of a function."""
        return decorated(partial(_Call, self._operation), function)


class _Call(Scope):
    """One call of a function."""

    __slots__ = ("_operation", "_started")

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self._started = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        _record(self._started, self._operation, _result_of(error))


def _record(started: float, operation: str, result: str) -> None:
    elapsed = time.perf_counter() - started
    name = label(operation, "the name of a secured operation")
    handles.secured_request_duration.record(elapsed, name, result)


def _result_of(error: BaseException | None) -> str:
    if error is None:
        return "allowed"
    if not isinstance(error, Exception):
        return "cancellation"
    try:
        # What frameworks raise for an answer says which: Starlette's, Flask's and aiohttp's, Django REST's.
        statuses = (getattr(error, name, None) for name in ("status_code", "status", "code"))
        if isinstance(error, PermissionError) or any(each in _DENIED for each in statuses):
            return "denied"
        if any(cls.__name__ in _DENIALS for cls in type(error).__mro__):
            return "denied"
    except Exception:
        return "error"
    return "error"
