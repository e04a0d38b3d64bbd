"""What OpenAI's client knows of its requests: attempts that it makes again, how long it waits, limits of the provider."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from support.llm import Answer

from .test_openai import ASK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.llm import ScriptedProvider

    from .conftest import Followed

SOON: Any = {"retry-after-ms": "3"}
LIMITS: Any = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "29950",
    "x-ratelimit-reset-tokens": "6m0s",
}


@pytest.fixture
def patient(scripted: ScriptedProvider) -> Iterator[OpenAI]:
    """A client that tries three times."""
    with OpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=2) as client:
        yield client


def test_attempts_are_counted_by_what_they_met_with_the_wait(
    followed: Followed, scripted: ScriptedProvider, patient: OpenAI
) -> None:
    scripted.next(Answer(status=429, headers=SOON), Answer(status=503, headers=SOON), Answer())
    assert patient.chat.completions.create(**ASK).choices
    assert len(scripted.requests) == 3
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"429": 1, "503": 1}
    waited = followed.counted("kpi_llm_retry_wait_seconds", "kpi_llm_retry_status")
    assert waited == {"429": pytest.approx(0.003), "503": pytest.approx(0.003)}
    assert followed.span().status.status_code.name == "UNSET"


def test_the_last_attempt_is_an_error_and_no_retry(
    followed: Followed, scripted: ScriptedProvider, patient: OpenAI
) -> None:
    scripted.next(*[Answer(status=429, headers=SOON)] * 3)
    with pytest.raises(openai.RateLimitError):
        patient.chat.completions.create(**ASK)
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"429": 2}
    assert followed.attributes()["error.type"] == "openai.RateLimitError"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_was_not_answered_is_a_timeout_or_a_connection(
    asynchronous: bool,  # noqa: FBT001 - a parameter of the test
    followed: Followed,
    scripted: ScriptedProvider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    going_on = threading.Event()
    scripted.next(Answer(hang_up=True), Answer(hold=going_on), Answer())
    given: Any = {"api_key": "none", "base_url": f"{scripted.url}/v1", "max_retries": 2, "timeout": 0.3}

    async def ask() -> None:
        async with AsyncOpenAI(**given) as client:
            await client.chat.completions.create(**ASK)

    try:
        if asynchronous:
            asyncio.run(ask())
        else:
            with OpenAI(**given) as client:
                client.chat.completions.create(**ASK)
    finally:
        going_on.set()
    found = followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status")
    assert found == {"connection": 1, "timeout": 1}


def test_the_asynchronous_client_waits_as_well(followed: Followed, scripted: ScriptedProvider) -> None:
    scripted.next(Answer(status=429, headers=SOON | LIMITS), Answer(hang_up=True))

    async def ask() -> None:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=2) as client:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
                await client.chat.completions.create(**ASK)

    asyncio.run(ask())
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"429": 1, "connection": 1}


@pytest.mark.parametrize("status", [200, 429, 500])
def test_limits_are_those_of_the_last_answer_a_failing_one_too(
    status: int, followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(status=status, headers=LIMITS))
    if status == 200:
        openai_client.chat.completions.create(**ASK)
    else:
        with pytest.raises(openai.APIStatusError):
            openai_client.chat.completions.create(**ASK)
    kind = "kpi_llm_rate_limit_kind"
    assert followed.counted("kpi_llm_rate_limit_limit", kind) == {"requests": 500, "tokens": 30000}
    assert followed.counted("kpi_llm_rate_limit_remaining", kind) == {"requests": 499, "tokens": 29950}
    assert followed.counted("kpi_llm_rate_limit_reset_seconds", kind) == {"requests": 0.12, "tokens": 360}


def test_limits_of_streams_and_embeddings_are_read(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(headers=LIMITS))
    list(openai_client.chat.completions.create(**ASK, stream=True))
    assert followed.counted("kpi_llm_rate_limit_remaining", "kpi_llm_rate_limit_kind")["tokens"] == 29950
    scripted.next(Answer(headers=LIMITS | {"x-ratelimit-remaining-tokens": "7"}))
    openai_client.embeddings.create(model="text-embedding-3-small", input="maize")
    models = followed.counted("kpi_llm_rate_limit_remaining", "gen_ai_request_model")
    assert models["text-embedding-3-small"] == 499 + 7


def test_other_requests_of_the_client_are_none_of_a_call(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(headers=LIMITS))
    assert openai_client.models.list().data
    assert not followed.spans()
    assert not followed.series.points("kpi_llm_rate_limit_remaining")
