"""Usage on streams of OpenAI's format: asked for where the user agrees, and taken out before the application reads.

A stream tells what was used only to who asks for it with `stream_options.include_usage`. The answer then has one more
event, without choices, and `"usage": null` in each of the others; both are taken out of the bytes of the response, so
that streams, raw responses and the SDK's helpers see what they would have seen.
"""

from __future__ import annotations

import functools
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping

SETTING: Final = "OTEL_KPI_GENAI_STREAM_USAGE"

_KNOWN: Final = ("api.openai.com",)
"""Who is known to understand it. Others send the usage anyway, refuse what they do not know, or were not tried."""
_AZURE: Final = (".openai.azure.com", ".cognitiveservices.azure.com")
_AZURE_SINCE: Final = "2024-09-01"
"""Earlier versions of Azure's API refuse it: openai/openai-python#1469, Azure/azure-rest-api-specs#29157."""

_refused: Final[set[str]] = set()
"""Hosts that answered with an error because of it; they are not asked again in the life of the process."""
_MOST_REFUSED: Final = 256

_EVENT_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_NULL_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])')
_LONGEST_EVENT: Final = 1 << 20


def asked_for(options: Mapping[str, Any], client: Any) -> dict[str, Any] | None:
    """Give the `stream_options` with which to ask for usage; None when it is not to be asked for.

    Args:
        options: What the application gives to `create`.
        client: With its `base_url`, and the version of Azure's API in its `default_query`.
    """
    setting = os.environ.get(SETTING, "")
    if not setting or options.get("stream") is not True or _leave_alone(options):
        return None
    host, port = client.base_url.host, client.base_url.port
    version = client.default_query.get("api-version") if host.endswith(_AZURE) else None
    if not _agreed(setting, host.lower(), port, version):
        return None
    if f"{host}:{port}" in _refused:
        return None
    given = options.get("stream_options")
    return {**(given if isinstance(given, dict) else {}), "include_usage": True}


def _leave_alone(options: Mapping[str, Any]) -> bool:
    """Whether the application decides itself, or asks for something with which it is refused."""
    given = options.get("stream_options")
    if isinstance(given, dict) and "include_usage" in given:
        return True
    more = options.get("extra_body")
    # Azure/azure-sdk-for-js#30751: together with data of one's own it is an error.
    return isinstance(more, dict) and ("stream_options" in more or "data_sources" in more)


@functools.lru_cache(maxsize=512)
def _agreed(setting: str, host: str, port: int | None, version: str | None) -> bool:
    words = {word.strip().lower() for word in setting.split(",")}
    if host in words or f"{host}:{port}" in words:
        return True
    if "on" not in words:
        return False
    if host in _KNOWN or host.endswith(tuple(f".{known}" for known in _KNOWN)):
        return True
    # Without a version it is Azure's `/openai/v1`, which is OpenAI's own API.
    return host.endswith(_AZURE) and (version is None or version >= _AZURE_SINCE)


def is_refusal(status: object, message: str) -> bool:
    """Whether an error says that the endpoint does not take it."""
    return status in (400, 422) and ("stream_options" in message or "include_usage" in message)


def refused(host: str, port: int | None) -> None:
    """Ask that endpoint no more."""
    if len(_refused) < _MOST_REFUSED:
        _refused.add(f"{host}:{port}")


def forget_refusals() -> None:
    """Ask everybody again; for tests."""
    _refused.clear()


class Sieve:
    """Lets the bytes of a stream through, without what the application did not ask for.

    Whole events pass as they came; what follows the last one waits for its end. A fault of ours lets everything pass.

    Args:
        told: Given the event that was taken out.
        broken: Given an error of ours.
    """

    def __init__(
        self, told: Callable[[Mapping[str, Any]], None], broken: Callable[[Exception], None]
    ) -> None:
        self._told = told
        self._broken = broken
        self._rest = b""
        self._open = False

    def passed(self, piece: bytes) -> bytes:
        """Take a piece, and give what may pass by now."""
        if self._open:
            return piece
        self._rest += piece
        try:
            passing, self._rest = self._sieved(self._rest)
        except Exception as error:
            self._broken(error)
            self._open = True
            return self.rest()
        if len(self._rest) > _LONGEST_EVENT:
            # Nobody's usage is that long.
            return passing + self.rest()
        return passing

    def rest(self) -> bytes:
        """Give what waits; for the end of the stream, however it comes."""
        rest, self._rest = self._rest, b""
        return rest

    def _sieved(self, given: bytes) -> tuple[bytes, bytes]:
        passing: list[bytes] = []
        start = 0
        for end in _EVENT_END.finditer(given):
            event = given[start : end.end()]
            start = end.end()
            if b'"usage"' in event:
                if self._is_ours(event):
                    continue
                event = _NULL_USAGE.sub(b"", event)
            passing.append(event)
        return b"".join(passing), given[start:]

    def _is_ours(self, event: bytes) -> bool:
        if b'"choices"' not in event:
            return False
        text = b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))
        try:
            data = json.loads(text)
        except ValueError:
            return False
        if not isinstance(data, dict) or data.get("choices") != [] or not isinstance(data.get("usage"), dict):
            return False
        self._told(data)
        return True


def sieve_response(response: Any, sieve: Sieve) -> None:
    """Have a response of httpx give its bytes through a sieve, whoever reads them.

    Compressed ones are sieved when they are not any more: who reads those as they came sees everything.
    """
    encoded = response.headers.get("content-encoding", "identity").lower() != "identity"
    name = "iter_bytes" if encoded else "iter_raw"
    setattr(response, name, _through(getattr(response, name), sieve))
    setattr(response, f"a{name}", _through_async(getattr(response, f"a{name}"), sieve))


def _through(read: Any, sieve: Sieve) -> Any:
    def through(chunk_size: int | None = None) -> Generator[bytes]:
        pieces = read(chunk_size)
        try:
            for piece in pieces:
                if passing := sieve.passed(piece):
                    yield passing
        except Exception:
            if rest := sieve.rest():
                yield rest
            raise
        finally:
            pieces.close()
        if rest := sieve.rest():
            yield rest

    return through


def _through_async(read: Any, sieve: Sieve) -> Any:
    async def through(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        pieces = read(chunk_size)
        try:
            async for piece in pieces:
                if passing := sieve.passed(piece):
                    yield passing
        except Exception:
            if rest := sieve.rest():
                yield rest
            raise
        finally:
            await pieces.aclose()
        if rest := sieve.rest():
            yield rest

    return through
