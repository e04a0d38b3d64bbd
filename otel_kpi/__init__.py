"""otel-kpi: an OpenTelemetry distribution for systems that serve, move data and call language models.

Put `opentelemetry-instrument` or `otel-kpi run` in front of a process, or call `configure()` in code.
Both do the same: traces, metrics and logs leave by OTLP, errors go to Sentry when a DSN is set.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from otel_kpi._version import __version__
from otel_kpi.sentry import add_breadcrumb, capture_exception, capture_message, set_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi import health
    from otel_kpi.diagnosis import Report
    from otel_kpi.packs import analytics, chat, coaching, etl, llm, rag, runtime, security, websocket
    from otel_kpi.packs.analytics.engine import AnalyticsInstrumentation
    from otel_kpi.packs.code import timed
    from otel_kpi.packs.etl.processor import ETLInstrumentation
    from otel_kpi.packs.websocket.server import WebSocketInstrumentation

__all__ = [
    "AnalyticsInstrumentation",
    "ETLInstrumentation",
    "WebSocketInstrumentation",
    "__version__",
    "add_breadcrumb",
    "analytics",
    "capture_exception",
    "capture_message",
    "chat",
    "clear_metrics",
    "coaching",
    "configure",
    "configure_metrics",
    "doctor",
    "etl",
    "flush",
    "get_instrumentation_health",
    "health",
    "llm",
    "rag",
    "runtime",
    "security",
    "set_user",
    "shutdown",
    "timed",
    "websocket",
]

_PACKS = frozenset({"analytics", "chat", "coaching", "etl", "llm", "rag", "runtime", "security", "websocket"})
_LAZY = {
    "AnalyticsInstrumentation": "otel_kpi.packs.analytics.engine",
    "ETLInstrumentation": "otel_kpi.packs.etl.processor",
    "WebSocketInstrumentation": "otel_kpi.packs.websocket.server",
    "timed": "otel_kpi.packs.code",
}
"""Names that are imported when they are first used: a process pays for the packs that it has."""


def __getattr__(name: str) -> Any:
    if name in _PACKS:
        return importlib.import_module(f"otel_kpi.packs.{name}")
    if name == "health":
        return importlib.import_module("otel_kpi.health")
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module), name)


def configure(
    app_name: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    *,
    resource_attributes: Mapping[str, str] | None = None,
    **settings: Any,
) -> None:
    """Configure telemetry for this process: what `opentelemetry-instrument` does, in code.

    Call it once, as early as possible: libraries imported before are instrumented too, but objects that they
    made before (a FastAPI application, for one) may not be. A further call, in a notebook or after
    `opentelemetry-instrument`, changes the three names and the resource attributes and nothing else.

    Args:
        app_name: `service.name`, the label `app` of every series.
        version: `service.version`, the label `version`.
        environment: `deployment.environment.name`, the label `environment`, for example `"production"`.
        resource_attributes: Further resource attributes.
        **settings: Any other setting by its keyword, see docs/settings.md; wins over the environment.

    Never raises. A setting that is unknown or malformed is one line in the log, and its default is used.
    """
    from otel_kpi.process import arm_instrumentation, configure_process, pairs_of

    pairs = pairs_of(resource_attributes)
    configure_process(
        app_name=app_name, version=version, environment=environment, resource_attributes=pairs, **settings
    )
    arm_instrumentation()

    # Not before: what it imports reads settings that were put right just now.
    from otel_kpi.distro import load_installed

    load_installed()


def configure_metrics(
    *, app_name: str | None = None, version: str | None = None, environment: str | None = None
) -> None:
    """Configure telemetry in the words of the KPI system: `configure()` with the three names and no more.

    Args:
        app_name: The label `app` of every series.
        version: The label `version`.
        environment: The label `environment`, for example `"production"`.

    Never raises.
    """
    configure(app_name, version, environment)


def get_instrumentation_health() -> dict[str, Any]:
    """How telemetry itself is doing, for a health page: what the packs recorded, what was lost, what waits.

    Returns:
        What `json.dumps` takes: `status` (`healthy`, `degraded` when something was lost, `unconfigured`), `packs`,
        `series`, `dropped_values`, `overflowed_values`, `exporters`. Never raises, takes no time to speak of, and
        measures nothing; `doctor()` asks the receivers.
    """
    from otel_kpi.diagnosis.recording import instrumentation_health

    return instrumentation_health()


def doctor(*, send: bool = True, timeout: float = 5.0) -> Report:
    """Say what is wrong with the telemetry of this process; prints nothing, `print(otel_kpi.doctor())` does.

    Args:
        send: Whether to send a marked span, metric and log record and wait for the answers.
        timeout: Seconds for each answer.

    Returns:
        The report: `healthy`, `findings`, and what was looked at. Never raises.
    """
    from otel_kpi.diagnosis import examine_process

    return examine_process(send=send, timeout=timeout)


def flush(timeout: float = 2.0) -> bool:
    """Send what was recorded so far.

    Args:
        timeout: Seconds to wait at most.

    Returns:
        Whether everything was sent in time. Never raises.
    """
    from otel_kpi.process import flush as flush_process

    return flush_process(timeout)


def clear_metrics() -> None:
    """Begin with empty metrics, for tests: no sums, no series, unused budgets. Never raises."""
    from otel_kpi.process import clear_metrics as clear_metrics_of_process

    clear_metrics_of_process()


def shutdown() -> None:
    """Send what is left, before the process ends on its own; what comes later is dropped once the budget is over.

    Never raises; needs no call at exit.
    """
    from otel_kpi.process import shutdown as shutdown_process

    shutdown_process()
