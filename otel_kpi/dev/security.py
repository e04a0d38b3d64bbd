"""Who may ask: a page of another site may not, nor, where others on the network reach it, one without the token.

What is kept here is as confidential as the system that it comes from. A browser is the way to it from outside: any page
can send requests to this machine, and a name that its owner points to 127.0.0.1 makes them same-origin (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from otel_kpi.dev.state import Dev

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The content security policy of everything."""

_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Security:
    """Checks each request before the application sees it, and adds to each answer what browsers are to do with it.

    Args:
        app: What it stands before.
        dev: Its `hosts` are names beside those of this machine; with its `token` nobody comes in without.
    """

    def __init__(self, app: ASGIApp, dev: Dev) -> None:
        self._app = app
        self._dev = dev

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                written = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    written[name] = value
                written.setdefault("cache-control", "no-cache")
            await send(message)

        await (self._refusal(scope, headers) or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        # Where a token is asked for, the name is free: a page under another name has no cookie of this one.
        if not self._dev.token and not is_here(host, self._dev.hosts):
            return _refuse(
                f"Host {host[:80]!a} is not this machine; ask for http://localhost or http://127.0.0.1"
            )
        if not is_own(headers, scope["scheme"]):
            return _refuse("a page of another site may not ask here")
        if self._dev.token:
            return self._without_token(scope, headers)
        return None

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        token = self._dev.token
        cookie = _cookie_name(scope)
        given = headers.get("authorization", "").strip()
        if authorized(given, token):
            return None
        if same(_cookies(headers).get(cookie, ""), _derived(token)):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] == "GET" and any(name == "token" and same(value, token) for name, value in query):
            left = urlencode([(name, value) for name, value in query if name != "token"])
            # Of two slashes a browser would make the name of another host.
            path = "/" + scope["raw_path"].decode("latin-1").lstrip("/\\")
            response = RedirectResponse(path + (f"?{left}" if left else ""), HTTPStatus.SEE_OTHER)
            response.set_cookie(cookie, _derived(token), httponly=True, samesite="lax")
            return response
        return PlainTextResponse(
            "The token is missing: open the address that otel-kpi dev has printed, or send the header "
            "'Authorization: Bearer <token>'.\n",
            HTTPStatus.UNAUTHORIZED,
            {"www-authenticate": "Bearer"},
        )


def is_here(host: str, further: frozenset[str] = frozenset()) -> bool:
    """Say whether the header `Host` names this machine by a name that nobody else can give it."""
    name = _name(host)
    if name == "localhost" or name.endswith(".localhost") or name in further:  # RFC 6761: always loopback
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_own(headers: Headers, scheme: str) -> bool:
    """Say whether a request is from a page of ours, a link that somebody followed, or from no browser."""
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"{scheme}://{headers.get('host', '')}".lower():
        return False
    site = headers.get("sec-fetch-site", "none")
    # A link from elsewhere is welcome, what another page loads by itself is not.
    return site in {"none", "same-origin"} or (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def authorized(header: str, token: str) -> bool:
    """Say whether a header `Authorization` carries the token."""
    kind, _, given = header.partition(" ")
    return kind.lower() == "bearer" and same(given.strip(), token)


def same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:  # brackets that do not match
        return ""


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}


def _cookie_name(scope: Scope) -> str:
    # Browsers send a cookie to each port of a host; two instances would take each other's away.
    return f"otel_kpi_{(scope.get('server') or ('', 0))[1]}"


def _derived(token: str) -> str:
    return hashlib.sha256(b"otel-kpi cookie\0" + token.encode("utf-8", "replace")).hexdigest()


def _refuse(why: str) -> Response:
    return PlainTextResponse(why + "\n", HTTPStatus.FORBIDDEN)
