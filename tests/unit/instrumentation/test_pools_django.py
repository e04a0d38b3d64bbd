"""Django says how many connections it has open, and whether a request has them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import django
import pytest
from support.children import environment, run

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import Server

PROGRAM = """
import json, sys, threading
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from otel_kpi import instrumentation

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
instrumentation.install()

def said():
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name.startswith(("django.db.", "db.client.connection.")):
                    for point in metric.data.data_points:
                        key = " ".join([metric.name, *map(str, point.attributes.values())])
                        found[key] = point.value if hasattr(point, "value") else point.count
    return found

from django.conf import settings
settings.configure(
    USE_TZ=True, DATABASES={"default": json.loads(sys.argv[1])}, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    SECRET_KEY="x",
)
import django
django.setup()
from django.db import connection, connections
from django.http import HttpResponse
from django.urls import path
from django.core.handlers.wsgi import WSGIHandler

inside = []

def page(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    inside.append(said())
    return HttpResponse("here")

urlpatterns = [path("", page)]
from wsgiref.util import setup_testing_defaults
environ = {}
setup_testing_defaults(environ)
application = WSGIHandler()
assert said() == {}
def serve():
    response = application(dict(environ), lambda *_: None)
    b"".join(response)
    response.close()
serve()
between = said()
thread = threading.Thread(target=lambda: connections["default"].ensure_connection() or inside.append(said()) or connections["default"].close())
thread.start()
thread.join()
serve()
connection.close()
print(json.dumps([inside, between, said()]))
"""


def ask(tmp_path: Path, database: dict[str, Any]) -> Any:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    ended = run([sys.executable, str(program), json.dumps(database)], environment())
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.fixture
def database(postgresql: Server) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": postgresql.database,
        "USER": postgresql.user,
        "PASSWORD": postgresql.password,
        "HOST": postgresql.host,
        "PORT": postgresql.port,
    }


def test_persistent_connections_are_used_in_a_request_and_idle_between(
    tmp_path: Path, database: dict[str, Any]
) -> None:
    count = "db.client.connection.count default"
    [first, elsewhere, second], between, closed = ask(tmp_path, {**database, "CONN_MAX_AGE": 60})
    assert (first["django.db.connections.active"], first[f"{count} used"], first[f"{count} idle"]) == (
        1,
        1,
        0,
    )
    assert (between["django.db.connections.active"], between[f"{count} used"], between[f"{count} idle"]) == (
        1,
        0,
        1,
    )
    assert (elsewhere["django.db.connections.active"], elsewhere[f"{count} used"]) == (2, 1)
    assert (second["django.db.connections.active"], second[f"{count} used"]) == (1, 1)
    assert second["db.client.connection.create_time default"] == 2
    assert (closed["django.db.connections.active"], closed[f"{count} used"], closed[f"{count} idle"]) == (
        0,
        0,
        0,
    )


@pytest.mark.skipif(django.get_version() < "5.1", reason="this Django has no pools")
def test_connections_of_djangos_pool_are_said_by_the_pool(tmp_path: Path, database: dict[str, Any]) -> None:
    pytest.importorskip("psycopg_pool")
    name = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    options = {"pool": {"min_size": 1, "max_size": 3}}
    [first, _, _], between, closed = ask(tmp_path, {**database, "OPTIONS": options})
    assert first[f"db.client.connection.count {name} used"] == 1
    assert first[f"db.client.connection.max {name}"] == 3
    assert between[f"db.client.connection.count {name} used"] == 0
    assert first["django.db.connections.active"] == 1
    assert closed["django.db.connections.active"] == 0
    assert not [key for key in closed if " default" in key]


def test_sqlite_has_connections_too(tmp_path: Path) -> None:
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "shop.db")}
    [first, _, _], between, _ = ask(tmp_path, database)
    assert first["django.db.connections.active"] == 1
    assert between["django.db.connections.active"] == 0  # CONN_MAX_AGE is 0
