"""What is measured of health checks: what each found last, how long it took, how many there were."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Gauge, Histogram, Pack

CHECK: Final = Attribute(
    name="kpi.health.check.name",
    brief="The check, as it was declared.",
    budget=100,
    examples=("database", "redis", "ai", "memory"),
    source="S1: the seven services that it names",
)
STATUS: Final = Attribute(
    name="kpi.health.status",
    brief="What a check found.",
    members=("healthy", "degraded", "unhealthy"),
    source="S2: the words of `/api/health`",
)

CHECK_STATUS: Final = Gauge(
    name="kpi.health.check.status",
    unit="{status}",
    brief="What the check found last: 1 healthy, 0.5 degraded, 0 unhealthy. Absent before its first run, and once "
    "nothing is known of it any more.",
    attributes=(CHECK,),
    source="C5",
    systems=("S1", "S2"),
    observable=True,
    minimum=0.0,
    maximum=1.0,
)
CHECK_DURATION: Final = Histogram(
    name="kpi.health.check.duration",
    unit="s",
    brief="How long a check took; one that was given up, until it was.",
    attributes=(CHECK,),
    source="C5",
    systems=("S1", "S2"),
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10),
)
CHECKS: Final = Counter(
    name="monitoring.health.checks",
    unit="{check}",
    brief="Health checks that were made, by what they found; also those that were not, since they wait for another.",
    attributes=(CHECK, STATUS),
    prometheus="monitoring_health_checks_total",
    source="E5",
    systems=("S1",),
    exempt="S1 names it so",
)

PACK: Final = Pack(
    name="health",
    title="Health checks",
    brief="What a process depends on, asked in the background: what each check found, and how long it took.",
    instruments=(CHECK_STATUS, CHECK_DURATION, CHECKS),
)
