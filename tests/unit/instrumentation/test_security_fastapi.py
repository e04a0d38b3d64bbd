"""FastAPI's schemes, PyJWT, python-jose and slowapi: one attempt for each request, and the reason of who knows it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import jose.jwt
import jwt
import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBearer, OAuth2PasswordBearer
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.middleware import SlowAPIMiddleware
from slowapi.util import get_remote_address
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from support.measured import Measured, measured
from support.web import ask, converse, scope_of

from otel_kpi import security
from otel_kpi.instrumentation.security.starlette import Instrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured

KEY = "a secret of at least thirty-two bytes"
OLD_KEY = "another secret of thirty-two bytes, retired"
ADDRESS = "203.0.113.77"

Totals = dict[tuple[str, ...], int]


@pytest.fixture
def series(captured: Captured) -> Iterator[Measured]:
    assert captured
    with measured() as found:
        yield found


def attempts(series: Measured) -> Totals:
    """Attempts by scheme, result and reason."""
    names = ("kpi_security_auth_scheme", "kpi_security_auth_result", "kpi_security_auth_reason")
    return {
        tuple(dict(labels)[name] for name in names if name in dict(labels)): point.value
        for labels, point in series.points("kpi_security_auth_attempts_total").items()
    }


def limits(series: Measured) -> Totals:
    """Requests by policy and result."""
    return {
        (labels[0][1], labels[1][1]): point.value
        for labels, point in series.points("kpi_security_rate_limit_requests_total").items()
    }


def token(key: str = KEY, **claims: Any) -> str:
    return jwt.encode({"sub": "ada", "aud": "shop"} | claims, key, "HS256")


def expired() -> str:
    return token(exp=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


def decode_complete() -> Any:
    """The module's function; before PyJWT 2.5 there is the method alone."""
    return getattr(jwt, "decode_complete", jwt.PyJWT().decode_complete)


bearer = OAuth2PasswordBearer("token")
api_key = APIKeyHeader(name="X-Key")


def user_of(credentials: Annotated[str, Depends(bearer)]) -> str:
    """As FastAPI's tutorial has it: the library's exception becomes a 401 of the application's."""
    try:
        return str(jwt.decode(credentials, KEY, ["HS256"], audience="shop")["sub"])
    except jwt.InvalidTokenError:
        raise HTTPException(401) from None


def user_of_outside(credentials: Annotated[str, Depends(bearer)]) -> str:
    """The exceptions are no chain: the 401 is raised where the library's is over."""
    user = None
    try:
        user = jwt.decode(credentials, KEY, ["HS256"], audience="shop")["sub"]
    except jwt.InvalidTokenError:
        pass
    if user is None:
        raise HTTPException(401)
    return str(user)


def user_of_one_key_of_two(credentials: Annotated[str, Depends(bearer)]) -> str:
    for key in (KEY, OLD_KEY):
        try:
            return str(jwt.decode(credentials, key, ["HS256"], audience="shop")["sub"])
        except jwt.InvalidSignatureError:
            continue
    raise HTTPException(401)


def user_of_jose(credentials: Annotated[str, Depends(bearer)]) -> str:
    try:
        return str(jose.jwt.decode(credentials, KEY, ["HS256"], audience="shop")["sub"])
    except jose.JWTError:
        raise HTTPException(401) from None


def key_of(key: Annotated[str, Depends(api_key)]) -> str:
    if key != "right":
        raise HTTPException(401)
    return key


def own_word(request: Request) -> str:
    """The application says itself what it thinks, of its own accord and by its own address."""
    try:
        jwt.decode(request.headers.get("x-token", ""), KEY, ["HS256"])
    except jwt.InvalidTokenError:
        security.authentication("partner", False, "inactive", address="198.51.100.9")
        raise HTTPException(401) from None
    return "?"


def application() -> FastAPI:
    app = FastAPI()
    dependencies: dict[str, Any] = {
        "tutorial": user_of,
        "outside": user_of_outside,
        "rotated": user_of_one_key_of_two,
        "jose": user_of_jose,
        "key": key_of,
        "own": own_word,
        "bearer": HTTPBearer(),
        "basic": HTTPBasic(),
        "optional": OAuth2PasswordBearer("token", auto_error=False),
    }
    for name, dependency in dependencies.items():

        def view(user: Any = Depends(dependency)) -> str:  # noqa: B008 - a name in a loop cannot be in an annotation
            return str(user)

        app.get(f"/{name}")(view)

    @app.get("/forbidden")
    def forbidden(user: Annotated[str, Depends(user_of)]) -> None:
        raise HTTPException(403, user)

    @app.get("/broken")
    def broken(user: Annotated[str, Depends(key_of)]) -> None:
        raise HTTPException(503, user)

    @app.get("/elsewhere")
    def elsewhere(user: Annotated[str, Depends(api_key)]) -> None:
        raise HTTPException(303, user, {"location": "/login"})

    assert forbidden
    assert broken
    assert elsewhere
    return app


