"""Plays the sessions: several at a time, the steps of each one after the other."""

import asyncio
from collections import Counter

import httpx

from coaching_ia.traffic.script import Session

AT_ONCE = 8
CREATED, OK = 201, 200


async def play(script: list[Session], url: str, password: str) -> list[str]:
    """Send every step once, without a retry.

    Returns:
        A line for each kind of answer that was not the planned one.
    """
    wrong: Counter[str] = Counter()
    waiting = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        tokens = {name: await _token(client, name, password) for name in {each.member for each in script}}

        async def talk(session: Session) -> None:
            async with waiting:
                headers = {"Authorization": f"Bearer {tokens[session.member]}"}
                begun = await client.post("/api/v1/sessions", headers=headers)
                _look(begun, CREATED, wrong)
                for step in session.steps:
                    path = step.path.replace("{session}", begun.json()["id"])
                    _look(
                        await client.post(path, json=step.body, headers=headers),
                        step.status,
                        wrong,
                        step.path,
                    )

        await asyncio.gather(*(talk(session) for session in script))
    return [f"{line}: {count} times" for line, count in sorted(wrong.items())]


async def _token(client: httpx.AsyncClient, name: str, password: str) -> str:
    answer = await client.post("/api/v1/token", json={"username": name, "password": password})
    return answer.raise_for_status().json()["access"]


def _look(answer: httpx.Response, status: int, wrong: Counter[str], path: str = "/api/v1/sessions") -> None:
    if answer.status_code != status:
        wrong[f"POST {path}: {answer.status_code} in place of {status}"] += 1
