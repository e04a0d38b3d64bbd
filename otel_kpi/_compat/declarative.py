"""Private parts of opentelemetry-configuration: what builds one component out of its element of the file.

Public is only what builds whole providers, with upstream's own processors, and that would leave no place for ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler


def declared_exporter(signal: str, model: Any) -> Any:
    """Build an exporter of `traces`, `metrics` or `logs`, upstream's or a plug-in's.

    Raises:
        ConfigurationError: It is not installed, or does not take what the file says.
    """
    if signal == "traces":
        from opentelemetry.configuration._tracer_provider import _create_span_exporter

        return _create_span_exporter(model)
    if signal == "metrics":
        from opentelemetry.configuration._meter_provider import _create_push_metric_exporter

        return _create_push_metric_exporter(model)
    from opentelemetry.configuration._logger_provider import _create_log_record_exporter

    return _create_log_record_exporter(model)


def declared_pull_reader(model: Any) -> Any:
    """Build a metric reader that waits to be asked, as Prometheus' does; it listens from now on.

    Raises:
        ConfigurationError: It is not installed.
    """
    from opentelemetry.configuration._meter_provider import _create_pull_metric_exporter

    return _create_pull_metric_exporter(model)


def declared_sampler(model: Any) -> Sampler:
    """Build a sampler of any of the file's kinds.

    Raises:
        ConfigurationError: It is not installed, or upstream has none of that kind.
    """
    from opentelemetry.configuration._tracer_provider import _create_sampler

    return _create_sampler(model)


def declared_id_generator(model: Any) -> IdGenerator:
    """Build an id generator.

    Raises:
        ConfigurationError: It is not installed.
    """
    from opentelemetry.configuration._tracer_provider import _create_id_generator

    return _create_id_generator(model)


def declared_view(model: Any) -> View:
    """Build a view of metrics.

    Raises:
        ConfigurationError: Upstream has none of that kind.
    """
    from opentelemetry.configuration._meter_provider import _create_view

    return _create_view(model)


def declared_configurator(kind: str, model: Any) -> Any:
    """Build what switches the scopes of a `tracer`, `meter` or `logger` provider on and off."""
    if kind == "tracer":
        from opentelemetry.configuration._tracer_provider import _create_tracer_configurator

        return _create_tracer_configurator(model)
    if kind == "meter":
        from opentelemetry.configuration._meter_provider import _create_meter_configurator

        return _create_meter_configurator(model)
    from opentelemetry.configuration._logger_provider import _create_logger_configurator

    return _create_logger_configurator(model)


def detected_attributes(model: Any) -> dict[str, Any]:
    """Run one entry of the file's resource detectors.

    Raises:
        ConfigurationError: It is not installed.
        Exception: Whatever the detector raises.
    """
    from opentelemetry.configuration._resource import _run_detectors

    found: dict[str, Any] = {}
    _run_detectors(model, found)
    return found


def configured_scopes(kind: str, configurator: Any) -> dict[str, Any]:
    """Give the argument by which a provider takes a configurator; opentelemetry-sdk has no public one."""
    return {f"_{kind}_configurator": configurator}
