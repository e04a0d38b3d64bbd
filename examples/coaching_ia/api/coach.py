"""What the coach does. The lines of telemetry are those that nobody else could say: for which club, for what, from what."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from coaching_ia.api import models
from coaching_ia.api.documents import INSTRUCTIONS, Hit
from coaching_ia.api.members import Asking, Member
from coaching_ia.api.models import Clients
from otel_kpi import coaching, llm, rag

router = APIRouter(prefix="/api/v1")
TOP = 3
"""Documents that go along with a question."""


class Talk(BaseModel):
    """A session with the coach so far."""

    session: str
    history: list[dict[str, str]] = []


class Question(Talk):
    question: Annotated[str, Field(min_length=1, max_length=500)]


class Goal(Talk):
    goal: Annotated[str, Field(min_length=1, max_length=200)]
    weeks: Annotated[int, Field(ge=1, le=52)]


@router.post("/answers")
async def answer(asked: Question, member: Asking, request: Request) -> dict[str, Any]:
    """Answer a question out of the documents: two calls of models."""
    with _spent_for(member, "chat", asked), rag.query("coach", asked.question) as query:
        hits = await _search(request, member, asked.question)
        with query.generation():
            said = await models.answer(
                _clients(request, member), INSTRUCTIONS, _text(hits), asked.history, asked.question
            )
    return {"answer": said, "sources": [hit.document.name for hit in hits]}


@router.post("/plans")
async def plan(wanted: Goal, member: Asking, request: Request) -> dict[str, Any]:
    """Make a training plan: two calls of models."""
    with _spent_for(member, "plan", wanted), coaching.plan("training"):
        hits = await _search(request, member, wanted.goal)
        made = await models.plan(
            _clients(request, member), _instructions(request), _text(hits), wanted.goal, wanted.weeks
        )
    return {"plan": made, "sources": [hit.document.name for hit in hits]}


@router.post("/summaries")
async def summary(talk: Talk, member: Asking, request: Request) -> dict[str, Any]:
    """Sum a session up: one call of a model."""
    with _spent_for(member, "summary", talk):
        made = await models.summary(_clients(request, member), talk.history)
    return {"summary": made}


@contextmanager
def _spent_for(member: Member, feature: str, talk: Talk) -> Generator[None]:
    """Everything that is spent within is the club's, for a feature of the coach, in a session."""
    with (
        llm.context(tenant=member.club, feature=feature, user=member.name),
        llm.conversation(talk.session),
    ):
        yield


async def _search(request: Request, member: Member, text: str) -> list[Hit]:
    with rag.retrieval("documents", top_k=TOP, model=models.VECTORS) as retrieval:
        (vector,) = await models.vectors(_clients(request, member), [text])
        return retrieval.documents(request.app.state.index.nearest(vector)[:TOP])


def _instructions(request: Request) -> str:
    """What stands before every plan; with the time in its first line where somebody wanted that."""
    if not request.app.state.settings.clock:
        return INSTRUCTIONS
    return f"It is {datetime.now(UTC).isoformat()}.\n{INSTRUCTIONS}"


def _clients(request: Request, member: Member) -> Clients:
    return request.app.state.clients[member.club]


def _text(hits: list[Hit]) -> str:
    return "\n\n".join(hit.document.text for hit in hits) or "There is no document on this."
