"""Errors that end a thread.

The SDK's own integration wraps `Thread.start`, imports Django, and sees the error after the span has gone.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from otel_kpi.sentry import links

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("otel_kpi.sentry")


def chain_thread_errors(client: Callable[[], Any]) -> None:
    """Capture the errors that end a thread, before what the application does with them.

    Args:
        client: Gives the client that we made while it is the current one, else None.
    """
    previous = threading.excepthook

    def excepthook(args: threading.ExceptHookArgs) -> None:
        try:
            if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
                current = client()
                if current is not None:
                    _capture(current, args.exc_value, args.thread)
        except Exception:
            _logger.debug("An error of a thread was not captured", exc_info=True)
        previous(args)

    threading.excepthook = excepthook


def _capture(client: Any, error: BaseException, thread: threading.Thread | None) -> None:
    import sentry_sdk
    from sentry_sdk.utils import event_from_exception

    from otel_kpi import _compat

    if not links.is_stamped(error):
        links.stamp(trace.get_current_span(_compat.thread_context(thread)), error)
    event, hint = event_from_exception(
        error, client_options=client.options, mechanism={"type": "threading", "handled": False}
    )
    sentry_sdk.capture_event(event, hint=hint)
