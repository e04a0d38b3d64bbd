"""Who may ask, who has to wait, and what the answer's headers say of limits."""

import hashlib
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse

REFUSED_ONE_IN = 8
"""Questions of which the first attempt is refused; which ones hangs on their text alone."""
WAIT = 0.03  # seconds
LIMIT = 5000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who pays."""

    project: str


def caller(request: Request) -> Caller | None:
    """Read the project from a key, `sk-<project>-<secret>`."""
    key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    kind, _, rest = key.partition("-")
    project, _, secret = rest.rpartition("-")
    return Caller(project) if kind == "sk" and project and secret else None


def refuses(request: Request, question: str) -> bool:
    """Whether this attempt has to wait: what is unlucky, unless it is tried again."""
    return request.headers.get("x-stainless-retry-count", "0") == "0" and unlucky(question)


def unlucky(question: str) -> bool:
    """Whether a question is refused at first."""
    return int(hashlib.sha256(question.encode()).hexdigest(), 16) % REFUSED_ONE_IN == 0


def refusal(headers: dict[str, str]) -> JSONResponse:
    """429, with when to come again: in milliseconds, which the SDKs read first, and in whole seconds."""
    body = {
        "error": {"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "a little slower"}
    }
    waiting = {"retry-after-ms": str(int(WAIT * 1000)), "retry-after": "1"}
    return JSONResponse(body, 429, headers | waiting)


def unknown() -> JSONResponse:
    """401: nobody's key."""
    return JSONResponse({"error": {"type": "authentication_error", "message": "unknown key"}}, 401)


def no_such_model(model: str) -> JSONResponse:
    """404."""
    return JSONResponse({"error": {"type": "not_found_error", "message": f"no model {model}"}}, 404)
