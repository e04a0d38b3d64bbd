"""By which address a client reached this server, as the HTTP conventions want it: from the `Host` header.

Upstream gives an address with the port in it: `0.0.0.0:8000` of the socket under ASGI, the whole header under WSGI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def of_scope(scope: Mapping[str, Any]) -> dict[str, str | int]:
    """Give `server.address` and `server.port` of an ASGI request.

    Args:
        scope: The request's scope.

    Returns:
        What is known of the two: of the first `Host` header (HTTP/2's authority is one in ASGI), or of the
        server's socket when there is none that can be read.
    """
    host = next((value for name, value in scope.get("headers") or () if name == b"host"), b"")
    address, port = _of_host(host.decode("latin-1"), str(scope.get("scheme")))
    if address is None:
        address, port = scope.get("server") or (None, None)
    return _attributes(address, port)


def of_urllib3(span: Span, pool: Any, _request: Any) -> None:
    """Say on a client span of urllib3's which server its connection pool is for; a `request_hook`."""
    span.set_attributes(_attributes(pool.host, pool.port or _PORTS.get(pool.scheme)))


def of_environ(environ: Mapping[str, Any]) -> dict[str, str | int]:
    """Give the same of a WSGI request."""
    address, port = _of_host(environ.get("HTTP_HOST", ""), str(environ.get("wsgi.url_scheme")))
    if address is None:
        address, port = environ.get("SERVER_NAME"), environ.get("SERVER_PORT")
        port = int(port) if isinstance(port, str) and port.isdecimal() else None
    return _attributes(address, port)


def _of_host(host: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(f"//{host}")
        if not host.isascii() or parts.username is not None or parts.path or parts.query or parts.fragment:
            return None, None
        return parts.hostname, parts.port or _PORTS.get(scheme)
    except ValueError:  # a client may send anything; the request is not ours to refuse
        return None, None


def _attributes(address: str | None, port: int | None) -> dict[str, str | int]:
    if not address:
        return {}
    return {"server.address": address} if port is None else {"server.address": address, "server.port": port}
