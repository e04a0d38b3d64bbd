"""The one client that we make, and what is done for those that the application makes."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace

from otel_kpi import _compat
from otel_kpi.sentry import links, scrubbing
from otel_kpi.sentry.breadcrumbs import KEPT, SpanBreadcrumbs, written
from otel_kpi.sentry.delivery import Gate, count_lost, lost
from otel_kpi.sentry.options import (
    IGNORED_LOGGERS,
    LOG_LEVELS,
    VALUE_LENGTH,
    Choices,
    permitted,
    warn_of_tracing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.sentry.links import Event

_logger = logging.getLogger("otel_kpi.sentry")

_ACCEPTED = "accepted is https://<public key>@<host>/<project number>"


class Clients:
    """The state of Sentry in this process.

    Attributes:
        own: The client that we made, if any.
        gate: What decides about its envelopes.
    """

    def __init__(self, choices: Choices) -> None:
        self.own: Any = None
        self.gate = Gate(
            frozenset() if choices.profiling == "off" else frozenset({"profile_chunk"}),
            self._refuse_item,
            links.note_event_id,
        )
        self.linker = links.Linker(choices.trace_url, self._holds, self._write_crumb)
        self._choices = choices
        self._making = False
        self._failing = False
        self._refused_items: set[str] = set()
        self._said_tracing = False
        self._replaced = False
        self._before_breadcrumb: Any = None
        self._most_crumbs = KEPT

    def watch(self) -> None:
        """Give every event of this process, from any client, the ids of its span, and clean those of others."""
        import sentry_sdk
        from sentry_sdk.scope import add_global_event_processor, register_external_propagation_context
        from sentry_sdk.serializer import add_global_repr_processor

        # What OTLPIntegration(setup_otlp_traces_exporter=False, setup_propagator=False) does, without the
        # exporter package that it imports. While it is registered the SDK adds no header to outgoing requests.
        register_external_propagation_context(links.current_ids)
        add_global_event_processor(cast("Any", self._link))
        add_global_repr_processor(cast("Any", _with_names))
        _compat.on_record_exception(links.stamp)
        _compat.sentry_clients(self._initialised, self._prepared, self._collected)
        if sentry_sdk.get_client().is_active():
            self._initialised(sentry_sdk.get_client())

    def make(self, dsn: str, release: str | None, environment: str | None, options: dict[str, Any]) -> bool:
        """Make our client; answers whether there is one now. Raises what the SDK raises."""
        import sentry_sdk
        from sentry_sdk.integrations.logging import ignore_logger
        from sentry_sdk.utils import BadDsn, Dsn

        if sentry_sdk.get_client().is_active():
            _logger.info(
                "Sentry was initialised by the application: its options stay, its errors are linked to traces"
            )
            return False
        try:
            Dsn(dsn)
        except (BadDsn, ValueError) as error:
            _logger.warning("SENTRY_DSN is not used, errors are not sent to Sentry: %s; %s", error, _ACCEPTED)
            return False
        for name in IGNORED_LOGGERS:
            ignore_logger(name)
        given = permitted(options, os.environ)
        self._before_breadcrumb = given.get("before_breadcrumb")
        self._most_crumbs = int(given.get("max_breadcrumbs", KEPT))
        self._making = True
        try:
            with _compat.sentry_without_django():
                sentry_sdk.init(**{**given, **self._options(dsn, release, environment, given)})
        finally:
            self._making = False
        self.own = sentry_sdk.get_client()
        return True

    def current(self) -> Any:
        """Our client while errors go through it, and None while they go through one of the application."""
        if self.own is None:
            return None
        import sentry_sdk

        return self.own if sentry_sdk.get_client() is self.own else None

    def after_fork(self) -> None:
        """Give a forked child a queue, a thread and connections of its own.

        The parent sends what it had queued; sharing its connection would mix two requests into one.
        """
        lost.clear()
        self.gate.after_fork()
        make = cast("Callable[[Any], Any]", type(self.own.transport))
        self.own.transport = make(self.own.options)

    def _options(
        self, dsn: str, release: str | None, environment: str | None, given: dict[str, Any]
    ) -> dict[str, Any]:
        from sentry_sdk.integrations.dedupe import DedupeIntegration
        from sentry_sdk.integrations.excepthook import ExcepthookIntegration
        from sentry_sdk.integrations.logging import LoggingIntegration
        from sentry_sdk.scrubber import EventScrubber

        choices = self._choices
        user = scrubbing.known_user(choices.user)
        profiling = {} if choices.profiling == "off" else _PROFILING
        return {
            "dsn": dsn,
            # None would make the SDK start git to find a release.
            "release": os.environ.get("SENTRY_RELEASE") or release or "",
            "environment": os.environ.get("SENTRY_ENVIRONMENT") or environment,
            "transport": _compat.sentry_transport(count_lost, self._report, self.gate, choices.tunnel),
            # The whole list is here: the SDK's own imports every framework that is installed, waits at exit
            # beside our flush, sends the command line, and wraps every HTTP call and subprocess.
            "default_integrations": False,
            "auto_enabling_integrations": False,
            "integrations": [
                DedupeIntegration(),
                ExcepthookIntegration(),
                LoggingIntegration(event_level=LOG_LEVELS[choices.log_level]),
                *given.get("integrations", ()),
            ],
            "before_send": _last_step(given.get("before_send"), user, fingerprints=choices.fingerprints),
            "before_breadcrumb": _marking(given.get("before_breadcrumb")),
            # Ctrl-C is how a person ends a script, not an error of it.
            "ignore_errors": given.get("ignore_errors", [KeyboardInterrupt]),
            "max_breadcrumbs": self._most_crumbs,
            "max_value_length": given.get("max_value_length", VALUE_LENGTH),
            # A `before_send` of the application sees what it would see without us; what leaves is decided behind it.
            "event_scrubber": EventScrubber(),
            "auto_session_tracking": False,
            "enable_backpressure_handling": False,
            "max_request_body_size": "never",
            **profiling,
        }

    def _link(self, event: Event, hint: Any) -> Event | None:
        return self.linker.link(event, hint)

    def _holds(self) -> bool:
        return self.current() is not None

    def _initialised(self, client: Any) -> None:
        if self._making or not client.options.get("dsn"):
            return
        # Its own integrations leave breadcrumbs of calls and statements.
        self._replaced = True
        if not self._said_tracing:
            self._said_tracing = warn_of_tracing(client.options)

    def _prepared(self, client: Any, event: Event) -> Event | None:
        if client is self.own or not self._choices.scrub_application:
            return event
        try:
            return scrubbing.redact(event)
        except Exception:
            # What could not be looked through does not leave.
            count_lost("scrubber_error", 1)
            return None

    def _collected(self, item: Any) -> Any:
        return scrubbing.redact_item(item) if self._choices.scrub_application else item

    def _refuse_item(self, kind: str) -> None:
        if kind not in self._refused_items:
            self._refused_items.add(kind)
            _logger.warning("Sentry gets errors only: items of type %r are not sent to it", kind)

    def _report(self, failure: str | None) -> None:
        """Say in one line that Sentry stopped or started to take events."""
        if failure is not None and not self._failing:
            self._failing = True
            _logger.warning("Sentry does not take errors (%s): they are dropped and counted", failure)
        elif failure is None and self._failing:
            self._failing = False
            _logger.warning("Sentry takes errors again; %d were lost so far", sum(lost.values()))

    def remember_unsampled(self) -> None:
        """Keep the ids of an unsampled span with its request: such a span records, and so stamps, no exception."""
        try:
            fallback = self.linker.unsampled_fallback()
            if fallback is not None:
                import sentry_sdk

                sentry_sdk.get_isolation_scope().add_event_processor(cast("Any", fallback))
        except Exception:
            _logger.debug("A request was not remembered for its errors", exc_info=True)

    def leave_breadcrumbs(self) -> None:
        """Have ended client spans leave breadcrumbs; without a TracerProvider of the SDK there are none."""
        provider: Any = trace.get_tracer_provider()
        if hasattr(provider, "add_span_processor"):
            provider.add_span_processor(SpanBreadcrumbs(self._add_breadcrumb))

    def _add_breadcrumb(self, crumb: Event) -> None:
        if not self._replaced:
            _compat.add_sentry_breadcrumb(crumb, self._most_crumbs)

    def _write_crumb(self, crumb: Event) -> Event | None:
        """A breadcrumb as it is sent; that of a span passes the application's own `before_breadcrumb` now."""
        try:
            whole = written(crumb)
            if whole is crumb or self._before_breadcrumb is None:
                return whole
            return self._before_breadcrumb(whole, {})
        except Exception:
            return None


