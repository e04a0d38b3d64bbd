"""The door: a key, a limit, and a look at what comes in. Observed with `otel_kpi.security`."""

import re
import secrets
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import unquote_plus

from fastapi import HTTPException, Request

from otel_kpi import security

REPORTS = 3
"""Reports that one reader may have."""
WRONG_KEYS = 3
"""Wrong keys after which whoever sends them is suspicious."""
_INJECTION = re.compile(r"'\s*(or|union|;)\s", re.IGNORECASE)
_TAGS = re.compile(r"<[^>]*>")


class Gate:
    """Lets in who has the key."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._reports: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()

    def knows(self, key: str | None, address: str) -> bool:
        """Return whether a key is the right one."""
        if key is None:
            security.authentication("api_key", False, "missing_credentials", address=address)
            return False
        if not secrets.compare_digest(key, self._key):
            security.authentication("api_key", False, "invalid_credentials", address=address)
            self._wrong[address] += 1
            if self._wrong[address] == WRONG_KEYS:
                security.suspicious(address, "too_many_failures")
            return False
        security.authentication("api_key", True)
        return True

    @contextmanager
    def secured(self, operation: str, request: Request) -> Generator[None]:
        """Let a request in and measure it, or answer 401 or 400."""
        address = request.client.host if request.client else "unknown"
        with security.secured_request(operation):
            if not self.knows(request.headers.get("x-api-key"), address):
                raise HTTPException(401, "the header X-API-Key is missing or wrong")
            if _INJECTION.search(unquote_plus(request.url.query)):
                security.intrusion("sql_injection", address=address)
                raise HTTPException(400, "no")
            yield

    def allow_report(self, reader: str) -> None:
        """Let a reader have a report, or answer 429."""
        self._reports[reader] += 1
        allowed = self._reports[reader] <= REPORTS
        security.rate_limited("reports", allowed)
        if not allowed:
            raise HTTPException(429, f"{REPORTS} reports are enough")


def without_tags(text: str) -> str:
    """Return a text without HTML."""
    clean = _TAGS.sub("", text)
    if clean != text:
        security.sanitized("html")
    return clean
