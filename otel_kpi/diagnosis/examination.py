"""Everything that the doctor looks at, of an environment or of the process that it is in."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from otel_kpi._parsing import URL
from otel_kpi.config import SIGNALS, PerSignal, declarations
from otel_kpi.diagnosis import versions
from otel_kpi.diagnosis.address import without_user
from otel_kpi.diagnosis.advice import findings_of
from otel_kpi.diagnosis.libraries import imported_early, known_libraries, loaded_libraries
from otel_kpi.diagnosis.report import Count, Finding, Report, SettingRow, Trip, worst_first
from otel_kpi.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.config import Settings
    from otel_kpi.declarative.translation import Declared
    from otel_kpi.parts import Parts
    from otel_kpi.process import Configured
    from otel_kpi.resolution import Resolved

TIMEOUT = 5.0
"""Seconds for each answer of a receiver."""


def examine_environment(environ: Mapping[str, str], *, send: bool = True, timeout: float = TIMEOUT) -> Report:
    """What a process that starts here and now would have; never raises.

    Args:
        environ: The environment.
        send: Whether to make a round trip.
        timeout: Seconds for each answer of a receiver.
    """
    from otel_kpi.declarative import resolve_process
    from otel_kpi.parts import parts_of

    resolved, declared = resolve_process(environ)
    off = resolved.settings.sdk_disabled
    parts = (
        None
        if off
        else declared.parts_for(resolved, environ, {})
        if declared
        else parts_of(resolved.settings)
    )
    findings = [*versions.distributions(environ)]
    libraries = known_libraries(frozenset(resolved.settings.disabled_instrumentations), findings)
    examined = Report("this environment", None, {}, tuple(findings), libraries=libraries)
    return _completed(examined, resolved, declared, parts, send=send, timeout=timeout)


def examine_process(*, send: bool = True, timeout: float = TIMEOUT) -> Report:
    """How this process is; never raises. Arguments as above."""
    from otel_kpi.process import configured

    state = configured()
    command = redact_text(" ".join(sys.orig_argv)[:500])
    subject = f"process {os.getpid()} ({command[:80]})"
    if state is None:
        report = examine_environment(os.environ, send=send, timeout=timeout)
        finding = Finding(
            "error",
            "telemetry is not configured in this process",
            "start it with `otel-kpi run <command>`, or call otel_kpi.configure()",
        )
        return replace(report, subject=subject, pid=os.getpid(), findings=(finding, *report.findings))
    findings = [*_foreign_providers(state), *imported_early(state.imported_before)]
    libraries = loaded_libraries(findings)
    report = Report(subject, os.getpid(), {}, tuple(findings), libraries=libraries, counts=_counts(state))
    report = replace(report, findings=(*report.findings, *_losses(report.counts)))
    return _completed(report, state.resolved, state.declared, state.parts, send=send, timeout=timeout)


def _completed(  # noqa: PLR0913 - what was resolved, and how far to go
    report: Report,
    resolved: Resolved,
    declared: Declared | None,
    parts: Parts | None,
    *,
    send: bool,
    timeout: float,
) -> Report:
    """Add what is the same for an environment and a process: settings, versions, round trips."""
    findings = [*report.findings, *_settings_findings(resolved, declared)]
    found = versions.installed()
    findings += versions.conflicts(found)
    trips: tuple[Trip, ...] = ()
    if send and parts is not None:
        from otel_kpi.diagnosis.roundtrip import round_trips, sentry_trip

        trips = round_trips(parts, secrets.token_hex(8), timeout)
        if resolved.settings.sentry_dsn:
            trips = (*trips, sentry_trip(resolved.settings.sentry_dsn, timeout))
        findings += findings_of(trips)
    return replace(
        report,
        versions={"python": ".".join(map(str, sys.version_info[:3])), **versions.versions(found)},
        findings=worst_first(findings),
        settings=_rows(resolved),
        trips=trips,
    )


# --- settings


def _settings_findings(resolved: Resolved, declared: Declared | None) -> list[Finding]:
    settings = resolved.settings
    if settings.sdk_disabled:
        origin = resolved.origins["sdk_disabled"]
        return [Finding("warning", f"everything is switched off ({origin})", "unset OTEL_SDK_DISABLED")]
    findings = [
        Finding("error", str(problem), "correct it; `otel-kpi settings` shows what is accepted")
        for problem in resolved.problems
    ]
    if declared is not None:
        severity = "error" if declared.broken else "warning"
        findings += [Finding(severity, line) for line in declared.lines]
    if all(set(settings.exporters.of(signal)) <= {"none"} for signal in SIGNALS) and not (
        declared is not None and declared.broken
    ):
        findings.append(Finding("warning", "nothing is exported: all exporters are `none`"))
    if settings.app_name is None and "service.name" not in dict(settings.resource_attributes):
        findings.append(
            Finding(
                "warning",
                "the service has no name: all it says is filed under `unknown_service`",
                "export OTEL_SERVICE_NAME=<name>",
            )
        )
    if resolved.origins["propagators"].name == "propagator is absent":
        findings.append(
            Finding(
                "warning",
                "the file names no propagator: traces end where a request leaves this service",
                'add to the file: propagator: {composite_list: "tracecontext,baggage"}',
            )
        )
    return [*findings, *_missing_extras(settings)]


def _missing_extras(settings: Settings) -> list[Finding]:
    from importlib.util import find_spec

    used = [
        signal
        for signal in SIGNALS
        if settings.protocol.of(signal) == "grpc" and "otlp" in settings.exporters.of(signal)
    ]
    try:
        absent = find_spec("opentelemetry.exporter.otlp.proto.grpc") is None or find_spec("grpc") is None
    except ImportError:
        absent = True  # the package above it is not there either
    if not used or not absent:
        return []
    return [
        Finding(
            "error",
            f"OTLP by gRPC is set for {', '.join(used)}, and what it needs is not installed",
            "pip install 'otel-kpi[otlp]', or export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        )
    ]


def _rows(resolved: Resolved) -> tuple[SettingRow, ...]:
    rows: list[SettingRow] = []
    for key, declaration in declarations():
        value = getattr(resolved.settings, key)
        each: dict[str, Any] = (
            {f"{key}.{signal}": value.of(signal) for signal in SIGNALS}
            if isinstance(value, PerSignal)
            else {key: value}
        )
        for name, one in each.items():
            shown = "…" if declaration.secret and one else _text(one)
            shown = without_user(shown) if declaration.parser is URL else shown
            rows.append(SettingRow(name, shown, str(resolved.origins[name])))
    return tuple(rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        items: tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType] - of names or pairs
        return ",".join("=".join(map(str, item)) if isinstance(item, tuple) else str(item) for item in items)
    return str(value)


# --- the process


def _foreign_providers(state: Configured) -> list[Finding]:
    if state.pipeline is None:
        return []
    from opentelemetry import metrics, trace
    from opentelemetry._logs import get_logger_provider

    providers = (
        ("spans", trace.get_tracer_provider(), state.pipeline.tracer_provider),
        ("metrics", metrics.get_meter_provider(), state.pipeline.meter_provider),
        ("log records", get_logger_provider(), state.pipeline.logger_provider),
    )
    return [
        Finding(
            "error",
            f"{what} go to a {type(found).__module__}.{type(found).__name__} that was set before otel-kpi",
            "let nothing else set up OpenTelemetry: remove its set-up code, or the other distribution",
        )
        for what, found, ours in providers
        if found is not ours
    ]


def _counts(state: Configured) -> tuple[Count, ...]:
    if state.pipeline is None:
        return ()
    return tuple(
        Count(
            channel.signal,
            channel.exporter.destination,
            channel.tally.sent,
            channel.waiting(),
            dict(channel.tally.lost),
        )
        for worker in state.pipeline.workers
        for channel in worker.channels
    )


def _losses(counts: tuple[Count, ...]) -> list[Finding]:
    return [
        Finding(
            "error",
            f"{sum(count.lost.values())} items of {count.signal} for {count.destination} were lost: "
            + ", ".join(f"{number} {reason}" for reason, number in count.lost.items()),
        )
        for count in counts
        if any(count.lost.values())
    ]
