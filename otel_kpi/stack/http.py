"""Requests to the stack's own servers: on loopback, never through a proxy."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_OK = range(200, 300)


def is_ready(url: str, timeout: float = 2.0) -> bool:
    """Whether a health address answers that all is well."""
    try:
        with _OPENER.open(url, timeout=timeout) as answer:
            return answer.status in _OK
    except (OSError, urllib.error.URLError, ValueError):
        return False


def call(url: str, token: str, body: object | None = None, timeout: float = 30.0) -> Any:
    """Ask a JSON API.

    Args:
        url: Whole address.
        token: Bearer token.
        body: Sent by POST; without it the request is a GET.
        timeout: In seconds.

    Raises:
        OSError: No answer, or a status that is an error.
    """
    request = urllib.request.Request(  # noqa: S310 — the address is built from our own settings
        url,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with _OPENER.open(request, timeout=timeout) as answer:
        return json.load(answer)
