"""Endpoints in FastAPI and Starlette applications."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.web import ask, converse, scope_of

pytest.importorskip("jsonschema")
pytest.importorskip("starlette")
pytest.importorskip("fastapi")

import jsonschema
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from otel_kpi import health
from otel_kpi.endpoints import ENDPOINTS, Caller, openapi, schemas
from otel_kpi.endpoints.starlette import add_endpoints

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS = [each.path for each in ENDPOINTS]
HEALTH_PATHS = [each.path for each in ENDPOINTS if each.quick]
APPLICATIONS = pytest.mark.parametrize("make", [Starlette, FastAPI])


async def mine(_request: Any) -> PlainTextResponse:
    return PlainTextResponse("mine")


async def opaque(scope: Any, _receive: Any, send: Any) -> None:
    """An application whose routes nobody sees."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"opaque {scope['path']}".encode()})


def headers_of(answer: Any) -> dict[str, str]:
    return {name.decode().lower(): value.decode() for name, value in answer.sent[0]["headers"]}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.message for each in caplog.records if each.name == "otel_kpi.endpoints"]


# --- one line


@APPLICATIONS
@pytest.mark.parametrize("path", PATHS)
def test_each_path_answers_get_and_head_and_nothing_else(make: Callable[[], Any], path: str) -> None:
    app = make()
    add_endpoints(app)
    answer = ask(app, path)
    assert answer.status in {200, 503}
    assert headers_of(answer)["cache-control"] == "no-store"
    assert answer.body
    head = ask(app, path, "HEAD")
    assert head.status == answer.status
    assert headers_of(head)["content-type"] == headers_of(answer)["content-type"]
    assert ask(app, path, "POST").status == 405


@APPLICATIONS
def test_health_follows_what_is_declared(make: Callable[[], Any]) -> None:
    app = make()
    add_endpoints(app)
    health.check("database", lambda: None, critical=True, interval=1000)
    assert ask(app, "/api/health/ready").status == 503, "nothing is known yet"
    assert ask(app, "/api/health/live").status == 200
    assert json.loads(ask(app, "/api/health").body)["services"].keys() == {"database"}
    assert set(json.loads(ask(app, "/health").body)) >= {"status", "timestamp"}


def test_health_of_the_instrumentation_names_no_address() -> None:
    app = Starlette()
    add_endpoints(app)
    said = json.loads(ask(app, "/health").body)
    assert {"packs", "dropped_values", "exporters"} <= set(said["metrics"])
    assert "http" not in json.dumps(said)


@APPLICATIONS
def test_a_second_call_adds_what_the_first_did_not(make: Callable[[], Any]) -> None:
    app = make()
    add_endpoints(app, paths={"metrics": None})
    before = len(app.router.routes)
    add_endpoints(app)
    assert len(app.router.routes) == before + 1
    answer = ask(app, "/metrics")
    assert answer.status in {200, 503}
    assert [name for name, _ in answer.sent[0]["headers"]].count(b"x-response-time") == 1


def test_what_is_no_application_does_not_raise(caplog: pytest.LogCaptureFixture) -> None:
    not_one: Any = object()
    add_endpoints(not_one)
    assert "endpoints were not added" in caplog.text


def test_what_cannot_be_answered_is_a_500_without_a_reason_and_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_accept: str | None = None) -> None:
        raise LookupError("postgresql://clerk:hunter2@db")

    app = Starlette()
    add_endpoints(app)
    monkeypatch.setattr("otel_kpi.exposition.metrics", fail)
    for _ in range(3):
        answer = ask(app, "/metrics")
        assert answer.status == 500
        assert b"hunter2" not in answer.body
    assert len(lines(caplog)) == 1


# --- beside the application


