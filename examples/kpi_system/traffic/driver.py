"""Sending the script: four clients that listen, one request after the other, and people who sign in at the office."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from kpi_system.traffic import script, signins

WITHIN = 30.0
"""Seconds for anything that the server answers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back.

    Attributes:
        answers: By request and status, as in the plan.
        received: Events that each client got.
    """

    answers: Counter[str]
    received: list[int]


@asynccontextmanager
async def played(url: str, office: str, key: str, rounds: int) -> AsyncGenerator[Outcome]:
    """Send so many rounds; the block is run while the clients that stay are connected.

    Args:
        url: The server's, `http://…`.
        office: The office's.
        key: The right one.
        rounds: How often everything is done.
    """
    listen = f"{url.replace('http', 'ws', 1)}/ws"
    answers: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(f"{listen}?key={key}", proxy=None))
            for _ in script.SUBSCRIPTIONS
        ]
        for client, models in zip(clients, script.SUBSCRIPTIONS, strict=True):
            await _say(client, "subscribe", models)
        await _is_refused(listen)
        await _explodes(f"{listen}?key={key}")
        planned = script.plan(rounds).received
        async with httpx.AsyncClient(base_url=url, timeout=WITHIN, trust_env=False) as http:
            listening = asyncio.gather(*map(_events, clients, planned))
            signing_in = asyncio.ensure_future(signins.played(office, key, rounds))
            rounds_of_requests = chain.from_iterable(map(script.requests, range(rounds)))
            for request in (script.BEGIN_ARCHIVE, *rounds_of_requests):
                answer = await _send(http, request, key)
                path = request.path.partition("?")[0]
                answers[f"{request.method} {path} {answer.status_code}"] += 1
            received = await asyncio.wait_for(listening, WITHIN)
            answers += await signing_in
            for client, models in list(zip(clients, script.SUBSCRIPTIONS, strict=True))[script.OPEN :]:
                await _say(client, "unsubscribe", models)
                await client.close()
            yield Outcome(answers, received)
            await _send(http, script.END_ARCHIVE, key)


async def _send(http: httpx.AsyncClient, request: script.Request, key: str) -> httpx.Response:
    headers = {"none": {}, "wrong": {"x-api-key": "wrong"}, "right": {"x-api-key": key}}[request.key]
    return await http.request(request.method, request.path, json=request.body, headers=headers)


async def _say(client: ClientConnection, operation: str, models: tuple[str, ...]) -> None:
    await client.send(json.dumps({"op": operation, "models": models}))
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), WITHIN))
    if answer["done"] != operation:
        raise RuntimeError(f"{operation} was not done: {answer}")


async def _events(client: ClientConnection, expected: int) -> int:
    """Count events until there are as many as planned; fewer end the play by its time-out."""
    received = 0
    while received < expected:
        event: dict[str, Any] = json.loads(await client.recv())
        received += "type" in event
    return received


async def _is_refused(url: str) -> None:
    try:
        async with connect(url, proxy=None):
            raise RuntimeError("a client without a key was let in")
    except InvalidStatus:
        pass


async def _explodes(url: str) -> None:
    async with connect(url, proxy=None) as client:
        await client.send(json.dumps({"op": "explode"}))
        try:
            await asyncio.wait_for(client.recv(), WITHIN)
        except ConnectionClosedError:
            return
        raise RuntimeError("the server did not close the connection")
