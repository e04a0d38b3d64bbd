"""Who may ask, and what browsers are told of every answer."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import TYPE_CHECKING

import pytest
from starlette.routing import Route
from support.dev import sent
from support.dev.served import served

from otel_kpi.dev.app import make_app
from otel_kpi.dev.launcher import needs_token
from otel_kpi.dev.listening import listen
from otel_kpi.dev.security import POLICY, is_here

if TYPE_CHECKING:
    from collections.abc import Generator

    from support.dev.served import Served


@pytest.fixture(scope="module")
def guarded() -> Generator[Served]:
    with served(token="of trust") as server:
        yield server


def get(server: Served, path: str = "/metrics", **headers: str) -> int:
    return server.request(
        "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:4318",
        "127.0.0.1:1",
        "127.1.2.3",
        "[::1]:4318",
        "shop.localhost:80",
        "localhost.",
    ],
)
def test_this_machine_may_be_asked_by_its_own_names(host: str) -> None:
    assert is_here(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost", "", "192.0.2.7", "[::2]",
        "[", "localhost@evil.example", "evil.example#localhost", "0x7f000001", "[::ffff:192.0.2.7]",
    ],
)  # fmt: skip
def test_a_name_that_others_can_give_is_refused(server: Served, host: str) -> None:
    assert not is_here(host)
    assert get(server, Host=host) == 403
    assert server.post("/v1/traces", sent.traces("rebound"), Host=host).status == 403
    assert server.names() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Origin": "https://{host}"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
)
def test_a_page_of_another_site_is_refused(server: Served, headers: dict[str, str]) -> None:
    headers = {name: value.format(host=f"127.0.0.1:{server.port}") for name, value in headers.items()}
    assert get(server, **headers) == 403
    assert server.post("/v1/traces", sent.traces_json("planted"), "application/json", **headers).status == 403
    assert server.names() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://{host}", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
    ],
    ids=["no browser", "our own page", "typed", "a link"],
)
def test_our_pages_links_and_programs_are_served(server: Served, headers: dict[str, str]) -> None:
    host = f"127.0.0.1:{server.port}"
    assert get(server, **{name: value.format(host=host) for name, value in headers.items()}) == 200


@pytest.mark.parametrize("path", ["/metrics", "/nowhere", "/v1/traces", "/static/none.js", "/api/services"])
def test_every_answer_says_what_a_browser_may_do_with_it(server: Served, path: str) -> None:
    for headers in ({}, {"Host": "evil.example"}):
        answer = server.request("GET", path, headers=headers)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_nobody_is_told_that_other_sites_may_ask(server: Served) -> None:
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = server.request("OPTIONS", "/v1/traces", headers=preflight)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_without_the_token_nothing_is_told(guarded: Served) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer of distrust"},
        {"Authorization": "of trust"},
        {"Cookie": "a=b;;=x; otel_kpi=1"},
    ):
        answer = guarded.request("GET", "/metrics", headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-security-policy"] == POLICY
    assert guarded.request("GET", "/metrics?token=of+distrust").status == 401
    assert guarded.post("/v1/traces", sent.traces("a")).status == 401
    assert guarded.names() == []


def addresses(server: Served) -> list[tuple[str, str]]:
    """Each address there is, with a method that it takes."""
    found: list[tuple[str, str]] = []
    for route in make_app(server.dev).routes:
        assert isinstance(route, Route)
        path = re.sub(r"\{.*?\}", "1", route.path)
        found += [(method, path) for method in sorted(route.methods or {"GET"})]
    return found


def test_no_address_is_open_to_who_has_no_token(guarded: Served) -> None:
    asked = addresses(guarded)
    assert {("GET", "/"), ("GET", "/events"), ("GET", "/traces/1"), ("POST", "/v1/logs")} <= {*asked}
    for method, path in asked:
        assert guarded.request(method, path, b"" if method == "POST" else None).status == 401, (method, path)


def test_no_address_is_open_to_a_name_or_a_page_of_others(server: Served) -> None:
    for method, path in addresses(server):
        body = b"" if method == "POST" else None
        for headers in (
            {"Host": "rebound.example"},
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        ):
            answer = server.request(method, path, body, headers)
            assert answer.status == 403, (method, path, headers)
            assert answer.headers["content-security-policy"] == POLICY


def test_events_are_followed_with_the_cookie_or_the_header(guarded: Served) -> None:
    cookie = guarded.request("GET", "/?token=of+trust").headers["set-cookie"].partition(";")[0]
    for header in (f"Cookie: {cookie}", "Authorization: Bearer of trust"):
        with guarded.connect() as connection:
            connection.sendall(f"GET /events HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"text/event-stream" in answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nobody_else_reaches_what_listens_here(host: str) -> None:
    with contextlib.closing(listen(host, 0)) as listening:
        for each in listening.sockets:
            assert ipaddress.ip_address(each.getsockname()[0]).is_loopback
    assert not needs_token(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "shop.example", "localhost.example", ""])
def test_whoever_listens_for_others_needs_a_token(host: str) -> None:
    assert needs_token(host)


def test_senders_carry_the_token_in_a_header(guarded: Served) -> None:
    assert guarded.post("/v1/traces", sent.traces("a"), Authorization="Bearer of trust").status == 200
    assert guarded.names() == ["a"]
    assert get(guarded, Authorization="bearer of trust", Host="any.example") == 200


def test_a_browser_gives_the_token_once_and_keeps_a_cookie(guarded: Served) -> None:
    answer = guarded.request("GET", "/metrics?a=1&token=of+trust&b=%2F")
    assert (answer.status, answer.headers["location"]) == (303, "/metrics?a=1&b=%2F")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "of trust" not in cookie
    assert get(guarded, Cookie=cookie.partition(";")[0]) == 200
    assert get(guarded, Cookie=cookie.partition(";")[0], Origin="http://evil.example") == 403


def test_the_way_back_from_the_token_leads_nowhere_else(guarded: Served) -> None:
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        answer = guarded.request("GET", f"{path}?token=of+trust")
        assert answer.headers["location"].startswith("/evil.example")
