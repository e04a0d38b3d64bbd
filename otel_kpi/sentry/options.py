"""The options of our client: what a process decides, what is set for it, what is refused and why."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_logger = logging.getLogger("otel_kpi.sentry")

# OpenTelemetry's sampler alone decides about traces, its instrumentors alone propagate them, and logs leave by
# OTLP. The last line would switch the SDK's own scrubbing off or widen what it collects.
_REFUSED = (
    "traces_sample_rate", "traces_sampler", "enable_tracing", "trace_lifecycle", "instrumenter",
    "profiles_sample_rate", "profiles_sampler", "profile_session_sample_rate", "profile_lifecycle",
    "enable_logs", "auto_session_tracking",
    "send_default_pii", "data_collection", "max_request_body_size", "event_scrubber",
)  # fmt: skip
_REFUSED_VARIABLES = ("SENTRY_TRACES_SAMPLE_RATE", "SENTRY_PROFILES_SAMPLE_RATE")

# Those of a client that the application made, with which a trace is sent to Sentry once more.
_TRACING = ("traces_sample_rate", "traces_sampler", "enable_tracing")

# Our own lines about Sentry would go to Sentry, and a Collector that is down would become an issue per export.
# Django logs an answered 400 (SuspiciousOperation) as an error.
IGNORED_LOGGERS = ("otel_kpi", "otel_kpi.*", "opentelemetry", "opentelemetry.*", "django.security.*")

LOG_LEVELS: Mapping[str, int | None] = {
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": None,
}

VALUE_LENGTH = 8192
"""Characters of one text in an event. The SDK knows no limit, and each character is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a process decides about its errors; the settings `OTEL_KPI_SENTRY_…` and `OTEL_KPI_TRACE_URL`.

    Attributes:
        user: `hash`, `id` or `none`: what is sent of who was using the application.
        log_level: Least level of a log record that is an event: `warning`, `error`, `critical` or `none`.
        fingerprints: Whether errors that differ in ids, numbers and addresses only are one issue.
        profiling: `off`, `manual` or `continuous`.
        tunnel: Where envelopes are sent instead of the host of the DSN.
        trace_url: Where a person finds a trace, with `{trace_id}` in it.
        scrub_application: Whether secrets are taken out of events of a client that the application made.
    """

    user: str = "hash"
    log_level: str = "error"
    fingerprints: bool = True
    profiling: str = "off"
    tunnel: str | None = None
    trace_url: str | None = None
    scrub_application: bool = True


def permitted(options: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The options without those that are refused, which one line names."""
    refused = [name for name in _REFUSED if options.get(name) is not None]
    refused += [name for name in _REFUSED_VARIABLES if environ.get(name)]
    if refused:
        _logger.warning(
            "Sentry gets errors only, %s is not used: OpenTelemetry's sampler decides about traces, and no personal "
            "data are collected",
            ", ".join(refused),
        )
    return {name: value for name, value in options.items() if name not in _REFUSED}


def warn_of_tracing(options: Mapping[str, Any]) -> bool:
    """One line when a client that the application made records traces of its own; answers whether it does."""
    asked = [name for name in _TRACING if options.get(name) not in (None, False)]
    if asked:
        _logger.warning(
            "sentry_sdk.init(%s=…) of the application stays: Sentry's transactions are a second set of traces beside "
            "OpenTelemetry's, sampled apart from them and with other ids; leave it out to have one",
            ", ".join(asked),
        )
    return bool(asked)
