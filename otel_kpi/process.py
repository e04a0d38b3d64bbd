"""The telemetry of this process: configured once, flushed, shut down.

`opentelemetry-instrument` comes here by way of `Configurator`, a program by way of `otel_kpi.configure()`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_kpi import record, redaction
from otel_kpi.declarative import resolve_process
from otel_kpi.plugins import drop_missing
from otel_kpi.resolution import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.config import Settings
    from otel_kpi.declarative.translation import Declared
    from otel_kpi.lifecycle import Drainable, Lifecycle
    from otel_kpi.parts import Parts
    from otel_kpi.pipeline import Pipeline
    from otel_kpi.resolution import Resolved
    from otel_kpi.sdk.content_store import ContentStore

_logger = logging.getLogger("otel_kpi")
DETECTORS = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"

REPORTS = "_OTEL_KPI_REPORTS"
"""Not a setting: the folder in which `otel-kpi doctor -- <command>` collects the reports of what it starts."""


class _Process:
    """What was configured in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.settings: Settings | None = None
        self.resolved: Resolved | None = None
        self.declared: Declared | None = None
        self.parts: Parts | None = None
        self.imported_before: frozenset[str] = frozenset()
        self.pipeline: Pipeline | None = None
        self.lifecycle: Lifecycle | None = None
        self.configured: list[Callable[[], None]] = []


_process = _Process()


class _SentryDrain:
    """Sentry's own sender, within the budget of the process."""

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        def end() -> bool:
            from otel_kpi import sentry

            sentry.flush(max(0.0, deadline - time.monotonic()), final=final)
            return True

        return end

    def waiting(self) -> int:
        return 0


def configure_process(**code: Any) -> None:
    """Build the pipeline and make it global, once; never raises.

    A second call changes who is speaking (`app_name`, `version`, `environment`, `resource_attributes`) for what
    is recorded from then on, and nothing else.

    Args:
        **code: Settings by keyword, as `otel_kpi.configure` takes them.
    """
    with _process.lock:
        try:
            if _process.settings is None:
                _configure(code)
            elif any(value is not None for value in code.values()):
                _reconfigure(code)
        except Exception:
            _logger.exception("telemetry could not be configured; the application is not affected")


def pairs_of(resource_attributes: Any) -> tuple[tuple[str, str], ...] | None:
    """What a program gave as resource attributes; None, and a line, when it cannot be read."""
    if resource_attributes is None:
        return None
    try:
        return tuple(resource_attributes.items())
    except Exception as error:
        _logger.warning(
            "resource_attributes is not used: a mapping, not %s (%s)",
            type(resource_attributes).__name__,
            type(error).__name__,
        )
        return None


def arm_instrumentation() -> None:
    """Arm our table of instrumentors, unless everything is off."""
    settings = _process.settings
    if settings is not None and is_enabled():
        from otel_kpi import instrumentation

        disabled = frozenset(settings.disabled_instrumentations)
        declared = _process.declared.instrumentors if _process.declared is not None else {}
        options = _instrumentor_options(settings)
        for name, given in declared.items():
            options[name] = {**options.get(name, {}), **given}
        instrumentation.install(disabled=disabled, options=options)
        _watch_others(disabled)
        others = {
            name: given for name, given in declared.items() if name not in instrumentation.owned_names()
        }
        if others:
            from otel_kpi.declarative.instrumentors import instrument_declared

            instrument_declared(others, disabled)


def _instrumentor_options(settings: Settings) -> dict[str, dict[str, Any]]:
    """What settings decide of instrumentors, by the name of their row."""
    return {
        "logging": {
            "correlation": settings.log_correlation,
            "text_format": settings.log_format,
            "root_level": settings.log_root_level,
            "lowest_level": settings.log_lowest_level,
            "exports": settings.log_records,
        },
        "sqlalchemy": {"driver_spans": settings.driver_spans},
        "structlog": {"correlation": settings.log_correlation, "exports": settings.log_records},
        "loguru": {"correlation": settings.log_correlation, "exports": settings.log_records},
        "websocket": {"spans": settings.websocket_spans, "first": settings.websocket_spans_first},
        "system_metrics": {"host": settings.host_metrics, "has_recorded": _has_recorded},
    }


