"""The sections of the file beside the providers: who speaks, how context travels, libraries, and our own node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from otel_kpi._parsing import PAIRS
from otel_kpi.config import SIGNALS, declarations
from otel_kpi.resolution import Written

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.declarative.document import Element

# The names that have a setting of their own.
_NAMES = {
    "service.name": "app_name",
    "service.version": "version",
    "deployment.environment.name": "environment",
}
_TYPES: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "int": int,
    "double": float,
    "bool": lambda value: value if isinstance(value, bool) else str(value).lower() not in {"false", "0", ""},
}
# Read by upstream's instrumentors from the environment and from nowhere else.
_CAPTURED = {
    ("server", "request_captured_headers"): "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
    ("server", "response_captured_headers"): "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
    ("client", "request_captured_headers"): "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
    ("client", "response_captured_headers"): "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE",
}
_GENERATIONS = {"http": "http", "db": "database"}


def resource(section: Element) -> dict[str, Written]:
    """Resource attributes that the file gives, and names among them."""
    given: dict[str, Any] = {}
    text = section.part("attributes_list")
    if text is not None:
        try:
            given.update(PAIRS.parse(str(text.take())))
        except ValueError:
            text.refuse(f"{PAIRS.accepts} are accepted")
    listed = section.part("attributes")
    for attribute in listed.parts() if listed is not None else ():
        try:
            given[attribute.value.name] = _typed(attribute.value)
        except (TypeError, ValueError) as error:
            attribute.refuse(str(error))
        else:
            attribute.take()
    place = listed or text
    if place is None:
        return {}
    written = {
        keyword: Written(str(given.pop(name)), f"{place.path}.{name}")
        for name, keyword in _NAMES.items()
        if name in given
    }
    if given:
        written["resource_attributes"] = Written(tuple(given.items()), place.path)
    return written


def _typed(attribute: Any) -> Any:
    if attribute.value is None:
        raise ValueError("it has no value")
    kind = attribute.type.value if attribute.type is not None else None
    if kind is None:
        return attribute.value
    coerce = _TYPES[kind.removesuffix("_array")]
    return [coerce(item) for item in attribute.value] if kind.endswith("_array") else coerce(attribute.value)


def detectors(section: Element) -> tuple[list[Any], Callable[[str], bool]]:
    """The models of the resource detectors, and which of the attributes that they find are wanted."""
    detection = section.part("detection/development")
    if detection is None:
        return [], lambda _: True
    listed = detection.part("detectors")
    models = [element.take() for element in listed.parts()] if listed is not None else []
    patterns = {
        name: list(part.take()) if (part := detection.part("attributes", name)) is not None else []
        for name in ("included", "excluded")
    }
    included, excluded = patterns["included"] or ["*"], patterns["excluded"]
    return models, lambda key: _matches(key, included) and not _matches(key, excluded)


def _matches(key: str, patterns: list[str]) -> bool:
    from fnmatch import fnmatchcase

    return any(fnmatchcase(key, pattern) for pattern in patterns)


def propagators(section: Element | None) -> dict[str, Written]:
    """How context travels. A file that does not say it wants none: that is the schema's default."""
    if section is None:
        return {"propagators": Written(("none",), "propagator is absent")}
    names: dict[str, None] = {}
    listed = section.part("composite")
    for entry in listed.parts() if listed is not None else ():
        for kind in entry.parts():
            names[kind.name] = None
            if kind.parts():
                continue  # options of a plug-in; nothing takes them
            kind.take()
    text = section.part("composite_list")
    if text is not None:
        names.update(dict.fromkeys(name.strip() for name in str(text.take()).split(",") if name.strip()))
    return {"propagators": Written(tuple(names) or ("none",), section.path)}


def log_level(element: Element) -> dict[str, Written]:
    """The level of what telemetry says of itself; Python has no finer ones."""
    level = str(element.take()).rstrip("0123456789")
    return {"log_level": Written("debug" if level == "trace" else level, element.path)}


def instrumentation(section: Element) -> tuple[dict[str, Written], dict[str, dict[str, Any]], dict[str, str]]:
    """What the file says of libraries.

    Returns:
        Settings; the options of each instrumentor that it names and does not switch off; variables that
        instrumentors read.
    """
    written: dict[str, Written] = {}
    options: dict[str, dict[str, Any]] = {}
    off: list[str] = []
    for language in section.parts():
        if language.name not in {"general", "python"}:
            language.take()  # of a program in another language
    python = section.part("python")
    for entry in python.parts() if python is not None else ():
        entry.take()
        given = dict(cast("Mapping[str, Any]", entry.value or {}))
        if given.pop("enabled", True):
            options[entry.name] = given
        else:
            off.append(entry.name)
    if off and python is not None:
        written["disabled_instrumentations"] = Written(tuple(off), python.path)
    general = section.part("general")
    if general is None:
        return written, options, {}
    return written | _generations(general) | _sensitive(general), options, _captured(general)


def _generations(general: Element) -> dict[str, Written]:
    text = general.part("stability_opt_in_list")
    if text is not None:
        return {"semconv": Written(text.take(), text.path)}
    chosen = {"http": "http", "db": "database"}
    place = None
    for domain, name in _GENERATIONS.items():
        semconv = general.part(domain, "semconv")
        if semconv is None:
            continue
        both = semconv.part("dual_emit")
        version = semconv.part("version")
        if both is not None and both.take():
            chosen[domain] = f"{name}/dup"
        if version is not None and version.value == 1:
            version.take()
        place = semconv
    return {"semconv": Written(tuple(chosen.values()), place.path)} if place is not None else {}


def _sensitive(general: Element) -> dict[str, Written]:
    """Parameters of addresses that do not leave; for us a name is secret wherever it stands."""
    names = general.part("sanitization", "url", "sensitive_query_parameters")
    return {"redact_keys": Written(names.take(), names.path)} if names is not None else {}


def _captured(general: Element) -> dict[str, str]:
    return {
        variable: ",".join(part.take())
        for names, variable in _CAPTURED.items()
        if (part := general.part("http", *names)) is not None
    }


def distribution(section: Element | None) -> dict[str, Written]:
    """Our own node: any setting by its keyword, or by `keyword.signal`."""
    written: dict[str, Written] = {}
    if section is None:
        return written
    section.take()  # nodes of other distributions are theirs; of ours, `resolve` names what it does not know
    per_signal = {key for key, declaration in declarations() if declaration.per_signal}
    ours = section.part("otel_kpi")
    for part in ours.parts() if ours is not None else ():
        value = part.value
        if part.name == "config_file":
            part.refuse("a file cannot name another one")
        elif (
            part.name in per_signal and isinstance(value, Mapping) and set(cast("Any", value)) <= set(SIGNALS)
        ):
            written.update(
                {f"{part.name}.{each.name}": Written(each.value, each.path) for each in part.parts()}
            )
        else:
            written[part.name] = Written(value, part.path)
    return written


def outranked(written: Mapping[str, Written], ours: Mapping[str, Written]) -> dict[str, Written]:
    """What the file says, where our own node has the last word."""
    merged = dict(written)
    for key, own in ours.items():
        if "." not in key:
            for name in [name for name in merged if name.partition(".")[0] == key]:
                del merged[name]
        merged[key] = own
    for key in ("disabled_instrumentations", "redact_keys"):
        # Switched off, or secret, in either place is so.
        both = [written.get(key), ours.get(key)]
        if all(each is not None and isinstance(each.value, (list, tuple)) for each in both):
            names = [name for each in both if each is not None for name in each.value]
            merged[key] = Written(names, ours[key].path)
    return merged
