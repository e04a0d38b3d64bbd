"""A shop with endpoints, in FastAPI (`app`) and in Django (`application`), for processes of tests."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from otel_kpi import health
from otel_kpi.health import Result


def worker() -> Result:
    """Say which process asked."""
    return Result("healthy", {"pid": os.getpid()})


health.check("worker", worker, critical=True, interval=0.2)
health.start()  # in the process that forks, where there is one

if os.environ["SHOP_FRAMEWORK"] == "fastapi":
    from fastapi import FastAPI
    from sqlalchemy.ext.asyncio import create_async_engine

    from otel_kpi.endpoints.starlette import add_endpoints

    app = FastAPI()
    shop = FastAPI()
    health.check("database", create_async_engine("sqlite+aiosqlite://"), interval=0.2)
    app.mount("/shop", shop)
    add_endpoints(app)
    add_endpoints(shop, prefix="internal")

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        await asyncio.sleep(0.15)  # what is measured is that it takes long
        return number

    @app.get("/monitoring/{page}")
    async def page(page: str) -> str:
        return page

else:
    import django
    from django.conf import settings
    from django.http import HttpRequest, HttpResponse
    from django.urls import include, path

    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="test",
        MIDDLEWARE=["otel_kpi.endpoints.django.ResponseTimeMiddleware"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )
    django.setup()
    health.check("database", health.django_database(), interval=0.2)

    def django_item(_request: HttpRequest, number: int) -> HttpResponse:
        time.sleep(0.15)  # what is measured is that it takes long
        return HttpResponse(str(number).encode())

    urlpatterns: list[Any] = [
        path("items/<int:number>", django_item),
        path("", include("otel_kpi.endpoints.django")),
        path("shop/", include("otel_kpi.endpoints.django")),
    ]

    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