@pytest.mark.parametrize(
    ("request_of", "expected"),
    [
        (("/tutorial", {"authorization": f"Bearer {token()}"}, 200), ("jwt", "success")),
        (("/tutorial", {"authorization": f"Bearer {expired()}"}, 401), ("jwt", "failure", "expired")),
        (("/tutorial", {"authorization": f"Bearer {token(OLD_KEY)}"}, 401), ("jwt", "failure", "invalid_signature")),
        (("/tutorial", {"authorization": f"Bearer {token(aud='desk')}"}, 401), ("jwt", "failure", "invalid_claims")),
        (("/tutorial", {"authorization": "Bearer nonsense"}, 401), ("jwt", "failure", "invalid_token")),
        (("/tutorial", {}, 401), ("oauth2", "failure", "missing_credentials")),
        (("/tutorial", {"authorization": "Basic eA=="}, 401), ("oauth2", "failure", "invalid_credentials")),
        (("/outside", {"authorization": f"Bearer {expired()}"}, 401), ("jwt", "failure", "expired")),
        (("/rotated", {"authorization": f"Bearer {token()}"}, 200), ("jwt", "success")),
        (("/rotated", {"authorization": f"Bearer {token(OLD_KEY)}"}, 200), ("jwt", "success")),
        (("/rotated", {"authorization": f"Bearer {token('x' * 40)}"}, 401), ("jwt", "failure", "invalid_signature")),
        (("/jose", {"authorization": f"Bearer {token()}"}, 200), ("jwt", "success")),
        (("/jose", {"authorization": f"Bearer {expired()}"}, 401), ("jwt", "failure", "expired")),
        (("/jose", {"authorization": f"Bearer {token(OLD_KEY)}"}, 401), ("jwt", "failure", "invalid_signature")),
        (("/jose", {"authorization": f"Bearer {token(aud='desk')}"}, 401), ("jwt", "failure", "invalid_claims")),
        (("/jose", {"authorization": "Bearer nonsense"}, 401), ("jwt", "failure", "invalid_token")),
        (("/key", {"x-key": "right"}, 200), ("api_key", "success")),
        (("/key", {"x-key": "wrong"}, 401), ("api_key", "failure", "invalid_credentials")),
        (("/key", {}, 401), ("api_key", "failure", "missing_credentials")),
        (("/broken", {"x-key": "right"}, 503), None),
        (("/bearer", {}, 401), ("bearer", "failure", "missing_credentials")),
        (("/basic", {"authorization": "Basic !"}, 401), ("basic", "failure", "invalid_credentials")),
        (("/optional", {}, 200), None),
        (("/optional", {"authorization": "Bearer of whom?"}, 200), None),
        (("/elsewhere", {"x-key": "right"}, 303), None),
        (("/own", {}, 401), ("partner", "failure", "inactive")),
        (("/forbidden", {"authorization": f"Bearer {token()}"}, 403), ("jwt", "failure", "permission_denied")),
    ],
)  # fmt: skip
def test_request_is_one_attempt_with_its_reason(
    series: Measured,
    captured: Captured,
    request_of: tuple[str, dict[str, str], int],
    expected: tuple[str, ...] | None,
) -> None:
    path, headers, status = request_of
    # Before FastAPI 0.122 a missing key or bearer was a 403.
    assert ask(application(), path, **headers).status in {status, 403 if status == 401 else status}
    assert attempts(series) == ({expected: 1} if expected else {})
    events = [log for log in captured.logs() if log.event_name == "security.authentication"]
    assert len(events) == int(expected is not None and expected[1] == "failure")


def test_failure_is_an_event_with_the_address_in_the_trace_of_the_request(
    series: Measured, captured: Captured
) -> None:
    headers = {"authorization": f"Bearer {expired()}", "x-forwarded-for": f"{ADDRESS}, 10.0.0.1"}
    ask(application(), "/tutorial", **headers)
    [event] = [log for log in captured.logs() if log.event_name == "security.authentication"]
    assert event.body == "Auth failure: jwt, expired from 127.0.0.1"
    assert dict(event.attributes) == {
        "kpi.security.auth.scheme": "jwt",
        "kpi.security.auth.reason": "expired",
        "client.address": "127.0.0.1",
        "http.request.header.x-forwarded-for": (ADDRESS, "10.0.0.1"),
    }
    [server] = [span for span in captured.spans() if span.name == "GET /tutorial"]
    assert server.context is not None
    assert event.trace_id == server.context.trace_id
    assert series.value("kpi_security_events_dropped_total") is None


def test_own_word_has_its_own_address(series: Measured, captured: Captured) -> None:
    ask(application(), "/own")
    [event] = [log for log in captured.logs() if log.event_name == "security.authentication"]
    assert dict(event.attributes)["client.address"] == "198.51.100.9"
    assert series


