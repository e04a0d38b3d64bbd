"""The labels of a series as the text between the braces, escaped and in order.

As text they are compared, added up, written to snapshots and printed.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

from otel_kpi.model.prometheus import label_name

TAKEN: Final = frozenset({"job", "instance"})
"""Labels that Prometheus sets from the resource, whatever a measurement says."""
_MOST_TEXTS: Final = 50_000
_LABEL: Final = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"')


class Labels:
    """The label texts of attribute sets. The SDK hands out the same mapping each time, so each is written once."""

    def __init__(self) -> None:
        self._texts: dict[int, tuple[Any, str]] = {}

    def text(self, attributes: Mapping[str, Any] | None) -> str:
        """The labels of these attributes, without those of the resource."""
        if not attributes:
            return ""
        known = self._texts.get(id(attributes))
        # Kept together with the mapping, or its number could be another's by now.
        if known is not None and known[0] is attributes:
            return known[1]
        if len(self._texts) >= _MOST_TEXTS:
            self._texts = {}
        text = label_text(attributes)
        self._texts[id(attributes)] = (attributes, text)
        return text


def label_text(attributes: Mapping[str, Any], leave_out: frozenset[str] = TAKEN) -> str:
    """Write attributes as labels: `method="GET",route="/"`, in the order of their names.

    Attributes whose names become the same are joined by `;`, one without a value has no label, as in Prometheus.
    """
    labels: dict[str, str] = {}
    for attribute in sorted(attributes):
        name = _label_name(attribute)
        # Names with two underscores are reserved: a reader of the text refuses all of it.
        if not name or name.startswith("__") or name == "_" or name in leave_out:
            continue
        value = value_text(attributes[attribute])
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return written(labels)


def written(labels: Mapping[str, str]) -> str:
    """Labels as text, escaped and in order; without those that have no value."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in sorted(labels.items()) if value)


def escaped(value: str) -> str:
    """The value of a label as both formats have it."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


def labels_of(text: str) -> dict[str, str]:
    """Read a label text."""
    return {match[1]: _unescaped(match[2]) for match in _LABEL.finditer(text)}


def is_label_text(text: str) -> bool:
    """Whether a text is one that `written` gives."""
    if not text:
        return True
    position = 0
    while (match := _LABEL.match(text, position)) is not None:
        if match.end() == len(text):
            return True
        if text[match.end()] != ",":
            return False
        position = match.end() + 1
    return False


def joined(*texts: str) -> str:
    """One label text of several."""
    return ",".join(text for text in texts if text)


def value_text(value: Any) -> str:
    """An attribute's value as Prometheus writes it, which is as the Collector does."""
    match value:
        case str():
            text = value
        case None:
            text = ""
        case bool():
            text = "true" if value else "false"
        case int():
            text = str(value)
        case float():
            text = _float_text(value)
        case bytes():
            text = base64.b64encode(value).decode()
        case _:
            text = json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)
    return text


def bound_text(bound: float) -> str:
    """A bucket's bound as Prometheus writes it when it comes by OTLP: `0.005`, `5`, without an exponent."""
    text = repr(float(bound))
    if "e" in text:
        from decimal import Decimal

        text = format(Decimal(text), "f")
    return text.removesuffix(".0")


@lru_cache(maxsize=4096)
def _label_name(attribute: str) -> str:
    return label_name(attribute)


def _unescaped(value: str) -> str:
    if "\\" not in value:
        return value
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], value)


def _float_text(value: float) -> str:
    """As the Collector writes a floating-point number: an exponent below 1e-6 and from 1e21 on."""
    if not math.isfinite(value):
        return json.dumps(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:  # noqa: PLR2004 - Go's limits for JSON
        return bound_text(value)
    return re.sub(r"e-0(\d)$", r"e-\1", repr(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("list[Any]", value)]
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    return value_text(value)
