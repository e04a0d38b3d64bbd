"""Sessions that are always the same, and the calls of models that they cause: known before the first one leaves."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from model_provider.answers import EVERYTHING
from model_provider.gate import unlucky

from coaching_ia.api.models import CHAT, PLAN, SUM_UP, SUMMARY, VECTORS, wish
from coaching_ia.clubs import HOUSE, MEMBERS

QUESTIONS = (
    "How is endurance built?",
    "When are intervals useful, and how many sessions a week?",
    "How much sleep is enough for recovery?",
    "What should I drink on a long run?",
    "How straight is the leg on the saddle?",
    "When do I have to be at the start of a race?",
    "Which protein helps muscles in the evening?",
    f"Please tell me {EVERYTHING} about training.",
    "Is stretching before a race any good?",
    "How fast should climbs be ridden?",
)
GOALS = (
    "intervals before a race in autumn",
    "climbs and endurance for cycling",
    "running without pain after recovery",
    "a long race in the mountains",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One request to the site, and the status that it gets."""

    path: str
    body: dict[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Session:
    """What one member does, one step after the other; `{session}` in a path stands for the session that they begin."""

    member: str
    club: str
    steps: tuple[Step, ...]


@dataclass(slots=True)
class Plan:
    """What follows.

    Attributes:
        calls: Calls that are answered to their end, by tenant, feature and model.
        refused: Attempts that are made again, by model.
        abandoned: Streams that are not read to their end, by tenant, feature and model.
        questions: What members ask.
    """

    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    refused: Counter[str] = field(default_factory=Counter[str])
    abandoned: Counter[tuple[str, str, str]] = field(default_factory=Counter[tuple[str, str, str]])
    questions: int = 0


def sessions(count: int) -> list[Session]:
    """The script: so many sessions, the members taking turns."""
    members = [(name, club) for club, names in MEMBERS.items() for name in names]
    return [Session(*members[number % len(members)], tuple(_steps(number))) for number in range(count)]


def plan(script: list[Session], workers: int) -> Plan:
    """The calls of models that all of it causes; each worker of the API reads the documents when it starts."""
    planned = Plan()
    planned.calls[HOUSE, "index", VECTORS] += workers
    for session in script:
        for step in session.steps:
            _add(planned, session.club, step)
    return planned


def _add(planned: Plan, club: str, step: Step) -> None:
    if "question" in step.body:
        asked = step.body["question"]
        planned.questions += 1
        planned.calls[club, "chat", VECTORS] += 1
        planned.refused[CHAT] += unlucky(asked)
        if EVERYTHING in asked:
            planned.abandoned[club, "chat", CHAT] += 1
        else:
            planned.calls[club, "chat", CHAT] += 1
    elif "goal" in step.body:
        planned.calls[club, "plan", VECTORS] += 1
        planned.calls[club, "plan", PLAN] += 1
        planned.refused[PLAN] += unlucky(wish(step.body["goal"], step.body["weeks"]))
    elif step.path.endswith("/end"):
        planned.calls[club, "summary", SUMMARY] += 1
        planned.refused[SUMMARY] += unlucky(SUM_UP)


def _steps(number: int) -> Iterator[Step]:
    for turn in range(1 + number % 3):
        asked = QUESTIONS[(3 * number + turn) % len(QUESTIONS)]
        yield Step("/api/v1/sessions/{session}/questions", {"question": asked})
    if number % 3 == 0:
        goal = {"goal": GOALS[number % len(GOALS)], "weeks": 4 + number % 8}
        yield Step("/api/v1/sessions/{session}/plan", goal)
    if number % 4:
        yield Step("/api/v1/sessions/{session}/end", {})
