"""Sends the conversations: several at a time, the steps of each one after the other."""

import asyncio
from collections import Counter
from typing import Any

import httpx

from innatural_chatbot.traffic.script import CREATED, FAILED, Conversation, Step

AT_ONCE = 16


async def send(script: list[Conversation], url: str) -> list[str]:
    """Send every step once, without a retry.

    Returns:
        A line for each kind of answer that was not the planned one.
    """
    wrong: Counter[str] = Counter()
    waiting = asyncio.Semaphore(AT_ONCE)
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits, trust_env=False) as client:

        async def talk(conversation: Conversation) -> None:
            async with waiting:
                session = ""
                for step in conversation.steps:
                    session = await _take(step, client, conversation, session, wrong)

        await asyncio.gather(*(talk(conversation) for conversation in script))
    return [f"{line}: {count} times" for line, count in sorted(wrong.items())]


async def _take(
    step: Step, client: httpx.AsyncClient, whose: Conversation, session: str, wrong: Counter[str]
) -> str:
    """One step; returns the session in which the next one is."""
    body: dict[str, Any] | None = step.body and {
        key: session if value == "{session}" else value for key, value in step.body.items()
    }
    headers = {"x-sender": whose.sender, "x-shop": whose.shop.name}
    if step.status == FAILED:
        # uvicorn closes the connection after an error that nobody handled, without saying so.
        headers["connection"] = "close"
    try:
        answer = await client.request(
            step.method, step.path.replace("{session}", session), json=body, headers=headers
        )
    except httpx.HTTPError as error:
        wrong[f"{step.method} {step.route}: no answer ({type(error).__name__})"] += 1
        return session
    if answer.status_code != step.status:
        wrong[f"{step.method} {step.route}: {answer.status_code} in place of {step.status}"] += 1
    return answer.json()["session_id"] if answer.status_code == CREATED else session
