"""Style sheets, scripts and pictures of the pages, from the package; nothing comes from a network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is sent.

    Attributes:
        version: Of its content; an address with it may be kept for ever.
    """

    content: bytes
    media_type: str
    version: str


@cache
def _files() -> dict[str, File]:
    """All of them, read once: what is not among them is not sent, whatever the path says."""
    return {
        path.name: File(content, _TYPES[path.suffix], hashlib.blake2b(content, digest_size=6).hexdigest())
        for path in sorted(FOLDER.iterdir())
        if path.suffix in _TYPES
        for content in [path.read_bytes()]
    }


def address(name: str) -> str:
    """Where a page finds a file, its version included; a module has none, for the others import it by its one name.

    Raises:
        KeyError: There is no such file.
    """
    version = _files()[name].version
    return f"/static/{name}" if name.endswith(".js") else f"/static/{name}?v={version}"


def _send(request: Request) -> Response:
    """A file: for ever by its version, else asked about each time."""
    file = _files().get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    tag = f'"{file.version}"'
    kept = request.query_params.get("v") == file.version
    headers = {"etag": tag, "cache-control": "public, max-age=31536000, immutable" if kept else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def _icon(_: Request) -> Response:
    """What a browser asks for by itself beside a document that names no icon, as the text at `/metrics`."""
    icon = _files()["icon.svg"]
    return Response(
        icon.content, media_type=icon.media_type, headers={"cache-control": "public, max-age=86400"}
    )


ROUTES: Final[list[BaseRoute]] = [Route("/static/{name}", _send), Route("/favicon.ico", _icon)]
