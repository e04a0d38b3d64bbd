"""OTLP over HTTP: `POST /v1/traces`, `/v1/metrics`, `/v1/logs`, as protobuf or JSON.

https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_kpi.dev.receiver.status import (
    DEADLINE_EXCEEDED,
    INVALID_ARGUMENT,
    UNIMPLEMENTED,
    Form,
    RefusedError,
    Status,
    accepted,
)
from otel_kpi.dev.receiver.taking import SECONDS
from otel_kpi.dev.receiver.unpacking import ENCODINGS, check, too_large

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.routing import BaseRoute

    from otel_kpi.dev.receiver.taking import Receiver, Room
    from otel_kpi.dev.telemetry import Signal

_TYPES: Final[dict[Form, str]] = {"protobuf": "application/x-protobuf", "json": "application/json"}
_FORMS: Final[dict[str, Form]] = {
    "application/protobuf": "protobuf",
    "application/x-protobuf": "protobuf",
    "application/json": "json",
}
_NUMBER_DIGITS: Final = 15


def _receiving(signal: Signal) -> Callable[[Request], Awaitable[Response]]:
    async def receive(request: Request) -> Response:
        form: Form | None = None
        try:
            form = _form(request)
            return await _take(request, signal, form)
        except RefusedError as refused:
            receiver: Receiver = request.app.state.receiver
            receiver.refused(signal, refused)
            return answer(refused.status, form)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it

    receive.__name__ = f"receive_{signal}"
    return receive


async def _take(request: Request, signal: Signal, form: Form) -> Response:
    encoding = request.headers.get("content-encoding", "").strip().lower()
    check(encoding)
    receiver: Receiver = request.app.state.receiver
    with receiver.room() as room:
        body = await _read(request, room, receiver.most_bytes)
        taken = await receiver.take(signal, body, encoding, form)
    return Response(accepted(taken, form), media_type=_TYPES[form])


def _form(request: Request) -> Form:
    given = request.headers.get("content-type", "")
    form = _FORMS.get(given.partition(";")[0].strip().lower())
    if form is None:
        message = f"Content-Type {given[:80]!a} is not known here: application/x-protobuf or application/json"
        raise RefusedError(Status(UNIMPLEMENTED, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message))
    return form


async def _read(request: Request, room: Room, most: int) -> bytes:
    said = request.headers.get("content-length", "")
    if said and (len(said) > _NUMBER_DIGITS or int(said) > most):
        raise too_large(most)
    pieces: list[bytes] = []
    try:
        async with asyncio.timeout(SECONDS):
            async for piece in request.stream():
                room.add(len(piece))
                pieces.append(piece)
    except TimeoutError:
        message = f"the body took longer than {SECONDS:.0f} s"
        raise RefusedError(Status(DEADLINE_EXCEEDED, HTTPStatus.REQUEST_TIMEOUT, message)) from None
    return b"".join(pieces)


def answer(status: Status, form: Form | None) -> Response:
    """A refusal, in the sender's own form; as JSON, which a person can read, where it has none that is known."""
    headers: dict[str, str] = {}
    if status.retry_after is not None:
        headers["Retry-After"] = str(status.retry_after)
    if status.http == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers["Accept-Encoding"] = ", ".join(ENCODINGS)
    content = status.protobuf() if form == "protobuf" else status.json()
    return Response(content, status.http, headers, _TYPES[form or "json"])


def _other_method(_: Request) -> Response:
    message = "OTLP is sent here by POST; the pages begin at /"
    response = answer(Status(INVALID_ARGUMENT, HTTPStatus.METHOD_NOT_ALLOWED, message), None)
    response.headers["Allow"] = "POST"
    return response


_SIGNALS: Final[tuple[Signal, ...]] = ("traces", "metrics", "logs")
_OTHER: Final = ("GET", "PUT", "PATCH", "DELETE", "OPTIONS")

ROUTES: Final[list[BaseRoute]] = [
    *(Route(f"/v1/{signal}", _receiving(signal), methods=["POST"]) for signal in _SIGNALS),
    *(Route(f"/v1/{signal}", _other_method, methods=_OTHER) for signal in _SIGNALS),
]
