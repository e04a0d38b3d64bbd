"""Errors to Sentry, each linked to its OpenTelemetry trace.

Traces, metrics and logs leave by OTLP; errors need Sentry's own protocol, so `sentry-sdk` runs here for errors
only. It is imported by `start()` and not before: without a DSN none of it is in the process.

`links` joins an error and its trace, `scrubbing` says what of an event leaves, `grouping` which errors are one
issue, `delivery` what becomes of an envelope; `client` puts them into the SDK.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from otel_kpi import forks
from otel_kpi.sentry.options import Choices

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.sentry.client import Clients

__all__ = [
    "Choices",
    "add_breadcrumb",
    "capture_exception",
    "capture_message",
    "flush",
    "is_current",
    "lost_events",
    "set_user",
    "start",
    "start_profiler",
    "stop_profiler",
]

_logger = logging.getLogger("otel_kpi.sentry")

_SUPPORTED = "2"

_lock = threading.Lock()
_clients: Clients | None = None
_profiling = False


def start(
    *,
    dsn: str,
    release: str | None,
    environment: str | None,
    choices: Choices | None = None,
    **options: Any,
) -> None:
    """Send the errors of this process to Sentry. Does nothing when it has already started; never raises.

    Args:
        dsn: The address of the project. A malformed one is one line in the log, and nothing is sent.
        release: `service@version`. The variable `SENTRY_RELEASE` goes before it.
        environment: The deployment environment. `SENTRY_ENVIRONMENT` goes before it.
        choices: What else the process decides about its errors.
        **options: Further options of `sentry_sdk.init`. Those of tracing and of data collection are refused
            in one line; a `before_send` runs before our scrubber.

    An application that called `sentry_sdk.init` keeps its client and gains the links to its traces.
    """
    global _clients
    if not dsn:
        return
    with _lock:
        if _clients is not None and _clients.own is not None:
            return
        try:
            _refuse_other_majors()
            from otel_kpi.sentry.client import Clients

            if _clients is None:
                clients = Clients(choices or Choices())
                clients.watch()
                _clients = clients
            if not _clients.make(dsn, release, environment, options):
                return
        except Exception as error:
            _logger.warning(
                "Errors are not sent to Sentry: it could not start (%s: %s)", type(error).__name__, error
            )
            return
        clients = _clients
    try:
        from otel_kpi import _compat
        from otel_kpi.sentry.threads import chain_thread_errors

        _compat.sentry_frameworks(is_current, clients.remember_unsampled)
        chain_thread_errors(clients.current)
        clients.leave_breadcrumbs()
        forks.in_child(_after_fork)
        if choices is not None and choices.profiling == "continuous":
            start_profiler()
    except Exception as error:
        _logger.warning(
            "Sentry works without its framework integrations (%s: %s)", type(error).__name__, error
        )


def _refuse_other_majors() -> None:
    from sentry_sdk import VERSION

    if str(VERSION).partition(".")[0] != _SUPPORTED:
        raise ImportError(f"sentry-sdk {VERSION} has another interface; install 'sentry-sdk<3'")


def is_current() -> bool:
    """Whether errors go through the client that we made, and not through one of the application."""
    return _clients is not None and _clients.current() is not None


def flush(timeout: float, *, final: bool = False) -> None:
    """Wait at most `timeout` seconds until what was captured has been sent. Never raises, never prints.

    Args:
        timeout: Seconds.
        final: Whether the process ends: then the profile that is being recorded is sent, too.
    """
    sdk = sys.modules.get("sentry_sdk")
    if sdk is None or timeout <= 0:
        return
    try:
        if final and _profiling:
            stop_profiler()
        sdk.get_client().flush(timeout=timeout)
    except Exception:
        _logger.debug("Sentry could not be flushed", exc_info=True)


def lost_events() -> Mapping[str, int]:
    """How many events did not reach Sentry, by reason (`network_error`, `queue_overflow`, …)."""
    if _clients is None:
        return {}
    from otel_kpi.sentry.delivery import lost

    return dict(lost)


def capture_exception(error: BaseException | None = None) -> str | None:
    """Send an error; without an argument the one being handled.

    Returns:
        The event's id, or None when nothing is sent: without a DSN this does nothing.
    """
    return _call("capture_exception", error)


def capture_message(message: str, level: str = "info") -> str | None:
    """Send a message with a level of Sentry (`debug`, `info`, `warning`, `error`, `fatal`).

    Returns:
        The event's id, or None when nothing is sent: without a DSN this does nothing.
    """
    return _call("capture_message", message, level=level)


def add_breadcrumb(
    message: str | None = None,
    *,
    category: str | None = None,
    level: str | None = None,
    type: str | None = None,  # noqa: A002 Sentry's name
    data: Mapping[str, Any] | None = None,
) -> None:
    """Remember a step that is sent along with the next error of this request, at most 50 of them."""
    given = {"message": message, "category": category, "level": level, "type": type}
    crumb: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if data is not None:
        crumb["data"] = dict(data)
    _call("add_breadcrumb", crumb)


def set_user(identity: str | None) -> None:
    """Say who is using the application in this request; None forgets it.

    Args:
        identity: Any name that tells users apart. Sentry gets a hash of it, unless `OTEL_KPI_SENTRY_USER` says
            otherwise. Without a DSN this does nothing.
    """
    _call("set_user", None if identity is None else {"id": identity})


def start_profiler() -> None:
    """Start Sentry's profiler; does nothing while `OTEL_KPI_SENTRY_PROFILING` is `off`. Never raises."""
    global _profiling
    if is_current():
        from sentry_sdk.profiler import start_profiler as begin

        try:
            begin()
            _profiling = True
        except Exception:
            _logger.debug("Sentry's profiler did not start", exc_info=True)


def stop_profiler() -> None:
    """Stop Sentry's profiler and queue what it recorded. Never raises."""
    global _profiling
    if _profiling:
        from sentry_sdk.profiler import stop_profiler as end

        _profiling = False
        try:
            end()
        except Exception:
            _logger.debug("Sentry's profiler did not stop", exc_info=True)


def _call(name: str, *args: Any, **kwargs: Any) -> Any:
    # Not imported means not started, by us or by the application.
    sdk = sys.modules.get("sentry_sdk")
    if sdk is None:
        return None
    try:
        return getattr(sdk, name)(*args, **kwargs)
    except Exception:
        _logger.debug("sentry_sdk.%s failed", name, exc_info=True)
        return None


def _after_fork() -> None:
    if _clients is None or _clients.own is None:
        return
    try:
        _clients.after_fork()
        if _profiling:
            start_profiler()
    except Exception:
        _logger.debug("Sentry's transport could not be renewed after a fork", exc_info=True)
