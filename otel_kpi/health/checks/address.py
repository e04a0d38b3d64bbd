"""Addresses: another service over HTTP, and the provider of a language model."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from otel_kpi.health.checks.check import Check
from otel_kpi.health.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FIRST_ERROR: Final = 400
_FIRST_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429


def http(
    url: str, *, headers: Mapping[str, str] | None = None, expect: tuple[int, int] = (200, 399)
) -> Check:
    """Send GET to an address; redirects are not followed, and the body is not read.

    Args:
        url: `http://` or `https://`. It is in no answer.
        headers: Sent with it.
        expect: Least and greatest status code of a healthy answer.
    """
    least, greatest = expect

    def ask(timeout: float) -> Result:
        code = _status_of(url, headers or {}, timeout)
        return Result("healthy" if least <= code <= greatest else "unhealthy", {"statusCode": code})

    return Check("http", ask)


def ai_provider(
    key: str, *, url: str | None = None, authorization: Callable[[str], Mapping[str, str]] | None = None
) -> Check:
    """See that the key of an AI provider is there, and, where an address is given, that the provider answers.

    Not critical unless the declaration says so: a system without its language model is degraded, and still serves.

    Args:
        key: Name of the environment variable that holds the key, `"OPENAI_API_KEY"`.
        url: An address of the provider that costs nothing, `"https://api.openai.com/v1/models"`. Without
            `authorization` the key is not sent, and every answer below 500 will do.
        authorization: Gives the headers that carry a key. Then 401 and 403 are unhealthy, and 429 is degraded.
    """

    def ask(timeout: float) -> Result:
        secret = os.environ.get(key, "").strip()
        if not secret:
            return Result("unhealthy", {"configured": False, "message": "API key missing"})
        if url is None:
            return Result("healthy", {"configured": True, "message": "API key configured"})
        code = _status_of(url, authorization(secret) if authorization is not None else {}, timeout)
        details = MappingProxyType({"configured": True, "statusCode": code})
        if code >= _FIRST_SERVER_ERROR:
            return Result("unhealthy", details)
        if authorization is None or code < _FIRST_ERROR:
            return Result("healthy", details)
        return Result("degraded" if code == _TOO_MANY else "unhealthy", details)

    return Check("ai", ask)


def _status_of(url: str, headers: Mapping[str, str], timeout: float) -> int:
    import urllib3

    with urllib3.PoolManager(num_pools=1, maxsize=1) as pool:
        response = pool.request(
            "GET",
            url,
            headers=dict(headers),
            timeout=urllib3.Timeout(total=timeout),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return response.status
        finally:
            response.close()
