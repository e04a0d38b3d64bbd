"""Sessions, messages and feedback."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from sqlalchemy import update

from innatural_chatbot import catalogue
from innatural_chatbot.service import limits, model
from innatural_chatbot.service.database import Message, Session, begin
from innatural_chatbot.service.limits import PER_SENDER, limiter
from innatural_chatbot.shops import MOROCCO, SHOPS
from otel_kpi import chat

router = APIRouter(prefix="/api")


class Opening(BaseModel):
    language: Literal["ar", "en"]


class Said(BaseModel):
    session_id: str
    language: Literal["ar", "en"]
    text: Annotated[str, Field(min_length=1, max_length=500)]


class Opinion(BaseModel):
    session_id: str
    rating: Literal["positive", "negative"]


@router.post("/sessions", status_code=201)
async def open_session(opening: Opening, request: Request) -> dict[str, str]:
    """Begin a session: one INSERT."""
    made = Session(id=uuid.uuid4().hex, language=opening.language)
    async with begin(request.app.state.engine) as database:
        database.add(made)
    chat.session_started()
    return {"session_id": made.id}


@router.delete("/sessions/{session_id}", status_code=204)
async def close_session(session_id: str, request: Request) -> None:
    """End a session, whichever worker began it: one SELECT, one UPDATE."""
    async with begin(request.app.state.engine) as database:
        found = await database.get(Session, session_id)
        if found is None or found.ended is not None:
            raise HTTPException(404, "no such session")
        now = datetime.now(UTC)
        await database.execute(update(Session).where(Session.id == session_id).values(ended=now))
    began = found.began if found.began.tzinfo else found.began.replace(tzinfo=UTC)  # SQLite keeps no zone
    chat.session_ended((now - began).total_seconds())


@router.post("/chat")
@limiter.limit(PER_SENDER)  # pyright: ignore[reportUntypedFunctionDecorator] - slowapi says no types
async def say(said: Said, request: Request) -> dict[str, object]:
    """Answer a message: one SELECT, two INSERTs, one call of the model, one ZINCRBY for each product."""
    shop = SHOPS[request.headers.get("x-shop", MOROCCO.name)]
    async with begin(request.app.state.engine) as database:
        if await database.get(Session, said.session_id) is None:
            raise HTTPException(404, "no such session")
        database.add(Message(session_id=said.session_id, role="user", text=said.text))
    chat.message("user", said.language)
    try:
        answer = await model.complete(
            request.app.state.models[shop.name], shop, limits.sender(request), said.text
        )
    except TimeoutError as error:
        chat.error(error, "error")
        raise HTTPException(504, str(error)) from None
    async with begin(request.app.state.engine) as database:
        database.add(Message(session_id=said.session_id, role="assistant", text=answer))
    chat.message("assistant", said.language)
    products = catalogue.fitting(said.text)
    if products:
        chat.recommendation(len(products))
        await request.app.state.popularity.add(products)
    return {"answer": answer, "products": [product.name for product in products]}


@router.post("/feedback", status_code=204)
async def rate(opinion: Opinion) -> None:
    """What the user thought of the conversation."""
    chat.feedback(opinion.rating)