def _has_recorded() -> bool:
    """Whether this process has anything to tell beside itself."""
    return _process.pipeline is None or _process.pipeline.has_recorded()


def _watch_others(disabled: frozenset[str]) -> None:
    """Have libraries named that nobody instruments; what goes wrong there is not worth the start of telemetry."""
    try:
        from otel_kpi.instrumentation.unseen import watch

        watch(disabled, _process.imported_before)
    except Exception:
        _logger.debug("libraries without an instrumentor are not named", exc_info=True)


def leaves_to_us(name: str) -> bool:
    """Whether an instrumentor that our table does not know is switched off here, or loaded as the file says."""
    settings, declared = _process.settings, _process.declared
    if settings is None or settings.sdk_disabled:
        return True
    disabled = settings.disabled_instrumentations
    return name in disabled or "*" in disabled or (declared is not None and name in declared.instrumentors)


@dataclass(frozen=True, slots=True)
class Configured:
    """What was configured in this process, for who examines it.

    Attributes:
        resolved: The settings.
        declared: What else the declarative file says.
        parts: What the pipeline was built of; None when everything is off.
        pipeline: The same.
        imported_before: Modules that were imported before.
    """

    resolved: Resolved
    declared: Declared | None
    parts: Parts | None
    pipeline: Pipeline | None
    imported_before: frozenset[str]


def configured() -> Configured | None:
    """What was configured in this process; None when nothing was."""
    if _process.resolved is None:
        return None
    return Configured(
        _process.resolved, _process.declared, _process.parts, _process.pipeline, _process.imported_before
    )


def when_configured(callback: Callable[[], None]) -> None:
    """Have `callback` called once there is a pipeline: now, or when it is made. It must not configure anything."""
    if _process.pipeline is not None:
        callback()
    else:
        _process.configured.append(callback)


def add_drainable(drainable: Drainable) -> None:
    """Have `drainable` asked at each flush and at the end of the process, after the pipeline."""
    if _process.lifecycle is not None:
        _process.lifecycle.add(drainable)


def is_enabled() -> bool:
    """Whether this process is configured and `OTEL_SDK_DISABLED` does not hold."""
    return _process.settings is not None and not _process.settings.sdk_disabled


def flush(timeout: float) -> bool:
    """Send what waits now; returns whether everything was sent in `timeout` seconds."""
    try:
        return _process.lifecycle.flush(timeout) if _process.lifecycle is not None else True
    except Exception:
        _logger.warning("flush failed; the application is not affected", exc_info=True)
        return False


def clear_metrics() -> None:
    """Forget every sum of this process; what was sent stays sent."""
    record.clear()
    try:
        if _process.pipeline is not None:
            _process.pipeline.clear_metrics()
    except Exception:
        _logger.warning("metrics were not cleared; the application is not affected", exc_info=True)


def shutdown() -> None:
    """Send what is left. What comes later is sent while the budget lasts, then dropped and counted."""
    if _process.lifecycle is not None:
        _process.lifecycle.end()


def _configure(code: dict[str, Any]) -> None:
    missing = drop_missing(os.environ)
    _process.imported_before = frozenset(sys.modules)
    resolved, declared = resolve_process(os.environ, code)
    settings = resolved.settings
    _process.settings, _process.resolved, _process.declared = settings, resolved, declared
    for line in (*missing, *resolved.problems, *(declared.lines if declared is not None else ())):
        _logger.warning("%s", line)
    for problem in resolved.problems:
        # OpenTelemetry's own modules read the environment when they are imported, and some raise.
        os.environ.pop(problem.variable, None)
    if settings.sdk_disabled:
        return
    store = _content_store(settings)
    for line in redaction.use(redaction.policy_of(settings, store)):
        _logger.warning("%s", line)
    if settings.log_level is not None:
        for name in ("opentelemetry", "otel_kpi"):
            logging.getLogger(name).setLevel(settings.log_level.upper())
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", ",".join(settings.semconv))
    if declared is not None:
        os.environ.update(declared.environ)
    record.use(
        compatibility=settings.compatibility_series,
        prefixes={"chat": settings.chat_prefix} if settings.chat_prefix else {},
    )
    os.environ.update(_read_by_packs(settings))
    _configure_pipeline(settings, declared.parts_for(resolved, os.environ, code) if declared else None)
    if settings.sentry_dsn is not None:
        _start_sentry(settings)
    if store is not None and _process.lifecycle is not None:
        _process.lifecycle.add(store)


