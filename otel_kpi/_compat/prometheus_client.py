"""Private parts of prometheus_client."""

from __future__ import annotations

from typing import Any, cast


def prometheus_collectors(registry: Any) -> list[Any]:
    """The collectors of a registry, in the order in which they were registered.

    `collect()` goes through all of them and ends at the first that raises; there is no other way to ask one alone.
    A registry without the private part is one collector.
    """
    held = getattr(registry, "_collector_to_names", None)
    if not isinstance(held, dict):
        return [registry]
    with registry._lock:
        return list(cast("dict[Any, Any]", held))


def asks_a_function(collector: Any) -> bool:
    """Whether a gauge of prometheus_client calls a function of the application's (`Gauge.set_function`).

    The method that gives its samples is then replaced on the object, or on that of a label set.
    """
    children = cast("dict[Any, Any]", getattr(collector, "_metrics", None) or {})
    return any("_child_samples" in vars(each) for each in (collector, *tuple(children.values())))
