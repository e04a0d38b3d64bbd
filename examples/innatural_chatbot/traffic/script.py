"""Conversations that are always the same, and what they cause: known before the first request leaves."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from model_provider.answers import SLOW, answer, prompt_tokens, tokens

from innatural_chatbot import catalogue
from innatural_chatbot.shops import BRITAIN, INSTRUCTIONS, MOROCCO, Shop
from innatural_chatbot.traffic.plan import Plan

ALLOWED = 5
"""Messages of one sender that are answered; see `service/limits.py`."""
CREATED, NO_CONTENT, OK, MISSING, INVALID, TOO_MANY, FAILED, TOO_LATE = 201, 204, 200, 404, 422, 429, 500, 504

_SENTENCES = {
    "en": ("which oil for dry hair", "and for the skin", "do you sell soap", "thank you", "good evening"),
    "ar": ("أريد زيت للشعر", "ماء ورد من فضلك", "هل لديكم صابون", "شكرا", "مساء الخير"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a conversation, and the status that it gets.

    Attributes:
        method: HTTP's.
        path: `{session}` stands for the session that the conversation began.
        route: The template that the service has for it.
        status: That of the answer.
        body: JSON; `{session}` in its texts, too.
        causes: What follows beside the request itself: series and what is added.
    """

    method: str
    path: str
    route: str
    status: int
    body: dict[str, Any] | None = None
    causes: Plan = field(default_factory=Plan)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one sender does, one step after the other."""

    sender: str
    shop: Shop
    steps: tuple[Step, ...]


def conversations(count: int, run: str) -> list[Conversation]:
    """The script: `count` conversations, of which each tenth is impatient and each fifth never ends.

    Args:
        count: How many.
        run: Makes the senders those of this run: the limit is counted for a day.
    """
    return [
        Conversation(f"{run}-{number}", (shop := _shop(number)), tuple(_steps(number, shop)))
        for number in range(count)
    ]


def plan(script: list[Conversation]) -> Plan:
    """What all of it causes."""
    planned = Plan()
    for conversation in script:
        for step in conversation.steps:
            planned.add(step.causes)
            planned.request(step.method, step.route, step.status)
    return planned


def _shop(number: int) -> Shop:
    return BRITAIN if number % 4 == 3 else MOROCCO  # noqa: PLR2004 - each fourth


def _steps(number: int, shop: Shop) -> Iterator[Step]:
    language = shop.language
    yield Step(
        "POST",
        "/api/sessions",
        "/api/sessions",
        CREATED,
        {"language": language},
        Plan().statement("INSERT").session(1),
    )
    messages = 8 if number % 10 == 7 else 1 + number % 3  # noqa: PLR2004 - more than allowed, or a few
    for turn in range(messages):
        yield _message(number, turn, shop)
    if number % 5 == 2:  # noqa: PLR2004 - each fifth
        yield from _mistakes(language)
    if number % 10 == 4:  # noqa: PLR2004 - each tenth
        yield from _products()
    if number % 2 == 0:
        yield _feedback("positive" if number % 4 == 0 else "negative")
    if number % 5 != 1:
        yield Step(
            "DELETE",
            "/api/sessions/{session}",
            "/api/sessions/{session_id}",
            NO_CONTENT,
            causes=Plan().statement("SELECT").statement("UPDATE").session(-1),
        )


def _message(number: int, turn: int, shop: Shop) -> Step:
    language = shop.language
    text = _SENTENCES[language][(number + turn) % len(_SENTENCES[language])]
    if number % 10 == 9 and turn == 0:  # noqa: PLR2004 - each tenth waits for an answer that is too late
        text = f"{SLOW} {text}"
    body = {"session_id": "{session}", "language": language, "text": text}
    causes = Plan()
    if turn >= ALLOWED:
        return Step("POST", "/api/chat", "/api/chat", TOO_MANY, body, causes.rate_limit_hit())
    causes.statement("SELECT").statement("INSERT").message("user", language)
    if text.startswith(SLOW):
        causes.ai_request(shop.model, "error").error("TimeoutError", "error")
        return Step("POST", "/api/chat", "/api/chat", TOO_LATE, body, causes)
    causes.ai_request(shop.model, "success")
    causes.tokens(shop.model, prompt_tokens([INSTRUCTIONS, text]), tokens(answer([INSTRUCTIONS], text)))
    causes.statement("INSERT").message("assistant", language)
    for _ in catalogue.fitting(text):
        causes.recommendation().redis("ZINCRBY")
    return Step("POST", "/api/chat", "/api/chat", OK, body, causes)


def _mistakes(language: str) -> Iterator[Step]:
    empty = {"session_id": "{session}", "language": language, "text": ""}
    for body, kind in ((empty, "string_too_short"), ({"session_id": "{session}", "text": "?"}, "missing")):
        causes = Plan().validation_error(kind).error("ValidationError", "warning")
        yield Step("POST", "/api/chat", "/api/chat", INVALID, body, causes)
    yield Step("GET", "/api/nowhere/4711", "unmatched", MISSING)


def _products() -> Iterator[Step]:
    route, one = "/api/products/{product_id}", Plan().statement("SELECT")
    yield Step("GET", "/api/products/1", route, OK, causes=one)
    yield Step("GET", "/api/products/99", route, MISSING, causes=one)
    broken = Plan().statement("SELECT").error("InvalidOperation", "critical")
    yield Step("GET", f"/api/products/{catalogue.BROKEN}", route, FAILED, causes=broken)
    yield Step("GET", "/api/products/popular", "/api/products/popular", OK, causes=Plan().redis("ZREVRANGE"))


def _feedback(rating: str) -> Step:
    body = {"session_id": "{session}", "rating": rating}
    return Step("POST", "/api/feedback", "/api/feedback", NO_CONTENT, body, Plan().feedback(rating))
