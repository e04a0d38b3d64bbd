"""What a member does: begin a session, ask, have a plan made, end. The thinking is the API's."""

from typing import Any

import httpx
from django.conf import settings
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework.decorators import api_view
from rest_framework.response import Response

from coaching_ia.site.models import Session
from otel_kpi import coaching

WITHIN = 30.0  # seconds
_api = httpx.Client(base_url=settings.NOW.api_url, timeout=WITHIN, trust_env=False)


@api_view(["POST"])
def begin(request: Any) -> Response:
    """Begin a session."""
    return Response({"id": Session.objects.create(member=request.user).id}, 201)


@api_view(["POST"])
def ask(request: Any, session: str) -> Response:
    """Ask the coach; the talk so far goes along."""
    found = _open(request, session)
    question = request.data["question"]
    answer = _think(request, "answers", found, question=question)
    found.messages.create(role="user", content=question)
    found.messages.create(role="assistant", content=answer["answer"])
    return Response(answer)


@api_view(["POST"])
def plan(request: Any, session: str) -> Response:
    """Have a training plan made."""
    found = _open(request, session)
    return Response(_think(request, "plans", found, goal=request.data["goal"], weeks=request.data["weeks"]))


@api_view(["POST"])
def end(request: Any, session: str) -> Response:
    """End a session with a summary of it."""
    found = _open(request, session)
    found.summary = _think(request, "summaries", found)["summary"]
    found.ended = timezone.now()
    found.save()
    coaching.track_coaching_session("site", (found.ended - found.began).total_seconds())
    return Response({"summary": found.summary})


def _open(request: Any, session: str) -> Session:
    return get_object_or_404(Session, id=session, member=request.user, ended=None)


def _think(request: Any, what: str, session: Session, **more: Any) -> Any:
    """Ask the API in the member's name.

    Raises:
        httpx.HTTPError: It does not answer, or not with 200.
    """
    history = list(session.messages.order_by("id").values("role", "content"))
    answer = _api.post(
        f"/api/v1/{what}",
        json={"session": str(session.id), "history": history, **more},
        headers={"Authorization": request.headers["Authorization"]},
    )
    return answer.raise_for_status().json()
