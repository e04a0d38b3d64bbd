"""What is answered where what is kept cannot be read: a page that says what to do, or an API's own form of an error."""

from __future__ import annotations

import logging
import sqlite3
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, PlainTextResponse

from otel_kpi.dev.jaeger_client import JaegerError
from otel_kpi.dev.store.files import StoreError, explained
from otel_kpi.dev.viewer.rendering import here, page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from otel_kpi.dev.state import Dev

_logger = logging.getLogger("otel_kpi.dev")


def _of_jaeger(request: Request, error: Exception) -> Response:
    """Jaeger is away, slow, or none: each page asks it anew."""
    advice = error.advice if isinstance(error, JaegerError) else ""
    return _refused(request, HTTPStatus.BAD_GATEWAY, "Jaeger cannot be asked", f"{error}.", advice)


def _of_store(request: Request, error: Exception) -> Response:
    """The store is locked or damaged, or somebody has taken its file away."""
    dev: Dev = request.app.state.dev
    if isinstance(error, sqlite3.Error):
        # A statement of ours that is wrong is no fault of the file: who mends it wants to know where.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the other bits are details
        if code == sqlite3.SQLITE_ERROR or dev.store is None:
            raise error
        _logger.warning("%s cannot be read: %s", request.url.path, error)
        error = explained(dev.store.path, error)
    return _refused(request, HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be read", f"{error}.", "")


def _refused(request: Request, status: HTTPStatus, title: str, text: str, advice: str) -> Response:
    path = request.url.path
    if path.startswith("/api/kpi/"):
        return JSONResponse({"error": text, "parameter": ""}, status)
    if path.startswith("/api/v3/"):
        return JSONResponse({"error": {"httpCode": int(status), "message": text}}, status)
    if path.startswith("/api/"):
        return JSONResponse({"data": None, "errors": [{"code": int(status), "msg": text}]}, status)
    if path == "/metrics":
        return PlainTextResponse(text + "\n", status)
    return page(
        request,
        "unreadable.html",
        status,
        title=title,
        text=text,
        advice=advice,
        again=here(request),
        reception=None,  # which stands in the same store
    )


HANDLERS: Final[Mapping[Any, Callable[[Request, Exception], Response]]] = {
    JaegerError: _of_jaeger,
    StoreError: _of_store,
    sqlite3.Error: _of_store,
}
