"""What a pipeline is built of: the exporters of each signal, and components that settings have no words for.

Without a declarative file both follow from the settings; with one, each exporter has settings of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from otel_kpi.config import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

    from otel_kpi.config import Settings


@dataclass(frozen=True, slots=True)
class Outlet:
    """One exporter of one signal.

    Attributes:
        signal: `traces`, `metrics` or `logs`.
        name: `otlp`, or how the exporter is named to a person.
        settings: How it sends, and how much it keeps.
        make: Builds an exporter that is not ours, or a metric reader; None looks the name up.
    """

    signal: str
    name: str
    settings: Settings
    make: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a pipeline is built of, beside its settings.

    Attributes:
        outlets: The exporters.
        sampler: In place of the one that the settings name.
        id_generator: The same.
        detected: Gives resource attributes that rank below those of the settings.
        schema_url: Of the resource.
        views: Of metrics.
        configurators: Which scopes are on, by provider (`tracer`, `meter`, `logger`), as opentelemetry-sdk takes it.
    """

    outlets: tuple[Outlet, ...]
    sampler: Sampler | None = None
    id_generator: IdGenerator | None = None
    detected: Callable[[], Mapping[str, Any]] | None = None
    schema_url: str | None = None
    views: tuple[View, ...] = ()
    configurators: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, signal: str) -> tuple[Outlet, ...]:
        """The exporters of a signal."""
        return tuple(outlet for outlet in self.outlets if outlet.signal == signal)


def parts_of(settings: Settings) -> Parts:
    """The parts that follow from the settings alone."""
    return Parts(tuple(outlet for signal in SIGNALS for outlet in outlets_of(settings, signal)))


def outlets_of(settings: Settings, signal: str) -> tuple[Outlet, ...]:
    """The exporters that the settings name for a signal."""
    return tuple(Outlet(signal, name, settings) for name in settings.exporters.of(signal) if name != "none")