def _content_store(settings: Settings) -> ContentStore | None:
    if settings.genai_content_store is None:
        return None
    if settings.genai_content in {"false", "no_content"}:
        _logger.warning(
            "OTEL_KPI_GENAI_CONTENT_STORE keeps nothing: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT lets no "
            "content leave"
        )
        return None
    from otel_kpi.sdk.content_store import ContentStore

    return ContentStore(settings.genai_content_store)


def _read_by_packs(settings: Settings) -> dict[str, str]:
    """What packs read of the environment: they are imported when they are used, which is later and never from here."""
    return {
        "OTEL_KPI_ETL_HEARTBEAT_INTERVAL": str(settings.etl_heartbeat_interval),
        # OpenTelemetry's instrumentors know no "true".
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": {
            "true": "SPAN_AND_EVENT",
            "false": "NO_CONTENT",
        }.get(settings.genai_content, settings.genai_content.upper()),
        "OTEL_KPI_GENAI_NAMES": settings.genai_names,
        "OTEL_KPI_GENAI_PROVIDERS": ",".join(f"{host}={name}" for host, name in settings.genai_providers),
        "OTEL_KPI_GENAI_NESTED": settings.genai_nested,
        "OTEL_KPI_GENAI_STREAM_USAGE": ",".join(settings.genai_stream_usage),
        "OTEL_KPI_GENAI_ABANDONED_AS_ERRORS": str(settings.genai_abandoned_as_errors).lower(),
        "OTEL_KPI_COST_ALIASES": ",".join(settings.cost_aliases),
        "OTEL_KPI_LLM_BUDGETS": settings.llm_budgets or "",
        "OTEL_KPI_LLM_USER": settings.llm_user,
        **({"OTEL_KPI_REDACT_HASH_KEY": settings.redact_hash_key} if settings.redact_hash_key else {}),
        "OTEL_KPI_PRICES_FILE": settings.prices_file or "",
        "OTEL_KPI_CURRENCY": settings.currency or "",
        "OTEL_KPI_CURRENCY_RATES": ",".join(settings.currency_rates),
    }


def _configure_pipeline(settings: Settings, parts: Parts | None) -> None:
    _import_log_records()
    from opentelemetry import metrics, trace
    from opentelemetry._logs import set_logger_provider

    from otel_kpi import _compat
    from otel_kpi.parts import parts_of
    from otel_kpi.pipeline import create_pipeline

    _compat.guard_attribute_values()
    _compat.detect_without_threads()
    parts = parts or parts_of(settings)
    pipeline = create_pipeline(settings, parts)
    _process.parts = parts
    metrics.set_meter_provider(pipeline.meter_provider)
    _compat.before_collection(pipeline.meter_provider, record.fold)
    record.use(sums=_compat.HistogramSums(pipeline.meter_provider, pipeline.guard.admit))
    if hasattr(trace.get_tracer_provider(), "add_span_processor"):
        _logger.warning("the TracerProvider of the application stays: its spans leave by its own processors")
    else:
        trace.set_tracer_provider(pipeline.tracer_provider)
    set_logger_provider(pipeline.logger_provider)
    _set_propagators(settings)
    _process.pipeline = pipeline
    _begin_lifecycle(settings, pipeline)
    if settings.script_span and trace.get_tracer_provider() is pipeline.tracer_provider:
        _begin_script(pipeline)


def _import_log_records() -> None:
    """Import a module of opentelemetry-sdk that runs resource detectors when it is imported, and waits for a hung one.

    Ours run once, and not for longer than they may.
    """
    from importlib import import_module

    given = os.environ.pop(DETECTORS, None)
    try:
        import_module("opentelemetry.sdk._logs")
    finally:
        if given is not None:
            os.environ[DETECTORS] = given