# `profile_lifecycle="trace"` waits for transactions, of which there are none.
_PROFILING = {"profile_session_sample_rate": 1.0, "profile_lifecycle": "manual"}


def _with_names(value: Any, _: Any) -> Any:
    """A named tuple as it prints itself: as a list it would lose the names that say what is secret."""
    if isinstance(value, tuple) and hasattr(type(cast("Any", value)), "_fields"):
        from sentry_sdk.utils import safe_repr

        return safe_repr(value)[:VALUE_LENGTH]
    return NotImplemented


def _last_step(
    before: scrubbing.BeforeSend | None, user: Callable[[Any], Any], *, fingerprints: bool
) -> scrubbing.BeforeSend:
    """The application's `before_send`, then the fingerprint of what it left, then the scrubber."""
    if not fingerprints:
        return scrubbing.scrubber(before, user)
    from otel_kpi.sentry.grouping import fingerprint

    def with_fingerprint(event: Event, hint: dict[str, Any]) -> Event | None:
        kept = event if before is None else before(event, hint)
        if kept is None or kept.get("fingerprint") or kept.get("type") not in (None, "error"):
            return kept
        found = fingerprint(kept)
        return kept if found is None else {**kept, "fingerprint": found}

    return scrubbing.scrubber(with_fingerprint, user)


def _marking(before: Callable[[Event, Event], Event | None] | None) -> Callable[[Event, Event], Event | None]:
    def before_breadcrumb(crumb: Event, hint: Event) -> Event | None:
        kept = crumb if before is None else before(crumb, hint)
        return None if kept is None else links.mark_crumb(kept)

    return before_breadcrumb
