"""The three providers of the file: their processors and readers, limits, sampler, views and scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi import _compat
from otel_kpi.declarative.exporters import DeclaredOutlet, declared_outlet, own_settings
from otel_kpi.resolution import Written

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

    from otel_kpi.declarative.document import Element

_KNOBS = {
    "traces": {
        "schedule_delay": "span_delay",
        "export_timeout": "span_timeout",
        "max_queue_size": "span_queue",
        "max_export_batch_size": "span_batch",
    },
    "logs": {
        "schedule_delay": "log_delay",
        "export_timeout": "log_timeout",
        "max_queue_size": "log_queue",
        "max_export_batch_size": "log_batch",
    },
    "metrics": {"interval": "metric_interval", "timeout": "metric_timeout"},
}
_LIMITS = {
    "attribute_limits": {
        "attribute_value_length_limit": "attribute_length",
        "attribute_count_limit": "attribute_count",
    },
    "tracer_provider": {
        "attribute_value_length_limit": "span_attribute_length",
        "attribute_count_limit": "span_attribute_count",
        "event_count_limit": "span_event_count",
        "link_count_limit": "span_link_count",
        "event_attribute_count_limit": "event_attribute_count",
        "link_attribute_count_limit": "link_attribute_count",
    },
    "logger_provider": {
        "attribute_value_length_limit": "log_attribute_length",
        "attribute_count_limit": "log_attribute_count",
    },
}
# The file's names of samplers that settings can name, too.
_SAMPLERS = {"always_on": "always_on", "always_off": "always_off", "trace_id_ratio_based": "traceidratio"}
# What a parent decides where nothing else is said.
_DELEGATES = {
    "remote_parent_sampled": "always_on",
    "remote_parent_not_sampled": "always_off",
    "local_parent_sampled": "always_on",
    "local_parent_not_sampled": "always_off",
}


def limits(section: Element, name: str) -> dict[str, Written]:
    """The limits of a section, by the keyword of their setting."""
    found = section if name == "attribute_limits" else section.part("limits")
    if found is None:
        return {}
    return {
        keyword: Written(part.take(), part.path)
        for limit, keyword in _LIMITS[name].items()
        if (part := found.part(limit)) is not None
    }


def processors(signal: str, provider: Element) -> list[DeclaredOutlet]:
    """The exporters of spans or log records."""
    found: list[DeclaredOutlet] = []
    listed = provider.part("processors")
    for processor in listed.parts() if listed is not None else ():
        for kind in processor.parts():
            outlet = _processor(signal, kind)
            if outlet is not None:
                found.append(outlet)
    return found


def _processor(signal: str, kind: Element) -> DeclaredOutlet | None:
    if kind.name == "otel_kpi":  # our whole way out in one word
        return DeclaredOutlet(signal, "otlp", kind.path, own_settings(signal, kind))
    knobs = _knobs(signal, kind)
    if kind.name == "simple":
        # Nothing of ours blocks who ends a span: each is sent at once, and alone, by the export thread.
        batch = _KNOBS[signal]["max_export_batch_size"]
        knobs[batch] = Written(1, kind.path)
    exporter = kind.part("exporter")
    return declared_outlet(signal, exporter, knobs) if exporter is not None else None


def readers(provider: Element) -> list[DeclaredOutlet]:
    """The exporters of metrics, and the readers that wait to be asked."""
    found: list[DeclaredOutlet] = []
    listed = provider.part("readers")
    for reader in listed.parts() if listed is not None else ():
        for kind in reader.parts():
            exporter = kind.part("exporter")
            if exporter is None:
                continue
            if kind.name == "periodic":
                outlet = declared_outlet("metrics", exporter, _knobs("metrics", kind))
            else:
                outlet = _pull(exporter)
            if outlet is not None:
                found.append(outlet)
    return found


def _pull(exporter: Element) -> DeclaredOutlet:
    model = exporter.take()
    name = next((kind.name for kind in exporter.parts()), "pull")
    return DeclaredOutlet("metrics", name, exporter.path, {}, lambda: _compat.declared_pull_reader(model))


def _knobs(signal: str, kind: Element) -> dict[str, Written]:
    return {
        keyword: Written(part.take(), part.path)
        for knob, keyword in _KNOBS[signal].items()
        if (part := kind.part(knob)) is not None
    }


def sampler(provider: Element) -> tuple[dict[str, Written], Sampler | None]:
    """The sampler: as settings where they have a word for it, else as upstream builds it."""
    element = provider.part("sampler")
    if element is None:
        return {}, None
    simple = _simple_sampler(element)
    if simple is not None:
        element.take()
        return simple, None
    try:
        built = _compat.declared_sampler(element.value)
    except Exception as error:
        element.refuse(_said(error))
        return {}, None
    element.take()
    kind = next((part.name for part in element.parts()), "declared")
    return {"sampler": Written(kind, element.path)}, built


def _said(error: Exception) -> str:
    """Upstream's words without the whole of its model, which it quotes."""
    return str(error).partition(" in config")[0].strip()[:200]


