"""Errors to Sentry, each linked to its OpenTelemetry trace.

Traces, metrics and logs leave by OTLP; errors need Sentry's own protocol, so `sentry-sdk` runs here for errors
only. It is imported by `start()` and not before: without a DSN none of it is in the process.

An error finds its trace in two ways. While a span is current the SDK asks us for it. An error that nobody
handles is captured by Sentry's outer ASGI wrapper after the span has gone; it carries a stamp, put on the
exception by the span that recorded it. Both work for a client that the application initialised itself.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace

from otel_kpi.sentry import links as _sentry_events

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_logger = logging.getLogger("otel_kpi.sentry")

_ACCEPTED = "accepted is https://<public key>@<host>/<project number>"

# OpenTelemetry's sampler alone decides about traces, its instrumentors alone propagate them, and logs leave by
# OTLP. The last line would switch the SDK's own scrubbing off or widen what it collects.
_REFUSED = (
    "traces_sample_rate", "traces_sampler", "enable_tracing", "trace_lifecycle", "instrumenter",
    "profiles_sample_rate", "profiles_sampler", "profile_session_sample_rate", "profile_lifecycle",
    "enable_logs", "auto_session_tracking",
    "send_default_pii", "data_collection", "max_request_body_size", "event_scrubber",
)  # fmt: skip
_REFUSED_VARIABLES = ("SENTRY_TRACES_SAMPLE_RATE", "SENTRY_PROFILES_SAMPLE_RATE")

# Our own lines about Sentry would go to Sentry, and a Collector that is down would become an issue per export.
# Django logs an answered 400 (SuspiciousOperation) as an error.
_IGNORED_LOGGERS = ("otel_kpi", "otel_kpi.*", "opentelemetry", "opentelemetry.*", "django.security.*")

_lock = threading.Lock()
_client: Any = None  # the client that we made
_linked = False
_failing = False


def start(*, dsn: str, release: str | None, environment: str | None, **options: Any) -> None:
    """Send the errors of this process to Sentry. Does nothing when it has already started; never raises.

    Args:
        dsn: The address of the project. A malformed one is one line in the log, and nothing is sent.
        release: `service@version`. The variable `SENTRY_RELEASE` goes before it.
        environment: The deployment environment. `SENTRY_ENVIRONMENT` goes before it.
        **options: Further options of `sentry_sdk.init`. Those of tracing and of data collection are refused
            in one line; a `before_send` runs before our scrubber.

    An application that called `sentry_sdk.init` keeps its client and gains the links to its traces.
    """
    global _client
    if not dsn:
        return
    with _lock:
        if _client is not None:
            return
        try:
            client = _start(dsn, release, environment, _permitted(options))
        except Exception as error:
            _logger.warning(
                "Errors are not sent to Sentry: it could not start (%s: %s)", type(error).__name__, error
            )
            return
        if client is None:
            return
        _client = client
    try:
        from otel_kpi import _compat

        _compat.sentry_frameworks(is_current, _remember_unsampled)
        _chain_thread_errors()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    except Exception as error:
        _logger.warning(
            "Sentry works without its framework integrations (%s: %s)", type(error).__name__, error
        )


def _start(dsn: str, release: str | None, environment: str | None, options: dict[str, Any]) -> Any:
    import sentry_sdk
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
    from sentry_sdk.scrubber import EventScrubber
    from sentry_sdk.utils import BadDsn, Dsn

    from otel_kpi import _compat

    _link()
    if sentry_sdk.get_client().is_active():
        _logger.info(
            "Sentry was initialised by the application: its options stay, its errors are linked to traces"
        )
        return None
    try:
        Dsn(dsn)
    except (BadDsn, ValueError) as error:
        _logger.warning("SENTRY_DSN is not used, errors are not sent to Sentry: %s; %s", error, _ACCEPTED)
        return None
    for name in _IGNORED_LOGGERS:
        ignore_logger(name)
    options["integrations"] = [
        DedupeIntegration(),
        ExcepthookIntegration(),
        LoggingIntegration(),
        *options.get("integrations", ()),
    ]
    # Ctrl-C is how a person ends a script, not an error of it.
    options.setdefault("ignore_errors", [KeyboardInterrupt])
    options["before_send"] = _sentry_events.scrubber(options.get("before_send"))
    options |= {
        "dsn": dsn,
        # None would make the SDK start git to find a release.
        "release": os.environ.get("SENTRY_RELEASE") or release or "",
        "environment": os.environ.get("SENTRY_ENVIRONMENT") or environment,
        "transport": _compat.sentry_transport(_sentry_events.count_lost, _report),
        # The whole list is above: the SDK's own imports every framework that is installed, waits at exit
        # beside our flush, sends the command line, and wraps every HTTP call and subprocess.
        "default_integrations": False,
        "auto_enabling_integrations": False,
        "event_scrubber": EventScrubber(recursive=True),
        "auto_session_tracking": False,
        "enable_backpressure_handling": False,
        "max_request_body_size": "never",
    }
    with _compat.sentry_without_django():
        sentry_sdk.init(**options)
    return sentry_sdk.get_client()


def _permitted(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that are refused, which one line names."""
    refused = [name for name in _REFUSED if options.get(name) is not None]
    refused += [name for name in _REFUSED_VARIABLES if os.environ.get(name)]
    if refused:
        _logger.warning(
            "Sentry gets errors only, %s is not used: OpenTelemetry's sampler decides about traces, and no personal "
            "data are collected",
            ", ".join(refused),
        )
    return {name: value for name, value in options.items() if name not in _REFUSED}


