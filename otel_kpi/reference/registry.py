"""The declarations as a registry of OpenTelemetry's conventions, for Weaver and whoever reads its format.

The format is `definition/2`:
https://github.com/open-telemetry/weaver/blob/main/schemas/semconv-syntax.v2.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_kpi.model import Attribute, Event, Instrument, Pack, Span

SCHEMA_URL = "https://otel-kpi.invalid/schemas/kpi"
"""Stands for an address until the registry is published, as the format asks."""
SEMCONV_URL = "https://opentelemetry.io/schemas/1.44.0"


def manifest(version: str) -> dict[str, Any]:
    """The registry's `manifest.yaml`."""
    return {
        "schema_url": f"{SCHEMA_URL}/{version}",
        "description": "What otel-kpi measures: ETL, analytics, WebSocket, security, chat, runtime.",
        "stability": "development",
        "dependencies": [{"schema_url": SEMCONV_URL}],
    }


def definitions(pack: Pack, elsewhere: frozenset[str]) -> dict[str, Any]:
    """One file of the registry.

    Args:
        pack: What it defines.
        elsewhere: Names of attributes that a file before this one defines.
    """
    attributes = {
        each.name: each
        for each in _attributes(pack)
        if not is_convention(each) and each.name not in elsewhere
    }
    content: dict[str, Any] = {
        "file_format": "definition/2",
        "attributes": [_attribute(each) for _, each in sorted(attributes.items())],
        "metrics": [_metric(each) for each in pack.instruments if not each.name.startswith("{")],
        "spans": [_span(each) for each in pack.spans],
        "events": [_event(each) for each in pack.events],
    }
    return {key: value for key, value in content.items() if value}


def defined(packs: Iterable[Pack]) -> frozenset[str]:
    """Names of the attributes that these packs define."""
    return frozenset(each.name for pack in packs for each in _attributes(pack) if not is_convention(each))


def is_convention(attribute: Attribute) -> bool:
    """Whether OpenTelemetry's own registry defines it."""
    return attribute.source.startswith("OpenTelemetry")


def _attributes(pack: Pack) -> list[Attribute]:
    holders: tuple[Instrument | Span | Event, ...] = (*pack.instruments, *pack.spans, *pack.events)
    return [each for holder in holders for each in holder.attributes]


def _attribute(attribute: Attribute) -> dict[str, Any]:
    content: dict[str, Any] = {"key": attribute.name, "stability": "development"}
    if attribute.members and not attribute.budget:
        content["type"] = {
            "members": [
                {
                    "id": each.lower().replace("-", "_").replace(" ", "_"),
                    "value": each,
                    "stability": "development",
                }
                for each in attribute.members
            ]
        }
    else:
        content["type"] = attribute.type
        if attribute.examples or attribute.members:
            content["examples"] = list(attribute.examples or attribute.members)
    content["brief"] = attribute.brief
    if attribute.source:
        content["note"] = f"The name is fixed by: {attribute.source}"
    return content


def _reference(attribute: Attribute) -> dict[str, Any]:
    content: dict[str, Any] = {
        "ref": attribute.name,
        "requirement_level": "required" if attribute.required else "recommended",
    }
    if attribute.values:
        content["annotations"] = {"budget": attribute.values}
    return content


def _metric(instrument: Instrument) -> dict[str, Any]:
    return {
        "name": instrument.name,
        "instrument": instrument.kind,
        "unit": instrument.unit,
        "brief": instrument.brief,
        "stability": instrument.stability,
        "attributes": [_reference(each) for each in instrument.attributes],
        "annotations": {"prometheus": instrument.series_name, "series": instrument.most_series},
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "type": span.id,
        "kind": span.kind,
        "brief": span.brief,
        "stability": "development",
        "name": {"note": span.name},
        "attributes": [_reference(each) for each in span.attributes],
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "name": event.name,
        "brief": event.brief,
        "stability": "development",
        "attributes": [_reference(each) for each in event.attributes],
    }
