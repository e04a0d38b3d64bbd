"""Several processes of one service, added up.

Counters and histograms are sums over all processes, those that have ended included, so they never fall while the
service runs. Up-down counters are sums over the processes that live. A gauge has no sum: each living process has a
series of its own, with its `instance`. While there is one process, everything is its own and says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_kpi.exposition.families import Families, Family, added, said_once
from otel_kpi.exposition.labels import joined, label_text, labels_of, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEPT = frozenset({"counter", "histogram"})
"""Kinds that stay true of a process that has ended."""
_NAMED = re.compile(r'(?:^|,)(?:app|environment|version)="')
_IDENTIFYING = frozenset({"service_namespace", "service_name", "service_instance_id"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is.

    Attributes:
        instance: `service.instance.id`.
        labels: The labels of all its series, without `instance`, as text.
        target: The labels of its `target_info`, as text.
    """

    instance: str
    labels: str
    target: str

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Identity:
        """What the resource says, in the labels that the Collector and Prometheus make of it."""
        name, namespace = str(resource.get("service.name", "")), resource.get("service.namespace")
        instance = str(resource.get("service.instance.id", ""))
        environment = resource.get("deployment.environment.name") or resource.get("deployment.environment")
        own = {
            "app": name,
            "environment": str(environment or "unknown"),
            "version": str(resource.get("service.version") or "unknown"),
        }
        whole = {**resource, **own}
        told = labels_of(label_text(whole, _IDENTIFYING))
        told |= {"job": f"{namespace}/{name}" if namespace else name, "instance": instance}
        return cls(instance, written(own), written(told))


@dataclass(frozen=True, slots=True)
class Member:
    """One process, or what is left of several that have ended.

    Attributes:
        identity: Who it is, or was.
        families: What it has measured.
        time: Seconds since 1970 at which that was so.
        alive: Whether it still runs.
    """

    identity: Identity
    families: Families
    time: float
    alive: bool = True


@dataclass(slots=True)
class Totals:
    """What the processes of a service say together.

    Attributes:
        families: By name; the label texts are whole.
        targets: Label texts of `target_info`, one for each living process.
        processes: How many live.
        oldest: Seconds since 1970 of the oldest figure of a living process.
    """

    families: Families = field(default_factory=dict[str, Family])
    targets: list[str] = field(default_factory=list[str])
    processes: int = 0
    oldest: float = 0.0


def add_up(members: Iterable[Member]) -> Totals:
    """Add the members up; the first is the one that answers, and its descriptions and kinds are taken."""
    members = list(members)
    totals = Totals()
    for member in members:
        if member.alive:
            totals.processes += 1
            totals.targets.append(member.identity.target)
            totals.oldest = min(totals.oldest or member.time, member.time)
    alone = len(members) == 1 and totals.processes == 1
    for member in members:
        whole = joined(member.identity.labels, written({"instance": member.identity.instance}))
        for family in member.families.values():
            if member.alive or family.kind in KEPT:
                own = alone or family.kind == "gauge"
                _take(totals.families, family, whole if own else member.identity.labels)
    totals.targets.sort()
    return totals


def _take(families: Families, family: Family, identity: str) -> None:
    total = families.get(family.name)
    if total is None:
        total = families[family.name] = Family(family.name, family.kind, family.brief, family.unit)
    elif total.kind != family.kind:
        said_once(f"{family.name} is a {total.kind} in one process and a {family.kind} in another")
        return
    series, exemplars = total.series, family.exemplars
    for text, value in family.series.items():
        labels = f"{text},{identity}" if text else identity
        if text and _NAMED.search(text) is not None:
            # What the measurement itself says of these names wins, as in Prometheus.
            labels = written(labels_of(identity) | labels_of(text))
        series[labels] = added(series[labels], value) if labels in series else value
        if exemplars and (own := exemplars.get(text)):
            total.exemplars[labels] = own
