"""Values of attributes: their JSON, the way back from it, and the limits of both decoders.

JSON has no bytes, no NaN and no infinities: `{"bytes": "<base64>"}` and `{"double": "NaN"}` stand for them. A map that would
be read as one of these is wrapped, `{"map": {…}}`, so that what is read back is always what was sent.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from json.encoder import encode_basestring
from math import isfinite
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.dev.store.terms import terms_of
from otel_kpi.dev.telemetry import Attribute

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Attributes, Value

MAX_DEPTH = 32
"""Levels of lists and maps inside one value; below it stands `TOO_DEEP`. SDKs stop at 16 or sooner."""
MAX_NODES = 100_000
"""Values inside one list or map and all that is in it; after them stands `TOO_MANY`."""
TOO_DEEP = "<nested too deeply>"
TOO_MANY = "<too many values>"
MAX_BUCKETS = 16_384
"""Of a histogram, quantiles of a summary, and exemplars of any point: SDKs have 160, and a point of more would cost a reader megabytes."""
MAX_ITEMS = 100_000
"""Spans, points or records of one request: SDKs send 512, a Collector 8,192 and sometimes ten times that."""
MAX_PARTS = 10_000
"""Attributes, events and links of one span, or attributes of one record: SDKs stop at 128 of each."""
MAX_ALL_PARTS = 2_000_000
"""Of one request."""
MAX_NEW = 200_000
"""Attributes of one request that did not come before: each takes about a kilobyte until it is written."""
MAX_CONTAINERS = 800_000
"""Objects and lists of a request in JSON, each of 200 bytes once it is read: 20 MiB of what SDKs write have fewer."""
MAX_SEPARATORS = 4_000_000
"""Commas of it, between what is smaller."""
MAX_REJECTED = 1_000_000
"""Items of one request of which each is looked at though none can be kept."""
MAX_TIME = (1 << 63) - 1
"""The last nanosecond that SQLite has a number for, in the year 2262."""
MIN_SCALE, MAX_SCALE = -10, 40
"""Of an exponential histogram: below, one bucket has every double; above, a double has no room for the difference."""

_STANDS_FOR = frozenset(("bytes", "double", "map"))


class Budget:
    """How many values one attribute may still have."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_NODES


def attribute(key: str, value: Value) -> Attribute:
    """An attribute with all that is worked out of it once."""
    text = json_of(value)
    return Attribute(key, value, text, terms_of(key, value, text))


def json_of(value: Value) -> str:  # noqa: PLR0911 - one for each type; each attribute that is new comes by, and calls cost
    """A value as JSON; an integer has no point, a double always has one or an exponent."""
    kind = type(value)
    if kind is str:
        return encode_basestring(cast("str", value))
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if kind is int:
        return int.__repr__(cast("int", value))
    if kind is float:
        number = cast("float", value)
        return float.__repr__(number) if isfinite(number) else f'{{"double":"{double_name(number)}"}}'
    if kind is bytes:
        return f'{{"bytes":"{b64encode(cast("bytes", value)).decode()}"}}'
    if kind is list:
        return f"[{','.join([json_of(item) for item in cast('list[Value]', value)])}]"
    items = cast("dict[str, Value]", value)
    text = ",".join([f"{encode_basestring(key)}:{json_of(item)}" for key, item in items.items()])
    return f'{{"map":{{{text}}}}}' if len(items) == 1 and items.keys() <= _STANDS_FOR else f"{{{text}}}"


def service_of(attributes: Attributes) -> str:
    """The `service.name` of a resource."""
    for each in attributes:
        if each.key == "service.name" and each.value not in (None, ""):
            return each.value if type(each.value) is str else each.json
    return "unknown_service"


def double_name(number: float) -> str:
    """What proto3's JSON calls a double that JSON cannot say."""
    if number != number:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def value_of(document: Any) -> Value:  # document: what a JSON parser made
    """What was sent, from what `json_of` wrote and a JSON parser read."""
    if type(document) is list:
        return [value_of(item) for item in cast("list[Any]", document)]
    if type(document) is not dict:
        return document
    items = cast("dict[str, Any]", document)
    if len(items) == 1:
        ((name, item),) = items.items()
        if name == "bytes":
            return b64decode(item)
        if name == "double":
            return float(item)
        if name == "map":
            items = item
    return {key: value_of(item) for key, item in items.items()}
