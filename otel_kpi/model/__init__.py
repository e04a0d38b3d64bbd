"""What is measured, said in data: instruments, spans and events of a domain, with their names, units and limits.

A leaf: it imports nothing of the distribution and nothing of OpenTelemetry. From these declarations come the
handles of `otel_kpi.record`, the reference pages, the registry of conventions and the catalogue.
"""

from otel_kpi.model.attribute import Attribute
from otel_kpi.model.derivation import Derivation
from otel_kpi.model.instrument import Counter, Gauge, Histogram, Instrument, UpDownCounter
from otel_kpi.model.pack import Pack, Renamed
from otel_kpi.model.prometheus import label_name, series_name
from otel_kpi.model.span import Event, Span

__all__ = [
    "Attribute",
    "Counter",
    "Derivation",
    "Event",
    "Gauge",
    "Histogram",
    "Instrument",
    "Pack",
    "Renamed",
    "Span",
    "UpDownCounter",
    "label_name",
    "series_name",
]
