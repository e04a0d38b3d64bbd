"""How long after its end a span is found in Jaeger."""

import asyncio
import secrets
import time

import httpx

BETWEEN = 0.13  # seconds between two requests: no multiple of any batch interval
PAUSE = 0.02  # seconds between two questions
PATIENCE = 30.0  # seconds


async def measure(shop: str, jaeger: str, count: int) -> list[float]:
    """Send requests whose trace ids are known beforehand, and ask Jaeger for each until it is there.

    Returns:
        Seconds from the answer of each request, which is when its server span ends, to the hit.

    Raises:
        TimeoutError: A trace did not arrive.
    """
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:

        async def one(number: int) -> float:
            await asyncio.sleep(number * BETWEEN)
            trace_id = secrets.token_hex(16)
            parent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
            (await client.get(f"{shop}/products/1", headers={"traceparent": parent})).raise_for_status()
            ended = time.monotonic()
            async with asyncio.timeout(PATIENCE):
                while not (await client.get(f"{jaeger}/api/traces/{trace_id}")).is_success:  # noqa: ASYNC110 - Jaeger has no event
                    await asyncio.sleep(PAUSE)
            return time.monotonic() - ended

        return await asyncio.gather(*(one(number) for number in range(count)))
