"""Who asks: read from the token that the site signed."""

from dataclasses import dataclass
from typing import Annotated

import jwt
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer


@dataclass(frozen=True, slots=True)
class Member:
    """A member, and the club that pays."""

    name: str
    club: str


def _read(request: Request, given: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> Member:
    try:
        claims = jwt.decode(given.credentials, request.app.state.settings.signing_key, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "no token of ours") from None
    return Member(claims["name"], claims["club"])


Asking = Annotated[Member, Depends(_read)]
