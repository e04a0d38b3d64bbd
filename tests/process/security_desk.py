"""A FastAPI application whose tokens are PyJWT's and whose limits are slowapi's."""

from __future__ import annotations

from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

KEY = "a secret of at least thirty-two bytes"

limiter = Limiter(key_func=get_remote_address)
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type] # slowapi's own recipe
bearer = OAuth2PasswordBearer("token")


def user_of(token: Annotated[str, Depends(bearer)]) -> str:
    try:
        return str(jwt.decode(token, KEY, ["HS256"])["sub"])
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None


@app.get("/orders")
def orders(user: Annotated[str, Depends(user_of)]) -> str:
    return user


@app.get("/login")
@limiter.limit("2/hour")  # pyright: ignore[reportUntypedFunctionDecorator] # slowapi has no types
def login(request: Request) -> str:
    return request.method
