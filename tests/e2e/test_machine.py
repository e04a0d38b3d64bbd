"""The series of process and machine that rules and runbooks name are in Prometheus, under exactly these names."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from storefront import services
from storefront.audit.stores import get

if TYPE_CHECKING:
    from storefront.audit.stores import Addresses

WITHIN = 60.0

PROGRAM = """
from opentelemetry import trace
with trace.get_tracer("program").start_as_current_span("work"):
    sum(range(1_000_000))
"""


def found(stack: Addresses, query: str) -> list[Any]:
    """The series of a query, as soon as there are any."""
    deadline = time.monotonic() + WITHIN
    while True:
        result = get(f"{stack.prometheus}/api/v1/query", {"query": query})["data"]["result"]
        if result or time.monotonic() > deadline:
            return result
        time.sleep(0.5)  # Prometheus has no event for "arrived"; the deadline ends it


def test_memory_of_the_machine_has_node_exporters_name(stack: Addresses) -> None:
    [series] = found(stack, "node_memory_MemAvailable_bytes")
    assert series["metric"]["job"] == "node"
    assert 0 < float(series["value"][1]) < 2**50
    [limit] = found(stack, "system_memory_limit_bytes")
    assert float(limit["value"][1]) >= float(series["value"][1])


def test_memory_and_cpu_of_a_process_have_the_names_of_prometheus_clients(stack: Addresses) -> None:
    name = f"machine-{uuid.uuid4().hex[:8]}"
    environment = {**os.environ, **stack.variables(), "OTEL_SERVICE_NAME": name}
    environment.pop("SENTRY_DSN", None)
    command = [*services.launch("otel-kpi"), sys.executable, "-c", PROGRAM]
    subprocess.run(command, env=environment, check=True, timeout=60)
    [memory] = found(stack, f'process_resident_memory_bytes{{job="{name}"}}')
    assert 10_000_000 < float(memory["value"][1]) < 10_000_000_000
    assert memory["metric"]["app"] == name
    [cpu] = found(stack, f'process_cpu_seconds_total{{job="{name}"}}')
    assert float(cpu["value"][1]) > 0
    for stable in ("process_memory_usage_bytes", "process_cpu_time_seconds_total", "process_uptime_seconds"):
        assert found(stack, f'{stable}{{job="{name}"}}')
