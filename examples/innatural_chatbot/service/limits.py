"""How often one sender may speak: counted in Redis for all workers together, or in this one."""

from slowapi import Limiter
from starlette.requests import Request

from innatural_chatbot import settings

PER_SENDER = "5/day"


def sender(request: Request) -> str:
    """Who speaks."""
    return request.headers.get("x-sender", "") or (request.client.host if request.client else "")


limiter = Limiter(key_func=sender, storage_uri=settings.load().redis_url or "memory://")
