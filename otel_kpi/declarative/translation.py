"""From the file to what a process is configured with.

The file's schema has words for what every SDK can do. What ours can do, too, becomes settings, and is built as if it
had been in the environment: the same queues, the same redaction, the same budget at exit. What only upstream can do
(a console exporter, a composite sampler, a view, somebody's plug-in) is built by upstream and put into our pipeline.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from otel_kpi import _compat
from otel_kpi.config import SIGNALS
from otel_kpi.declarative import providers, sections
from otel_kpi.declarative.document import Unreadable, read_document
from otel_kpi.parts import Outlet, Parts, outlets_of
from otel_kpi.resolution import Written, resolve, superseded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_kpi.config import Settings
    from otel_kpi.declarative.document import Element
    from otel_kpi.declarative.exporters import DeclaredOutlet
    from otel_kpi.resolution import Resolved

_logger = logging.getLogger("otel_kpi")

_PROVIDERS = {"traces": "tracer_provider", "metrics": "meter_provider", "logs": "logger_provider"}


@dataclass(frozen=True, slots=True)
class Declared:
    """What a declarative file says.

    Attributes:
        path: The file.
        written: Settings, by keyword or `keyword.signal`; of several exporters of a signal those of the first.
        shared: The same without those that belong to one exporter, and without our own node.
        ours: Our own node, `distribution.otel_kpi`.
        outlets: The exporters, each with settings of its own.
        parts: Components that settings have no words for; its outlets are empty.
        instrumentors: By name, the options of the instrumentors that the file names.
        environ: Variables that instrumentors read.
        lines: One for each element that is not honoured.
        broken: The file cannot be used, and nothing is exported.
    """

    path: str
    written: Mapping[str, Written]
    shared: Mapping[str, Written] = field(default_factory=lambda: MappingProxyType({}))
    ours: Mapping[str, Written] = field(default_factory=lambda: MappingProxyType({}))
    outlets: tuple[DeclaredOutlet, ...] = ()
    parts: Parts = field(default_factory=lambda: Parts(()))
    instrumentors: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    lines: tuple[str, ...] = ()
    broken: bool = False

    def parts_for(self, resolved: Resolved, environ: Mapping[str, str], code: Mapping[str, Any]) -> Parts:
        """What the pipeline of a process is built of.

        Args:
            resolved: The settings that came of this file.
            environ: The environment.
            code: What the program gave.
        """
        outlets: list[Outlet] = []
        for signal in SIGNALS:
            origin = resolved.origins[f"exporters.{signal}"]
            if origin.kind == "code" or origin.name.startswith("distribution."):
                outlets += outlets_of(resolved.settings, signal)
                continue
            outlets += [
                Outlet(
                    signal,
                    outlet.name,
                    self._settings_of(outlet, environ, code),
                    outlet.make,
                )
                for outlet in self.outlets
                if outlet.signal == signal
            ]
        return replace(
            self.parts,
            outlets=tuple(outlets),
            sampler=self.parts.sampler if _is_of_schema(resolved, "sampler") else None,
            id_generator=self.parts.id_generator if _is_of_schema(resolved, "id_generator") else None,
        )

    def _settings_of(
        self, outlet: DeclaredOutlet, environ: Mapping[str, str], code: Mapping[str, Any]
    ) -> Settings:
        written = sections.outranked({**self.shared, **outlet.written}, self.ours)
        return resolve(environ, code, written).settings


def _is_of_schema(resolved: Resolved, key: str) -> bool:
    origin = resolved.origins[key]
    return origin.kind == "file" and not origin.name.startswith("distribution.")


def read(path: str, environ: Mapping[str, str]) -> Declared:
    """Read and translate a file; never raises.

    Args:
        path: The file.
        environ: The environment, of which a part is not read beside a file.
    """
    try:
        document = read_document(path)
        return _translate(path, document, _not_read(path, environ))
    except Unreadable as error:
        reason = str(error)
    except Exception as error:
        _logger.debug("the file was not translated", exc_info=True)
        reason = repr(error)
    silent = {f"exporters.{signal}": Written(("none",), "the file that cannot be used") for signal in SIGNALS}
    line = f"OTEL_CONFIG_FILE={path!r} is not used, nothing is exported: {reason}"
    return Declared(path, silent, lines=(line,), broken=True)


def _not_read(path: str, environ: Mapping[str, str]) -> list[str]:
    from pathlib import Path

    text = Path(path).read_text(encoding="utf-8")
    names = [name for name in superseded(environ) if name not in text]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [
        f"{', '.join(names)} {verb} not read: OTEL_CONFIG_FILE is set, and the file has a place for what it says"
    ]


def _translate(path: str, document: Element, lines: list[str]) -> Declared:
    written: dict[str, Written] = {}
    _take(document, "file_format")
    disabled = document.part("disabled")
    if disabled is not None:
        written["sdk_disabled"] = Written(disabled.take(), disabled.path)
    level = document.part("log_level")
    if level is not None:
        written |= sections.log_level(level)
    attribute_limits = document.part("attribute_limits")
    if attribute_limits is not None:
        written |= providers.limits(attribute_limits, "attribute_limits")
    written |= sections.propagators(document.part("propagator"))
    outlets, parts, found = _providers(document)
    written |= found
    models: list[Any] = []
    wanted: Callable[[str], bool] = bool
    resource = document.part("resource")
    if resource is not None:
        written |= sections.resource(resource)
        models, wanted = sections.detectors(resource)
        schema = resource.part("schema_url")
        parts = replace(parts, schema_url=str(schema.take()) if schema is not None else None)
    if models:
        parts = replace(parts, detected=lambda: _detected(models, wanted))
    instrumentors: dict[str, dict[str, Any]] = {}
    variables: dict[str, str] = {}
    _take(document, "stability")
    libraries = document.part("instrumentation/development") or document.part("instrumentation")
    if libraries is not None:
        settings, instrumentors, variables = sections.instrumentation(libraries)
        written |= settings
    firsts: dict[str, Written] = {}
    for outlet in reversed(outlets):
        kept = {key: each for key, each in firsts.items() if not _is_about(key, outlet.signal)}
        firsts = {**kept, **outlet.written}
    ours = sections.distribution(document.part("distribution"))
    return Declared(
        path,
        sections.outranked({**written, **firsts}, ours),
        shared=written,
        ours=ours,
        outlets=tuple(outlets),
        parts=parts,
        instrumentors=instrumentors,
        environ=variables,
        lines=(*lines, *(f"{path}: {line}" for line in document.lines())),
    )


def _providers(document: Element) -> tuple[list[DeclaredOutlet], Parts, dict[str, Written]]:
    written: dict[str, Written] = {}
    outlets: list[DeclaredOutlet] = []
    parts = Parts(())
    configurators: dict[str, Any] = {}
    for signal, name in _PROVIDERS.items():
        provider = document.part(name)
        if provider is None:
            written[f"exporters.{signal}"] = Written(("none",), f"{name} is absent")
            continue
        own = providers.readers(provider) if signal == "metrics" else providers.processors(signal, provider)
        outlets += own
        names = tuple(dict.fromkeys(outlet.name for outlet in own)) or ("none",)
        written[f"exporters.{signal}"] = Written(names, own[0].path if own else provider.path)
        kind = name.removesuffix("_provider")
        configurator = providers.configurator(kind, provider)
        if configurator is not None:
            configurators[kind] = configurator
        if signal != "metrics":
            written |= providers.limits(provider, name)
        if signal == "traces":
            sampler, built_sampler = providers.sampler(provider)
            ids, built_ids = providers.id_generator(provider)
            written |= sampler | ids
            parts = replace(parts, sampler=built_sampler, id_generator=built_ids)
        if signal == "metrics":
            parts = replace(parts, views=providers.views(provider))
            exemplars = provider.part("exemplar_filter")
            if exemplars is not None:
                written["exemplar_filter"] = Written(exemplars.take(), exemplars.path)
    return outlets, replace(parts, configurators=configurators), written


def _is_about(key: str, signal: str) -> bool:
    """Whether a setting of an exporter is one of its signal, which has that from its first exporter alone."""
    own = {"traces": "span_", "logs": "log_", "metrics": "metric_"}[signal]
    preferences = signal == "metrics" and key in {"temporality", "histogram_aggregation"}
    return key.endswith(f".{signal}") or key.startswith(own) or preferences


def _take(document: Element, name: str) -> None:
    element = document.part(name)
    if element is not None:
        element.take()


def _detected(models: list[Any], wanted: Callable[[str], bool]) -> dict[str, Any]:
    """Run the detectors of the file, each for itself."""
    found: dict[str, Any] = {}
    for model in models:
        try:
            found |= _compat.detected_attributes(model)
        except Exception as error:
            _logger.warning("a resource detector of the file failed: %s", error)
    # An id that is drawn anew at each start would make new series at each start; ours are slots.
    return {key: value for key, value in found.items() if wanted(key) and key != "service.instance.id"}
