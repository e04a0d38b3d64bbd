"""From our dataclasses to JSON Schema and to JSON: an answer and its description come from the same declaration."""

from __future__ import annotations

import base64
import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import orjson

_ANY_VALUE = {"description": "A value of an attribute: text, number, boolean, null, list or object."}


class Schemas:
    """Descriptions of dataclasses, each once, to be referred to."""

    def __init__(self) -> None:
        self.components: dict[str, Any] = {}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type."""
        if dataclasses.is_dataclass(kind):
            return self._dataclass(cast("type", kind))
        origin, arguments = get_origin(kind), get_args(kind)
        # These are classes, and not patterns: a match would bind their names.
        if origin in {types.UnionType, typing.Union}:
            found = self._union(arguments)
        elif origin is Literal:
            found = {"type": "string", "enum": list(arguments)}
        elif origin is tuple:
            found = self._tuple(arguments)
        elif origin in {list, Sequence}:
            found = {"type": "array", "items": self.of(arguments[0])}
        elif origin in {dict, Mapping}:
            found = {"type": "object", "additionalProperties": self.of(arguments[1])}
        else:
            found = _plain(kind)
        return found

    def _union(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        rest = [each for each in arguments if each is not type(None)]
        schemas = [self.of(each) for each in rest]
        return {"anyOf": [*schemas, {"type": "null"}]} if len(rest) < len(arguments) else {"anyOf": schemas}

    def _tuple(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        if arguments[-1] is Ellipsis:
            return {"type": "array", "items": self.of(arguments[0])}
        length = len(arguments)
        return {
            "type": "array", "prefixItems": [self.of(each) for each in arguments],
            "minItems": length, "maxItems": length,
        }  # fmt: skip

    def _dataclass(self, kind: type) -> dict[str, Any]:
        name = kind.__name__
        if name not in self.components:
            self.components[name] = {}  # it may have itself
            hints = get_type_hints(kind, _names(kind))
            properties = {field.name: self.of(hints[field.name]) for field in dataclasses.fields(kind)}
            self.components[name] = {
                "type": "object",
                "description": (kind.__doc__ or "").split("\n\n", maxsplit=1)[0],
                "properties": properties,
                "required": list(properties),
                "additionalProperties": False,
            }
        return {"$ref": f"#/components/schemas/{name}"}


def _names(kind: type) -> dict[str, Any]:
    """What the hints of a module name that it imports for the type checker alone."""
    import sys

    from otel_kpi.dev import telemetry, views
    from otel_kpi.dev.store.reading import (
        distributions,
        intake,
        llm,
        metrics,
        pipeline_parts,
        pipelines,
        problems,
    )

    names: dict[str, Any] = {}
    modules = (telemetry, views, distributions, metrics, intake, llm, pipeline_parts, pipelines, problems)
    for module in (typing, *modules, sys.modules[kind.__module__]):
        names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
    # An attribute's value is anything; as a recursive alias it would have no end.
    return names | {"Decimal": Decimal, "Mapping": Mapping, "Sequence": Sequence, "Value": Any}


def _plain(kind: Any) -> dict[str, Any]:
    if kind is bool:
        return {"type": "boolean"}
    if kind is int:
        return {"type": "integer"}
    if kind is float:
        return {"type": ["number", "null"]}  # JSON has no infinity and no NaN: they are null
    if kind is Decimal:
        return {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?$"}
    if kind in {str, bytes}:
        return {"type": "string"}
    return dict(_ANY_VALUE)


def encoded(value: Any) -> bytes:
    """An answer as JSON: dataclasses by their fields, decimals as text, bytes as base64."""
    return orjson.dumps(value, default=_other, option=orjson.OPT_NON_STR_KEYS)


def _other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, Sequence):
        return list(cast("Sequence[Any]", value))
    raise TypeError(type(value).__name__)