def _simple_sampler(element: Element) -> dict[str, Written] | None:
    prefix = ""
    root = element.part("parent_based", "root")
    parent = element.part("parent_based")
    if parent is not None:
        for delegate in parent.parts():
            kinds = [kind.name for kind in delegate.parts()]
            if delegate.name != "root" and kinds != [_DELEGATES[delegate.name]]:
                return None
        if root is None:
            return {"sampler": Written("parentbased_always_on", element.path)}
        prefix, element = "parentbased_", root
    kinds = element.parts()
    if len(kinds) != 1 or kinds[0].name not in _SAMPLERS:
        return None
    written = {"sampler": Written(f"{prefix}{_SAMPLERS[kinds[0].name]}", element.path)}
    ratio = kinds[0].part("ratio")
    if ratio is not None:
        written["sampler_arg"] = Written(str(ratio.value), ratio.path)
    return written


def id_generator(provider: Element) -> tuple[dict[str, Written], IdGenerator | None]:
    """Who makes ids: `random`, or a plug-in with what the file tells it."""
    element = provider.part("id_generator")
    if element is None:
        return {}, None
    kind = next((part.name for part in element.parts()), "random")
    if kind == "random":
        element.take()
        return {"id_generator": Written("random", element.path)}, None
    try:
        built = _compat.declared_id_generator(element.value)
    except Exception as error:
        element.refuse(_said(error))
        return {}, None
    element.take()
    return {"id_generator": Written(kind, element.path)}, built


def views(provider: Element) -> tuple[View, ...]:
    """Views of metrics. The SDK has no words for some of what a view may say; that is named."""
    built: list[View] = []
    listed = provider.part("views")
    for element in listed.parts() if listed is not None else ():
        excluded = element.part("stream", "attribute_keys", "excluded")
        if excluded is not None:
            # Half a view would let through what the file excludes.
            element.refuse("the SDK's views cannot exclude attributes; include those that are wanted")
            continue
        try:
            built.append(_compat.declared_view(element.value))
        except Exception as error:
            element.refuse(_said(error))
            continue
        for names in (
            ("selector",),
            ("stream", "name"),
            ("stream", "description"),
            ("stream", "aggregation"),
            ("stream", "attribute_keys"),
        ):
            part = element.part(*names)
            if part is not None:
                part.take()
    return tuple(built)


def configurator(kind: str, provider: Element) -> Any:
    """Which scopes of a `tracer`, `meter` or `logger` provider are on; None when the file says nothing."""
    element = provider.part(f"{kind}_configurator/development")
    if element is None:
        return None
    for config in (part for part in _matched(element) if part is not None):
        switch = config.part("enabled")
        if switch is not None:
            switch.take()
    for matcher in _matchers(element):
        name = matcher.part("name")
        if name is not None:
            name.take()
    return _compat.declared_configurator(kind, element.value)


def _matched(element: Element) -> list[Element | None]:
    return [element.part("default_config"), *(matcher.part("config") for matcher in _matchers(element))]


def _matchers(element: Element) -> list[Element]:
    return [
        matcher
        for name in ("tracers", "meters", "loggers")
        if (listed := element.part(name)) is not None
        for matcher in listed.parts()
    ]