def _link() -> None:
    """Give every Sentry event of this process, from any client, the ids of its OpenTelemetry span."""
    global _linked
    if _linked:
        return
    from sentry_sdk.scope import add_global_event_processor, register_external_propagation_context

    from otel_kpi import _compat

    # What OTLPIntegration(setup_otlp_traces_exporter=False, setup_propagator=False) does, without the
    # exporter package that it imports. While it is registered the SDK adds no header to outgoing requests.
    register_external_propagation_context(_sentry_events.current_ids)
    add_global_event_processor(cast("Any", _sentry_events.link))
    _compat.on_record_exception(_sentry_events.stamp)
    _linked = True


def is_current() -> bool:
    """Whether errors go through the client that we made, and not through one of the application."""
    if _client is None:
        return False
    import sentry_sdk

    return sentry_sdk.get_client() is _client


def _remember_unsampled() -> None:
    """Keep the ids of an unsampled span with its request: such a span records, and so stamps, no exception."""
    try:
        fallback = _sentry_events.unsampled_fallback()
        if fallback is not None:
            import sentry_sdk

            sentry_sdk.get_isolation_scope().add_event_processor(cast("Any", fallback))
    except Exception:
        _logger.debug("A request was not remembered for its errors", exc_info=True)


def flush(timeout: float) -> None:
    """Wait at most `timeout` seconds until what was captured has been sent. Never raises, never prints."""
    sdk = sys.modules.get("sentry_sdk")
    if sdk is None or timeout <= 0:
        return
    try:
        sdk.get_client().flush(timeout=timeout)
    except Exception:
        _logger.debug("Sentry could not be flushed", exc_info=True)


def _report(failure: str | None) -> None:
    """Say in one line that Sentry stopped or started to take events."""
    global _failing
    if failure is not None and not _failing:
        _failing = True
        _logger.warning("Sentry does not take errors (%s): they are dropped and counted", failure)
    elif failure is None and _failing:
        _failing = False
        _logger.warning("Sentry takes errors again; %d were lost so far", sum(_sentry_events.lost.values()))


def lost_events() -> Mapping[str, int]:
    """How many events did not reach Sentry, by reason (`network_error`, `queue_overflow`, …)."""
    return dict(_sentry_events.lost)


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
    """Remember a step that is sent along with the next error of this request, at most 100 of them."""
    given = {"message": message, "category": category, "level": level, "type": type}
    crumb: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if data is not None:
        crumb["data"] = dict(data)
    _call("add_breadcrumb", crumb)


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


def _chain_thread_errors() -> None:
    """Capture the errors that end a thread.

    The SDK's own integration wraps `Thread.start`, imports Django, and sees the error after the span has gone.
    """
    previous = threading.excepthook

    def excepthook(args: threading.ExceptHookArgs) -> None:
        try:
            if args.exc_value is not None and not isinstance(args.exc_value, SystemExit) and is_current():
                _capture_thread_error(args.exc_value, args.thread)
        except Exception:
            _logger.debug("An error of a thread was not captured", exc_info=True)
        previous(args)

    threading.excepthook = excepthook


def _capture_thread_error(error: BaseException, thread: threading.Thread | None) -> None:
    import sentry_sdk
    from sentry_sdk.utils import event_from_exception

    from otel_kpi import _compat

    if not _sentry_events.is_stamped(error):
        _sentry_events.stamp(trace.get_current_span(_compat.thread_context(thread)), error)
    event, hint = event_from_exception(
        error, client_options=_client.options, mechanism={"type": "threading", "handled": False}
    )
    sentry_sdk.capture_event(event, hint=hint)


def _after_fork() -> None:
    """Give a forked child a queue, a thread and connections of its own.

    The parent sends what it had queued; sharing its connection would mix two requests into one.
    """
    if _client is None:
        return
    try:
        _sentry_events.lost.clear()
        make = cast("Callable[[Any], Any]", type(_client.transport))
        _client.transport = make(_client.options)
    except Exception:
        _logger.debug("Sentry's transport could not be renewed after a fork", exc_info=True)
