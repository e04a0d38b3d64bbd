"""What a chat service could not do: requests that it turned away, and errors.

An error is what the application reports. That a request failed or was turned away is in the number of requests by
status; nothing else adds to the errors, so that none is counted twice.
"""

from __future__ import annotations

from typing import Any

from otel_kpi.packs.chat import handles


def rate_limit_hit() -> None:
    """Count a request that was turned away because its sender had made too many.

    Exported as ``kpi_chat_rate_limit_hits_total``, and as ``<prefix>_rate_limit_hits_total``.
    """
    handles.rate_limit_hits.add(1)
    handles.chat_rate_limit_hits.add(1)


def validation_error(type: str) -> None:  # noqa: A002 - S2's word, and that of the label
    """Count something that a user sent and that could not be accepted.

    Args:
        type: What was wrong, `"missing"` or `"string_too_long"`; at most 30 distinct ones. Never the value.

    Exported as ``kpi_chat_validation_errors_total``, and as ``<prefix>_validation_errors_total{type}``. It is no
    error of the service: `error` is told of it besides where it should count as one.
    """
    handles.validation_errors.add(1, type)
    handles.chat_validation_errors.add(1, type)


def error(type: str | BaseException, severity: str = "error") -> None:  # noqa: A002 - S2's word, and that of the label
    """Count an error.

    Args:
        type: Its class, as `"TimeoutError"`, or the exception itself; at most 50 distinct ones. Never its message.
        severity: `"info"`, `"warning"`, `"error"` or `"critical"`.

    Exported as ``kpi_chat_errors_total``, and as ``<prefix>_errors_total{type,severity}``.
    """
    name = _name_of(type)
    handles.errors.add(1, name, severity)
    handles.chat_errors.add(1, name, severity)


def _name_of(given: str | BaseException) -> Any:
    """The class of an exception; anything else is for the handle to judge."""
    try:
        return given.__class__.__name__ if isinstance(given, BaseException) else given
    except Exception:
        return None
