"""Exporters in the file: ours, which settings describe, and those that upstream or a plug-in builds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from otel_kpi import _compat
from otel_kpi._parsing import HEADERS
from otel_kpi.config import declarations
from otel_kpi.resolution import Written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_kpi.declarative.document import Element

_FILES = {"ca_file": "certificate", "key_file": "client_key", "cert_file": "client_certificate"}


@dataclass(frozen=True, slots=True)
class DeclaredOutlet:
    """One exporter of the file.

    Attributes:
        signal: `traces`, `metrics` or `logs`.
        name: `otlp`, or how the file calls it.
        path: Where it stands.
        written: Its settings, by keyword or `keyword.signal`.
        make: Builds it when it is not ours.
    """

    signal: str
    name: str
    path: str
    written: Mapping[str, Written]
    make: Callable[[], Any] | None = None


def declared_outlet(signal: str, exporter: Element, knobs: Mapping[str, Written]) -> DeclaredOutlet | None:
    """Translate the `exporter` of a processor or reader.

    Args:
        signal: `traces`, `metrics` or `logs`.
        exporter: The element.
        knobs: What the processor or reader around it says.
    """
    for kind in exporter.parts():
        preferences = _preferences(kind) if signal == "metrics" else {}
        if kind.name == "otlp_http":
            return DeclaredOutlet(signal, "otlp", kind.path, {**knobs, **preferences, **_http(signal, kind)})
        if kind.name == "otlp_grpc":
            return DeclaredOutlet(signal, "otlp", kind.path, {**knobs, **preferences, **_grpc(signal, kind)})
        if kind.name == "otel_kpi":
            return DeclaredOutlet(signal, "otlp", kind.path, {**knobs, **own_settings(signal, kind)})
        exporter.take()
        return DeclaredOutlet(
            signal,
            kind.name,
            kind.path,
            {**knobs, **preferences},
            partial(_compat.declared_exporter, signal, exporter.value),
        )
    return None


def own_settings(signal: str, element: Element) -> dict[str, Written]:
    """The settings of our own plug-in: any keyword of `configure()`, those for each signal meant for this one."""
    known = dict(declarations())
    written: dict[str, Written] = {}
    element.take()
    for part in element.parts():
        declaration = known.get(part.name)
        key = f"{part.name}.{signal}" if declaration is not None and declaration.per_signal else part.name
        written[key] = Written(part.value, part.path)
    return written


def _http(signal: str, kind: Element) -> dict[str, Written]:
    written = _otlp(signal, kind)
    encoding = kind.part("encoding")
    json = encoding is not None and encoding.take() == "json"
    written[f"protocol.{signal}"] = Written(
        "http/json" if json else "http/protobuf", encoding.path if encoding is not None else kind.path
    )
    kind_of_endpoint = written.get(f"endpoint.{signal}")
    if kind_of_endpoint is None:
        written[f"endpoint.{signal}"] = Written(f"http://localhost:4318/v1/{signal}", kind.path)
    return written


def _grpc(signal: str, kind: Element) -> dict[str, Written]:
    written = _otlp(signal, kind)
    written[f"protocol.{signal}"] = Written("grpc", kind.path)
    insecure = kind.part("tls", "insecure")
    plain = bool(insecure.take()) if insecure is not None else False
    key = f"endpoint.{signal}"
    given = written.get(key)
    if given is None:
        written[key] = Written("http://localhost:4317", kind.path)
    elif "://" not in str(given.value):
        written[key] = Written(f"{'http' if plain else 'https'}://{given.value}", given.path)
    return written


def _otlp(signal: str, kind: Element) -> dict[str, Written]:
    """What OTLP over HTTP and over gRPC have in common."""
    written: dict[str, Written] = {}
    kind_was_empty = not kind.parts()
    if kind_was_empty:
        kind.take()
    for name in ("endpoint", "compression", "timeout"):
        part = kind.part(name)
        if part is not None:
            written[f"{name}.{signal}"] = Written(part.take(), part.path)
    for name, keyword in _FILES.items():
        part = kind.part("tls", name)
        if part is not None:
            written[f"{keyword}.{signal}"] = Written(part.take(), part.path)
    headers = _headers(kind)
    if headers is not None:
        written[f"headers.{signal}"] = headers
    return written


def _headers(kind: Element) -> Written | None:
    pairs: dict[str, str] = {}
    text, listed = kind.part("headers_list"), kind.part("headers")
    if text is not None:
        try:
            pairs.update(HEADERS.parse(str(text.take())))
        except ValueError:
            text.refuse(f"{HEADERS.accepts} are accepted")
    if listed is not None:
        # A header of the structured list wins, also when it is written in another case.
        pairs.update({str(pair.name).lower(): str(pair.value or "") for pair in listed.take()})
    place = listed or text
    return Written(pairs, place.path) if place is not None and pairs else None


def _preferences(kind: Element) -> dict[str, Written]:
    written: dict[str, Written] = {}
    temporality = kind.part("temporality_preference")
    if temporality is not None:
        written["temporality"] = Written(str(temporality.take()).replace("_", ""), temporality.path)
    aggregation = kind.part("default_histogram_aggregation")
    if aggregation is not None:
        written["histogram_aggregation"] = Written(aggregation.take(), aggregation.path)
    return written