def test_token_that_is_only_read_is_no_authentication(series: Measured) -> None:
    jwt.decode(expired(), options={"verify_signature": False})
    decode_complete()(expired(), options={"verify_signature": False})
    assert attempts(series) == {}


def test_program_that_calls_the_library_wrongly_is_no_failed_authentication(series: Measured) -> None:
    with pytest.raises(jwt.DecodeError, match="algorithms"):
        jwt.decode(token(), KEY)
    assert attempts(series) == {}


def test_tokens_outside_of_requests_are_counted_at_once(series: Measured) -> None:
    jwt.decode(token(), KEY, ["HS256"], audience="shop")
    decode_complete()(token(), KEY, ["HS256"], audience="shop")
    jwt.PyJWT().decode(token(), KEY, ["HS256"], audience="shop")
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(expired(), KEY, ["HS256"], audience="shop")
    assert attempts(series) == {("jwt", "success"): 3, ("jwt", "failure", "expired"): 1}


def test_websocket_is_decided_when_it_is_accepted(series: Measured) -> None:
    app = FastAPI()
    seen: list[Totals] = []

    @app.websocket("/live")
    async def live(websocket: WebSocket) -> None:
        try:
            jwt.decode(websocket.query_params["token"], KEY, ["HS256"], audience="shop")
        except jwt.InvalidTokenError:
            await websocket.close()
            return
        await websocket.accept()
        seen.append(attempts(series))

    assert live
    connect: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    converse(app, scope_of(f"/live?token={token()}", kind="websocket"), connect)
    assert seen == [{("jwt", "success"): 1}]
    converse(app, scope_of(f"/live?token={expired()}", kind="websocket"), connect)
    assert attempts(series) == {("jwt", "success"): 1, ("jwt", "failure", "expired"): 1}


def test_mounted_application_is_in_the_request_of_the_outer_one(series: Measured) -> None:
    outer = Starlette(routes=[Mount("/api", app=application())])
    assert ask(outer, "/api/tutorial", authorization=f"Bearer {expired()}").status == 401
    assert attempts(series) == {("jwt", "failure", "expired"): 1}


def test_application_that_is_called_from_within_without_a_network_has_requests_of_its_own(
    series: Measured,
) -> None:
    inner = application()

    def refused() -> bool:
        return ask(inner, "/tutorial", authorization=f"Bearer {expired()}").status == 401

    async def call(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(3):
            assert await asyncio.to_thread(refused)
        await PlainTextResponse("done")(scope, receive, send)

    assert ask(Starlette(routes=[Mount("/", app=call)]), "/").status == 200
    assert attempts(series) == {("jwt", "failure", "expired"): 3}


def test_instrumented_twice_is_undone_once(series: Measured) -> None:
    wrong = {"authorization": "Basic x"}
    for _ in range(2):
        Instrumentor().instrument()
    ask(application(), "/tutorial", **wrong)
    assert sum(attempts(series).values()) == 1
    Instrumentor().uninstrument()
    try:
        assert not Instrumentor.active
        ask(application(), "/tutorial", authorization=f"Bearer {token()}")
        assert ("bearer", "success") not in attempts(series), "without a request nobody waits for its status"
    finally:
        Instrumentor().instrument()


# --- slowapi


def limited(*, middleware: bool) -> FastAPI:
    limiter = Limiter(key_func=get_remote_address, default_limits=["3/hour"] if middleware else [])
    app = FastAPI()
    app.state.limiter = limiter
    app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)  # type: ignore[arg-type] # slowapi's own recipe
    if middleware:
        app.add_middleware(SlowAPIMiddleware)

    @app.get("/free")
    def free() -> str:
        return "free"

    if not middleware:

        @app.get("/login")
        @limiter.limit("2/minute")  # pyright: ignore[reportUntypedFunctionDecorator] # slowapi has no types
        async def login(request: Request) -> str:
            return request.url.path

        assert login
    assert free
    return app


def test_limit_of_a_route_counts_who_passes_and_who_does_not(series: Measured, captured: Captured) -> None:
    app = limited(middleware=False)
    assert [ask(app, "/login").status for _ in range(5)] == [200, 200, 429, 429, 429]
    assert ask(app, "/free").status == 200
    assert limits(series) == {("2 per 1 minute", "allowed"): 2, ("2 per 1 minute", "limited"): 3}
    events = [log for log in captured.logs() if log.event_name == "security.rate_limit"]
    assert [dict(event.attributes)["client.address"] for event in events] == ["127.0.0.1"] * 3
    assert attempts(series) == {}


def test_limit_of_the_middleware_is_counted_once_a_request(series: Measured) -> None:
    app = limited(middleware=True)
    assert [ask(app, "/free").status for _ in range(4)] == [200, 200, 200, 429]
    assert limits(series) == {("3 per 1 hour", "allowed"): 3, ("3 per 1 hour", "limited"): 1}
