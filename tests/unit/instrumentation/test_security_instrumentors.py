"""Instrumentors of refusals can be undone, disabled and broken, and the application does not notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import jwt
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBearer
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address
from support.measured import Measured, measured
from support.web import ask

from otel_kpi import instrumentation
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.security import fastapi, limits, starlette, tokens
from otel_kpi.packs.security import attempts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured

KEY = "a secret of at least thirty-two bytes"
bearer = HTTPBearer()
ATTEMPTS = "kpi_security_auth_attempts_total"


@pytest.fixture
def series(captured: Captured) -> Iterator[Measured]:
    assert captured
    with measured() as found:
        yield found


def application() -> FastAPI:
    limiter = Limiter(key_func=get_remote_address)
    app = FastAPI()
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type] # slowapi's own recipe

    @app.get("/")
    @limiter.limit("2/minute")  # pyright: ignore[reportUntypedFunctionDecorator] # slowapi has no types
    def view(request: Request, credentials: Annotated[Any, Depends(bearer)]) -> str:
        try:
            return str(jwt.decode(credentials.credentials, KEY, ["HS256"])["sub"]) + request.url.path
        except jwt.InvalidTokenError:
            raise HTTPException(401) from None

    assert view
    return app


def answers() -> list[int]:
    """What an application answers to a good token, a bad one, and one request too many."""
    app = application()
    good = jwt.encode({"sub": "ada"}, KEY, "HS256")
    return [ask(app, "/", authorization=f"Bearer {each}").status for each in (good, "bad", good)]


def counted(series: Measured) -> int:
    return sum(point.value for point in series.points(ATTEMPTS).values())


def test_each_is_loaded_when_its_library_is(captured: Captured) -> None:
    states = {row.name: (row.state, row.tested) for row in instrumentation.report()}
    assert captured
    for name in ("starlette_security", "fastapi_security", "pyjwt", "slowapi"):
        assert states[name] == ("loaded", True)


def test_what_was_undone_counts_nothing_and_what_came_back_counts_once(series: Measured) -> None:
    before = vars(jwt.PyJWT)["decode_complete"]
    instrumentation.uninstall()
    assert vars(jwt.PyJWT)["decode_complete"] is before.__wrapped__
    assert answers() == [200, 401, 429]
    assert counted(series) == 0
    instrumentation.install()
    assert answers() == [200, 401, 429]
    assert counted(series) == 2


def test_one_that_is_disabled_by_name_counts_nothing(series: Measured) -> None:
    instrumentation.uninstall()
    instrumentation.install(disabled=frozenset({"pyjwt", "fastapi_security"}))
    assert answers() == [200, 401, 429]
    assert counted(series) == 0


def test_wrapper_of_somebody_else_on_top_of_ours_stays_and_ours_comes_back(series: Measured) -> None:
    ours = vars(jwt.PyJWT)["decode_complete"]

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    jwt.PyJWT.decode_complete = theirs  # type: ignore[method-assign] # what a second tool does
    try:
        instrumentation.uninstall()
        assert answers() == [200, 401, 429]
        assert counted(series) == 0
        instrumentation.install()
        assert answers() == [200, 401, 429]
        assert counted(series) == 2
    finally:
        jwt.PyJWT.decode_complete = ours  # type: ignore[method-assign] # as it was


@pytest.mark.parametrize("broken", ["begin", "end", "tried", "judged", "offered"])
def test_error_of_ours_does_not_reach_the_application(
    series: Measured, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise LookupError(args, kwargs)

    monkeypatch.setattr(attempts, broken, fail)
    assert answers() == [200, 401, 429]
    assert counted(series) <= 2
    names = ("starlette_security", "fastapi_security", "pyjwt")
    errors = sum(Boundary(name).errors for name in names)
    assert errors > 0 or broken == "judged"


@pytest.mark.parametrize(
    ("module", "name", "boundary"),
    [
        (starlette, "_forwarded", "starlette_security"),
        (fastapi, "scheme_of", "fastapi_security"),
        (tokens, "reason_of", "pyjwt"),
        (limits, "rate_limited", "slowapi"),
    ],
)
def test_each_instrumentor_fails_open(
    series: Measured, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, boundary: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise LookupError(args, kwargs)

    monkeypatch.setattr(module, name, fail)
    assert answers() == [200, 401, 429]
    assert Boundary(boundary).errors > 0
    assert series
