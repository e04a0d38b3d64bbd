"""Django's ORM on each database: one client span for each statement, the driver's, and none of Django's own."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import environment, run

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import Server

PROGRAM = """
import json, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_kpi import instrumentation

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
instrumentation.install()
database = json.loads(sys.argv[1])
if database["ENGINE"].endswith("mysql"):
    import pymysql
    pymysql.install_as_MySQLdb()

from django.conf import settings
settings.configure(DEBUG=True, USE_TZ=True, DATABASES={"default": database}, DEFAULT_AUTO_FIELD="django.db.models.AutoField")
import django
django.setup()
from django.db import IntegrityError, close_old_connections, connection, models, transaction

class Item(models.Model):
    name = models.CharField(max_length=20, unique=True)
    class Meta:
        app_label = "shop"

with connection.schema_editor() as editor:
    if "shop_item" in connection.introspection.table_names():
        editor.delete_model(Item)
    editor.create_model(Item)
exporter.clear()
close_old_connections()
connection.close()

Item.objects.create(name="hat")
Item.objects.bulk_create([Item(name="shoe"), Item(name="belt")])
close_old_connections()
assert [item.name for item in Item.objects.order_by("id").iterator(chunk_size=1)] == ["hat", "shoe", "belt"]
try:
    with transaction.atomic():
        Item.objects.create(name="hat")
except IntegrityError:
    pass
with connection.cursor() as cursor:
    cursor.execute("SELECT count(*) FROM shop_item WHERE name = %s", ["hat"])
    assert cursor.fetchone() == (1,)
spans = exporter.get_finished_spans()
print(json.dumps([{"scope": span.instrumentation_scope.name, **span.attributes} for span in spans]))
"""


def statements(database: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    program = folder / "program.py"
    program.write_text(PROGRAM)
    env = environment(OTEL_SEMCONV_STABILITY_OPT_IN="http,database")
    ended = run([sys.executable, str(program), json.dumps(database)], env, folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def check(spans: list[dict[str, Any]], scope: str, expected: dict[str, Any]) -> None:
    # MySQL sets a savepoint inside of `atomic` nowhere here: each of these is a statement of the application.
    assert [span["db.operation.name"] for span in spans] == ["INSERT", "INSERT", "SELECT", "INSERT", "SELECT"]
    assert {span["scope"] for span in spans} == {f"otel_kpi.instrumentation.{scope}"}
    assert all(span.items() >= expected.items() for span in spans)
    assert "error.type" in spans[3]


def test_sqlite(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.db")
    spans = statements(
        {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "CONN_HEALTH_CHECKS": True}, tmp_path
    )
    check(spans, "sqlite3", {"db.system.name": "sqlite", "db.namespace": path})


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_postgresql(tmp_path: Path, postgresql: Server, driver: str) -> None:
    pytest.importorskip(driver)
    if driver == "psycopg2":
        # Django takes psycopg 3 where it is installed.
        (tmp_path / "psycopg.py").write_text("raise ImportError\n")
    spans = statements(options("django.db.backends.postgresql", postgresql), tmp_path)
    check(
        [span for span in spans if "shop_item" in span["db.query.text"]],
        driver,
        {"db.system.name": "postgresql", "server.port": postgresql.port},
    )
    assert len(spans) == 5


def test_mysql(tmp_path: Path, mariadb: Server) -> None:
    pytest.importorskip("pymysql")
    spans = statements(options("django.db.backends.mysql", mariadb), tmp_path)
    check(spans, "pymysql", {"db.system.name": "mysql", "server.port": mariadb.port})


def options(engine: str, server: Server) -> dict[str, Any]:
    return {
        "ENGINE": engine,
        "NAME": server.database,
        "USER": server.user,
        "PASSWORD": server.password,
        "HOST": server.host,
        "PORT": server.port,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
