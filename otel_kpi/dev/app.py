"""The application: what it receives, answers and shows, put together."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware

from otel_kpi.dev import live
from otel_kpi.dev.api import jaeger, json, prometheus
from otel_kpi.dev.receiver import http
from otel_kpi.dev.receiver.taking import Receiver
from otel_kpi.dev.refusals import HANDLERS
from otel_kpi.dev.security import Security
from otel_kpi.dev.viewer import pages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from otel_kpi.dev.state import Dev


def make_app(dev: Dev) -> Starlette:
    """The application for `dev`; without an intake it shows, and receives nothing."""
    receiver = Receiver(dev.intake)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        receiver.close()

    app = Starlette(
        routes=[
            *(http.ROUTES if dev.intake is not None else ()),
            *live.ROUTES,
            *jaeger.ROUTES,
            *prometheus.ROUTES,
            *json.ROUTES,
            *pages.ROUTES,
        ],
        middleware=[Middleware(Security, dev=dev)],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
    app.state.dev = dev
    app.state.receiver = receiver
    return app
