from __future__ import annotations

from typing import Any

import pytest

from otel_kpi.instrumentation.servers.server_address import of_environ, of_scope

SOCKET = ("10.0.0.7", 8000)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (b"shop.test", ("shop.test", 80)),
        (b"Shop.test:8443", ("shop.test", 8443)),
        (b"[2001:db8::1]:8000", ("2001:db8::1", 8000)),
        (b"", SOCKET),
        (b"shop.test:port", SOCKET),
        (b"user@shop.test", SOCKET),
        (b"shop.test/path", SOCKET),
        (b"[::1", SOCKET),
        ("häuser.test".encode(), SOCKET),
    ],
)
def test_address_is_the_host_headers_or_the_sockets(host: bytes, expected: tuple[str, int]) -> None:
    scope: dict[str, Any] = {"scheme": "http", "headers": [(b"host", host)], "server": SOCKET}
    attributes = {"server.address": expected[0], "server.port": expected[1]}
    assert of_scope(scope) == attributes
    environ = {"wsgi.url_scheme": "http", "HTTP_HOST": host.decode("latin-1")}
    assert of_environ({**environ, "SERVER_NAME": SOCKET[0], "SERVER_PORT": str(SOCKET[1])}) == attributes


@pytest.mark.parametrize("scope", [{}, {"headers": [], "server": None}])
def test_nothing_known_is_nothing_said(scope: dict[str, Any]) -> None:
    assert of_scope(scope) == {}
    assert of_environ({}) == {}


def test_unix_socket_has_no_port() -> None:
    assert of_scope({"server": ("/run/shop.sock", None)}) == {"server.address": "/run/shop.sock"}
    assert of_environ({"SERVER_NAME": "shop.test", "SERVER_PORT": ""}) == {"server.address": "shop.test"}
