"""Sending the script at a constant rate, whatever the answers do.

Open loop: a request leaves when its time has come, and its latency counts from that time, so a
server that stalls cannot hide it by slowing its callers down.
"""

import asyncio
import statistics
import time
from collections import Counter
from dataclasses import dataclass

import httpx

from storefront import ledger
from storefront.ledger import SHOP
from storefront.traffic.script import Request

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back.

    Attributes:
        began: When the first request left, in seconds since the epoch.
        ended: When the last answer was there.
        answers: Key of the book of requests → answers; a request without an answer is under its error.
        latencies: Seconds from the planned departure of each request to its answer.
        run_ids: ETL runs that were started.
    """

    began: float
    ended: float
    answers: Counter[str]
    latencies: tuple[float, ...]
    run_ids: tuple[str, ...]

    def percentile(self, share: int) -> float:
        """Return the latency that `share` percent of the requests did not exceed, in seconds."""
        return statistics.quantiles(self.latencies, n=100)[share - 1]


async def send(requests: list[Request], url: str, rate: int) -> Outcome:
    """Send every request once, without a retry."""
    answers: Counter[str] = Counter()
    latencies: list[float] = []
    run_ids: list[str] = []

    async def one(client: httpx.AsyncClient, request: Request, due: float) -> None:
        try:
            answer = await client.request(request.kind.method, request.path, json=request.body)
        except httpx.HTTPError as error:
            answers[f"{request.kind.key} without an answer: {type(error).__name__}"] += 1
            return
        latencies.append(time.perf_counter() - due)
        answers[ledger.request(SHOP, request.kind.method, request.kind.route, answer.status_code)] += 1
        if "run_id" in answer.text:
            run_ids.append(answer.json()["run_id"])

    # Each visitor comes by a connection of its own: one that is kept stays with the worker that took it first, and
    # uvicorn closes it a moment after an error that nobody handled, without saying so.
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits, trust_env=False) as client:
        began, start = time.time(), time.perf_counter()
        async with asyncio.TaskGroup() as sending:
            for i, request in enumerate(requests):
                due = start + i / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                sending.create_task(one(client, request, due))
    return Outcome(began, time.time(), answers, tuple(latencies), tuple(run_ids))
