"""How soon a span can be looked at."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

from storefront import services
from storefront.audit import delay

if TYPE_CHECKING:
    from collections.abc import Callable

    from storefront.audit.stores import Addresses
    from storefront.services import System

FIGURE = 2.0  # seconds, p95; benchmarks/storefront.py shows it


def test_span_is_in_jaeger_soon_after_its_end(stack: Addresses, new_system: Callable[[int], System]) -> None:
    system = new_system(1)
    services.prepare(system)
    with services.running(system):
        delays = asyncio.run(delay.measure(system.shop_url, stack.jaeger, count=30))
    assert statistics.quantiles(delays, n=20)[-1] <= 3 * FIGURE, sorted(delays)