def _begin_script(pipeline: Pipeline) -> None:
    from otel_kpi.instrumentation.runtime import script
    from otel_kpi.sdk.tracers import RememberingTracerProvider

    if isinstance(pipeline.tracer_provider, RememberingTracerProvider) and _process.lifecycle is not None:
        _process.lifecycle.before_end(script.begin(pipeline.tracer_provider).end)


def _reconfigure(code: dict[str, Any]) -> None:
    if _process.pipeline is None:
        return
    from otel_kpi.resource import identity_resource

    # What the file says of the process still holds; it is not read again.
    resolved = resolve(os.environ, code, _process.declared.written if _process.declared is not None else None)
    for problem in resolved.problems:
        _logger.warning("%s", problem)
    _process.pipeline.merge_resource(identity_resource(resolved.settings))


def _set_propagators(settings: Settings) -> None:
    """Upstream binds `OTEL_PROPAGATORS` when its module is imported, which may be before a program sets it."""
    from importlib.metadata import entry_points

    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.propagate import set_global_textmap
    from opentelemetry.propagators.composite import CompositePropagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    known: dict[str, Any] = {"tracecontext": TraceContextTextMapPropagator, "baggage": W3CBaggagePropagator}
    propagators: list[Any] = []
    for name in settings.propagators:
        if name == "none":
            continue
        try:
            kind = known.get(name)
            if kind is None:
                kind = next(iter(entry_points(group="opentelemetry_propagator", name=name))).load()
            propagators.append(kind())
        except Exception as error:
            _logger.warning("OTEL_PROPAGATORS: %r is not used: %s", name, error)
    set_global_textmap(CompositePropagator(propagators))


def _begin_lifecycle(settings: Settings, pipeline: Pipeline) -> None:
    from otel_kpi import endings
    from otel_kpi.lifecycle import Lifecycle

    lifecycle = Lifecycle(settings.exit_budget / 1000.0, pipeline)
    lifecycle.before_end(endings.tell)
    lifecycle.add(pipeline)
    lifecycle.install()
    look = _who_asks(lifecycle)
    for worker in pipeline.workers[:1]:
        worker.look = look
    pipeline.start()
    _process.lifecycle = lifecycle
    for callback in _process.configured:
        callback()


def _who_asks(lifecycle: Lifecycle) -> Callable[[], None] | None:
    """Have `otel-kpi doctor` find this process; see `otel_kpi.diagnosis.live`."""
    from otel_kpi.instance import private_folder

    if REPORTS in os.environ:
        from otel_kpi.diagnosis.live import LastReport

        lifecycle.add(LastReport(os.environ[REPORTS]))
    try:
        folder = private_folder()
    except OSError:
        return None  # somebody else's, or none: nobody can ask there
    asked: dict[int, str] = {}

    def look() -> None:
        pid = os.getpid()
        path = asked.get(pid)
        if path is None:
            asked.clear()
            path = asked[pid] = f"{folder}/{pid}.ask"
        if os.path.exists(path):  # noqa: PTH110 - once a second, and pathlib costs
            from otel_kpi.diagnosis.live import answer

            answer(path)

    return look


def _start_sentry(settings: Settings) -> None:
    from opentelemetry import trace

    from otel_kpi import sentry

    attributes = getattr(getattr(trace.get_tracer_provider(), "resource", None), "attributes", {})
    version = attributes.get("service.version")
    sentry.start(
        dsn=settings.sentry_dsn or "",
        release=f"{attributes.get('service.name')}@{version}" if version else None,
        environment=str(attributes.get("deployment.environment.name") or settings.environment or "") or None,
        choices=sentry.Choices(
            user=settings.sentry_user,
            log_level=settings.sentry_log_level,
            fingerprints=settings.sentry_fingerprints,
            profiling=settings.sentry_profiling,
            tunnel=settings.sentry_tunnel,
            trace_url=settings.trace_url,
            scrub_application=settings.sentry_scrub_application,
        ),
        sample_rate=settings.sentry_sample_rate,
    )
    if _process.lifecycle is not None:
        _process.lifecycle.add(_SentryDrain())
