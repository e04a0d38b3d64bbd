"""The only package that touches another library's private parts.

Each function names what it touches and why nothing public does the same. `tests/unit/test_compat.py` calls
every one of them on the installed versions, so that a change over there is seen here first.
"""

from __future__ import annotations

from otel_kpi._compat.instrumentors import (
    database_schema_url,
    has_upstream_span,
    instrumentation_enabled,
    known_method,
    match_route,
    matchable_routes,
    original_route,
    sqlalchemy_name_and_attributes,
    sqlalchemy_names,
    suppressed,
    suppressed_context,
    unwrap_aiosqlite_calls,
    wrap_aiosqlite_calls,
)
from otel_kpi._compat.logs import (
    restore_default_log_format,
    set_default_log_format,
    unwrap_loguru_sinks,
    unwrap_structlog_renderer,
    wrap_loguru_sinks,
    wrap_structlog_renderer,
)
from otel_kpi._compat.opentelemetry_sdk import (
    attributes_of_views,
    empty_metric_state,
    empty_metric_states,
    forget_exit_handler,
    guard_attribute_values,
    guard_measurements,
    holds_metric_lock,
    id_generator_by_name,
    sampler_by_name,
    span_parts,
    update_resource,
)
from otel_kpi._compat.runtime import (
    abandon_pools,
    after_import,
    before_exec,
    import_ended,
    is_dependency_conflict,
    is_importing,
    remember_keyboard_interrupt,
)
from otel_kpi._compat.sentry import (
    load_without,
    on_record_exception,
    sentry_frameworks,
    sentry_transport,
    sentry_without_django,
    thread_context,
)

__all__ = [
    "abandon_pools",
    "after_import",
    "attributes_of_views",
    "before_exec",
    "database_schema_url",
    "empty_metric_state",
    "empty_metric_states",
    "forget_exit_handler",
    "guard_attribute_values",
    "guard_measurements",
    "has_upstream_span",
    "holds_metric_lock",
    "id_generator_by_name",
    "import_ended",
    "instrumentation_enabled",
    "is_dependency_conflict",
    "is_importing",
    "known_method",
    "load_without",
    "match_route",
    "matchable_routes",
    "on_record_exception",
    "original_route",
    "remember_keyboard_interrupt",
    "restore_default_log_format",
    "sampler_by_name",
    "sentry_frameworks",
    "sentry_transport",
    "sentry_without_django",
    "set_default_log_format",
    "span_parts",
    "sqlalchemy_name_and_attributes",
    "sqlalchemy_names",
    "suppressed",
    "suppressed_context",
    "thread_context",
    "unwrap_aiosqlite_calls",
    "unwrap_loguru_sinks",
    "unwrap_structlog_renderer",
    "update_resource",
    "wrap_aiosqlite_calls",
    "wrap_loguru_sinks",
    "wrap_structlog_renderer",
]