@APPLICATIONS
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("theirs", ["/health", "/health/"])
def test_a_route_of_the_application_wins_whenever_it_is_added(
    make: Callable[[], Any], order: str, theirs: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = make()
    if order == "after":
        add_endpoints(app)
    app.router.routes.append(Route(theirs, mine))
    if order == "before":
        add_endpoints(app)
    for _ in range(2):
        assert ask(app, theirs).body == b"mine"
    assert ask(app, "/health").body != ask(app, "/api/health/live").body
    assert ask(app, "/api/health/live").status == 200
    assert lines(caplog) == ["/health stays the application's; paths= gives ours another"]


def test_a_route_of_an_included_router_wins() -> None:
    app, router = FastAPI(), APIRouter(prefix="/api")

    @router.get("/health")
    def theirs() -> str:
        return "mine"

    add_endpoints(app)
    app.include_router(router)
    assert ask(app, "/api/health").body == b'"mine"'
    assert ask(app, "/api/health/live").status == 200
    described = json.loads(ask(app, "/openapi.json").body)["paths"]["/api/health"]["get"]
    assert "otel_kpi" not in json.dumps(described), "what is described is what answers"


@APPLICATIONS
def test_a_route_of_a_mounted_application_wins_and_its_other_paths_are_ours(make: Callable[[], Any]) -> None:
    app = make()
    app.router.routes.append(Mount("/api", Starlette(routes=[Route("/health", mine), Route("/items", mine)])))
    add_endpoints(app)
    assert ask(app, "/api/health").body == b"mine"
    assert json.loads(ask(app, "/api/health/live").body)["status"] == "ok"
    assert ask(app, "/api/items").body == b"mine"


def test_a_schema_describes_what_answers() -> None:
    app = FastAPI()
    app.mount("/api", FastAPI())
    app.mount("/legacy", opaque)
    add_endpoints(app)
    add_endpoints(app, paths={"live": "/legacy/live"})
    described = json.loads(ask(app, "/openapi.json").body)["paths"]
    assert "/api/health" in described
    assert "/legacy/live" not in described


def test_what_is_mounted_without_routes_keeps_everything_below_its_path() -> None:
    app = Starlette(routes=[Mount("/api", opaque)])
    add_endpoints(app)
    assert ask(app, "/api/health").body.startswith(b"opaque")
    assert json.loads(ask(app, "/health").body)["status"]


def test_a_host_keeps_its_routes() -> None:
    app = Starlette(routes=[Host("shop.test", Starlette(routes=[Route("/health", mine)]))])
    add_endpoints(app)
    assert ask(app, "/health").body == b"mine"


@APPLICATIONS
def test_what_takes_every_path_does_not_hide_the_endpoints(make: Callable[[], Any]) -> None:
    for route in (Route("/{path:path}", mine), Mount("/", opaque)):
        app = make()
        app.router.routes.append(route)
        add_endpoints(app)
        assert json.loads(ask(app, "/api/health/live").body)["status"] == "ok"
        assert ask(app, "/anything").status == 200


@APPLICATIONS
def test_another_method_on_the_same_path_stays_the_applications(make: Callable[[], Any]) -> None:
    app = make()
    add_endpoints(app)
    app.router.routes.append(Route("/metrics", mine, methods=["POST"]))
    assert ask(app, "/metrics", "POST").body == b"mine"
    assert ask(app, "/metrics").body != b"mine"


@APPLICATIONS
def test_a_mounted_application_has_endpoints_of_its_own(make: Callable[[], Any]) -> None:
    outer, inner = Starlette(), make()
    add_endpoints(inner)
    outer.mount("/shop", inner)
    assert ask(outer, "/shop/api/health/live").status == 200
    assert ask(outer, "/api/health/live").status == 404


@APPLICATIONS
def test_paths_are_moved_and_left_out(make: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    app = make()
    add_endpoints(app, prefix="internal/", paths={"live": "up", "metrics": None, "alive": "/x"})
    assert ask(app, "/internal/up").status == 200
    assert ask(app, "/internal/api/health").status == 200
    for path in ("/internal/metrics", "/metrics", "/up", "/internal/api/health/live"):
        assert ask(app, path).status == 404
    assert lines(caplog)[0].startswith("there is no endpoint 'alive'")


@APPLICATIONS
def test_an_application_that_runs_already_gets_them_too(make: Callable[[], Any]) -> None:
    app = make()
    app.router.routes.append(Route("/items", mine))
    assert ask(app, "/items").status == 200
    add_endpoints(app)
    assert ask(app, "/api/health/live").status == 200
    assert "x-response-time" in headers_of(ask(app, "/items"))


# --- middlewares and dependencies of the application


class Guard:
    """An authentication middleware: without a header, no answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and not any(name == b"authorization" for name, _ in scope["headers"]):
            await PlainTextResponse("who are you?", 401)(scope, receive, send)
            return
        await self.app(scope, receive, send)


@pytest.mark.parametrize("make", [Starlette, FastAPI])
def test_endpoints_are_behind_the_middlewares_of_the_application(make: Any) -> None:
    app = make(middleware=[Middleware(Guard)])
    add_endpoints(app)
    assert ask(app, "/api/health/live").status == 401
    assert ask(app, "/api/health/live", authorization="Bearer x").status == 200


def test_endpoints_are_not_behind_the_dependencies_of_the_application() -> None:
    def refuse() -> None:
        raise HTTPException(401)

    app = FastAPI(dependencies=[Depends(refuse)])

    @app.get("/items")
    def items() -> str:
        return "never"

    add_endpoints(app)
    assert ask(app, "/items").status == 401
    assert ask(app, "/api/health/live").status == 200


# --- who may ask


def status_from(app: Any, address: str | None, path: str = "/api/health", **headers: str) -> int:
    scope = scope_of(path, **headers)
    scope["client"] = None if address is None else (address, 1)
    return converse(app, scope, [{"type": "http.request", "body": b""}]).status


def probes(caller: Caller) -> bool:
    return caller.headers.get("x-probe") == "yes"


def raises(_caller: Caller) -> bool:
    raise LookupError


def vague(_caller: Caller) -> str:
    return "yes"


@pytest.mark.parametrize(
    ("allow", "address", "headers", "status"),
    [
        (None, "203.0.113.9", {}, 200),
        (None, None, {}, 200),
        ("loopback", "127.0.0.1", {}, 200),
        ("loopback", "::1", {}, 200),
        ("loopback", "::ffff:127.0.0.1", {}, 200),
        ("loopback", "10.0.0.1", {}, 403),
        ("loopback", None, {}, 403),
        ("loopback", "testclient", {}, 403),
        ("loopback", "127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, 403),
        ("loopback", "127.0.0.1", {"x-forwarded-for": "127.0.0.1, 203.0.113.9"}, 403),
        ("loopback", "203.0.113.9", {"x-forwarded-for": "127.0.0.1"}, 403),
        ("loopback", "127.0.0.1", {"forwarded": 'for="[2001:db8::1]:80";proto=https'}, 403),
        ("loopback", "127.0.0.1", {"forwarded": "proto=https, for=127.0.0.1:99"}, 200),
        ("loopback", "127.0.0.1", {"forwarded": "by=10.0.0.1; For = 203.0.113.9"}, 403),
        ("loopback", "127.0.0.1", {"x-real-ip": "203.0.113.9"}, 403),
        ("private", "192.168.1.7", {}, 200),
        ("private", "8.8.8.8", {}, 403),
        (["10.1.0.0/16", "loopback"], "10.1.2.3", {}, 200),
        (["10.1.0.0/16", "loopback"], "10.2.2.3", {}, 403),
        (["not a network"], "127.0.0.1", {}, 403),
        (7, "127.0.0.1", {}, 403),
        ({"heath": "loopback"}, "127.0.0.1", {}, 403),
        ({"heath": "loopback", "*": None}, "127.0.0.1", {}, 200),
        ({"metrics": "loopback"}, "8.8.8.8", {}, 200),
        (probes, "1.2.3.4", {"x-probe": "yes"}, 200),
        (probes, "1.2.3.4", {}, 403),
        (raises, "127.0.0.1", {}, 403),
        (vague, "127.0.0.1", {}, 403),
    ],
)
def test_who_may_ask(allow: Any, address: str | None, headers: dict[str, str], status: int) -> None:
    app = Starlette()
    add_endpoints(app, allow=allow)
    assert status_from(app, address, **headers) == status


def test_a_second_call_that_says_who_may_ask_says_that_it_comes_too_late(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Starlette()
    add_endpoints(app)
    add_endpoints(app)
    assert not caplog.records
    add_endpoints(app, allow="loopback")
    assert [each.message for each in caplog.records] == [
        "endpoints were added before: who may ask is what that call says, not this one"
    ]


@pytest.mark.parametrize("name", [b"x-forwarded-for", b"forwarded"])
def test_an_address_in_a_second_header_counts_which_a_proxy_wrote_below_the_callers(name: bytes) -> None:
    app = Starlette()
    add_endpoints(app, allow="loopback")
    scope = scope_of("/api/health")
    scope["client"] = ("127.0.0.1", 1)
    prefix = b"for=" if name == b"forwarded" else b""
    scope["headers"] = [(name, prefix + b"127.0.0.1"), (name, prefix + b"203.0.113.9")]
    assert converse(app, scope, [{"type": "http.request", "body": b""}]).status == 403


def test_probes_may_be_asked_by_others_than_metrics() -> None:
    app = Starlette()
    add_endpoints(app, allow={"live": None, "ready": None, "*": "loopback"})
    assert status_from(app, "10.0.0.9", "/api/health/live") == 200
    assert status_from(app, "10.0.0.9", "/api/health/ready") == 200
    for path in ("/metrics", "/api/health", "/health", "/monitoring", "/api/metrics/summary"):
        assert status_from(app, "10.0.0.9", path) == 403


def test_a_predicate_is_told_who_asks() -> None:
    seen: list[Caller] = []

    def see(caller: Caller) -> bool:
        seen.append(caller)
        return True

    app = Starlette()
    add_endpoints(app, allow=see)
    status_from(app, "192.0.2.1", **{"x-probe": "yes"})
    assert seen[0].address == "192.0.2.1"
    assert seen[0].headers.get("x-probe") == "yes"


# --- descriptions


def test_answers_are_as_their_schemas_say() -> None:
    app = FastAPI()
    add_endpoints(app)
    health.check("database", lambda: None, critical=True)
    health.check("ai", lambda: False, depends_on=["database"])
    described = json.loads(ask(app, "/openapi.json").body)["paths"]
    assert list(described) == PATHS
    asked = 0
    for path in [*PATHS, *HEALTH_PATHS]:  # the second time outcomes are known
        answer = ask(app, path)
        kind = headers_of(answer)["content-type"].partition(";")[0]
        schema = described[path]["get"]["responses"][str(answer.status)]["content"][kind]["schema"]
        if kind == "application/json":
            jsonschema.Draft202012Validator.check_schema(schema)
            jsonschema.validate(json.loads(answer.body), schema, jsonschema.Draft202012Validator)
            asked += 1
    assert asked >= 8


def test_a_schema_refuses_what_is_not_said() -> None:
    """The check above can fail."""
    good = {"status": "ok", "timestamp": "2025-12-16T18:00:00.000Z"}
    jsonschema.validate(good, schemas.LIVE)
    for bad in ({**good, "host": "db.internal"}, {**good, "timestamp": "yesterday"}, {"status": "ok"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schemas.LIVE)


def test_what_fastapi_describes_is_what_the_function_describes() -> None:
    app = FastAPI()
    add_endpoints(app, prefix="/internal", paths={"monitoring": None})
    described = json.loads(ask(app, "/openapi.json").body)["paths"]
    document = openapi(prefix="/internal", paths={"monitoring": None})
    assert document["openapi"] == "3.1.0"
    assert list(described) == list(document["paths"])
    for path, operations in document["paths"].items():
        assert described[path]["get"]["responses"] == operations["get"]["responses"]
        assert described[path]["get"]["operationId"] == operations["get"]["operationId"]


def test_a_schema_may_leave_them_out() -> None:
    app = FastAPI()
    add_endpoints(app, in_schema=False)
    assert json.loads(ask(app, "/openapi.json").body)["paths"] == {}
