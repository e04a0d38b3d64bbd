"""What an application keeps in prometheus_client is in the real Prometheus under the names that it had."""

from __future__ import annotations

import sys
import time
import uuid
from typing import TYPE_CHECKING

import httpx
from support.children import RUN, environment, run

if TYPE_CHECKING:
    from pathlib import Path

    from storefront.audit.stores import Addresses

PROGRAM = """
import prometheus_client as p
p.Counter("shop_orders_total", "Orders.", ["shop"]).labels("rome").inc(3)
p.Counter("shop_sent_bytes", "Bytes.", unit="bytes").inc(10)
p.Gauge("shop_queue_length", "Waiting.").set(7)
p.Gauge("shop_age", "Age.", unit="seconds").set(1.5)
p.Summary("shop_basket", "Baskets.").observe(4)
p.Info("shop_build", "Build.").info({"release": "1.2"})
p.Enum("shop_state", "State.", states=["open", "closed"]).state("closed")
waits = p.Histogram("shop_wait_seconds", "Waits.", buckets=(0.1, 1))
for value in (0.05, 0.5, 0.5, 9):
    waits.observe(value)
"""
EXPECTED = {
    'shop_orders_total{shop="rome"}': 3,
    "shop_sent_bytes_total{}": 10,
    "shop_queue_length{}": 7,
    "shop_age_seconds{}": 1.5,
    "shop_basket_count{}": 1,
    "shop_basket_sum{}": 4,
    'shop_build_info{release="1.2"}': 1,
    'shop_state{shop_state="closed"}': 1,
    'shop_state{shop_state="open"}': 0,
    'shop_wait_seconds_bucket{le="0.1"}': 1,
    'shop_wait_seconds_bucket{le="1.0"}': 3,
    'shop_wait_seconds_bucket{le="+Inf"}': 4,
    "shop_wait_seconds_count{}": 4,
    "shop_wait_seconds_sum{}": 10.05,
}
COMMON = {"app", "version", "environment", "instance", "job", "service_instance_id", "__name__"}


def _shown(prometheus: str, service: str) -> dict[str, float]:
    answer = httpx.get(
        f"{prometheus}/api/v1/query", params={"query": f'{{app="{service}"}}'}, timeout=30, trust_env=False
    )
    found: dict[str, float] = {}
    for series in answer.json()["data"]["result"]:
        labels = ",".join(
            f'{key}="{value}"' for key, value in sorted(series["metric"].items()) if key not in COMMON
        )
        found[f"{series['metric']['__name__']}{{{labels}}}"] = float(series["value"][1])
    return {name: value for name, value in found.items() if name.startswith(("shop_", "python_", "process_"))}


def test_each_series_is_in_prometheus_as_it_was(stack: Addresses, tmp_path: Path) -> None:
    program = tmp_path / "shop.py"
    program.write_text(PROGRAM)
    service = f"prometheus-client-{uuid.uuid4().hex[:6]}"
    variables = {"OTEL_KPI_PROMETHEUS_CLIENT": "true", "OTEL_SERVICE_NAME": service}
    ended = run([*RUN, sys.executable, str(program)], environment(**stack.variables(), **variables))
    assert (ended.returncode, ended.stderr) == (0, "")
    deadline = time.monotonic() + 30
    while not (found := _shown(stack.prometheus, service)) or "shop_queue_length{}" not in found:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)  # a store has no event for "arrived"
    shown = {name: value for name, value in found.items() if name.startswith("shop_")}
    shown.pop('shop_basket_bucket{le="+Inf"}')  # what a summary has besides
    assert {name.replace('le="1"', 'le="1.0"'): round(value, 9) for name, value in shown.items()} == EXPECTED
    assert not [
        name for name in found if name.startswith(("python_gc", "python_info", "process_cpu_seconds_total{}"))
    ]
