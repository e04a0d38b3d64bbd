"""How long a health answer takes while checks hang, and what endpoints and response times add to other requests."""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from otel_kpi.endpoints.starlette import add_endpoints
from otel_kpi.health.registry import Health

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWERS = 2_000
REQUESTS = 1_000
ROUNDS = 9
SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
    "path": "/items/3", "raw_path": b"/items/3", "query_string": b"", "root_path": "",
    "headers": [(b"host", b"shop.test")], "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
}  # fmt: skip


def answers() -> dict[str, float]:
    """Microseconds of an answer with twenty checks of which ten hang: the median, and one in a hundred."""
    go = threading.Event()
    health = Health()
    for number in range(10):
        health.check(f"well {number}", lambda: True)
        health.check(f"hangs {number}", lambda: go.wait(60), timeout=0.1)
    health.start()
    while any(each.outcome is None for each in health.known()):
        time.sleep(0.01)  # outcomes come from other threads, and nothing says when
    times: list[float] = []
    for _ in range(ANSWERS):
        began = time.perf_counter()
        health.answer("full")
        times.append((time.perf_counter() - began) * 1e6)
    go.set()
    health.clear()
    times.sort()
    return {"answer_us": times[ANSWERS // 2], "answer_p99_us": times[ANSWERS * 99 // 100]}


def application(**options: Any) -> FastAPI:
    """A FastAPI application with one route."""
    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    assert item
    if options:
        add_endpoints(app, **options)
    return app


async def cost(app: FastAPI) -> float:
    """Microseconds of processor time of a request, the best of some rounds."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(_message: Any) -> None:
        """Take what is sent."""

    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(REQUESTS):
            await app(dict(SCOPE), receive, send)
        best = min(best, (time.process_time() - began) / REQUESTS)
    return best * 1e6


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks endpoints", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args(argv)
    figures = answers()
    plain = asyncio.run(cost(application()))
    routes = asyncio.run(cost(application(response_times=False)))
    both = asyncio.run(cost(application(response_times=True)))
    figures |= {"request_us": plain, "routes_us": routes - plain, "times_us": both - routes}
    if arguments.json:
        print(json.dumps(figures))
        return
    print(
        f"health answer, ten of twenty checks hanging  {figures['answer_us']:8.0f} µs (p99 {figures['answer_p99_us']:.0f})"
    )
    print(f"a FastAPI request, without telemetry         {plain:8.1f} µs")
    print(f"  with seven endpoints to look at            {routes - plain:+8.1f} µs")
    print(f"  with response times                        {both - routes:+8.1f} µs")


if __name__ == "__main__":
    main()
