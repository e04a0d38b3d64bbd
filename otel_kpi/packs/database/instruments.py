"""What a client of databases measures: each operation, and the connections of its pools.

The names are those of the conventions. A pool without a bound says nothing of a maximum.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Histogram, Pack, UpDownCounter
from otel_kpi.packs.attributes import ERROR_TYPE

_DATABASE: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/database/database-metrics/"

MOST_POOLS: Final = 50
"""Names of pools in one process."""
OPERATION_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Seconds; the boundaries that the conventions recommend."""

# --- attributes

SYSTEM: Final = Attribute(
    name="db.system.name",
    brief="The kind of database.",
    budget=20,
    examples=("postgresql", "redis", "sqlite"),
    source=_DATABASE,
)
NAMESPACE: Final = Attribute(
    name="db.namespace",
    brief="The database; of Redis its number, of SQLite none.",
    budget=200,
    examples=("shop", "0"),
    source=_DATABASE,
    required=False,
)
COLLECTION: Final = Attribute(
    name="db.collection.name",
    brief="Collection of MongoDB.",
    budget=200,
    examples=("orders",),
    source=_DATABASE,
    required=False,
)
OPERATION: Final = Attribute(
    name="db.operation.name",
    brief="The statement's first word, or the command; of a pipeline of Redis `PIPELINE` or `MULTI`.",
    budget=200,
    examples=("SELECT", "GET", "MULTI SET"),
    source=_DATABASE,
    required=False,
)
STATUS_CODE: Final = Attribute(
    name="db.response.status_code",
    brief="The database's own word for the failure.",
    budget=200,
    examples=("23505", "WRONGTYPE"),
    source=_DATABASE,
    required=False,
)
SERVER_ADDRESS: Final = Attribute(
    name="server.address",
    brief="Host of the database, or the path of a socket.",
    budget=200,
    examples=("db.example.com",),
    source=_DATABASE,
    required=False,
)
SERVER_PORT: Final = Attribute(
    name="server.port",
    brief="Its port.",
    budget=200,
    type="int",
    examples=("5432",),
    source=_DATABASE,
    required=False,
)
POOL_NAME: Final = Attribute(
    name="db.client.connection.pool.name",
    brief="The pool: the name that the application gave it, or server and database; never a user or a password.",
    budget=MOST_POOLS,
    examples=("db.example.com:5432/shop", "default"),
    source=_DATABASE,
)
STATE: Final = Attribute(
    name="db.client.connection.state",
    brief="Whether somebody has the connection.",
    members=("idle", "used"),
    source=_DATABASE,
)

# --- operations

OPERATION_DURATION: Final = Histogram(
    name="db.client.operation.duration",
    unit="s",
    brief="Duration of database client operations.",
    attributes=(
        SYSTEM, NAMESPACE, COLLECTION, OPERATION, SERVER_ADDRESS, SERVER_PORT, ERROR_TYPE, STATUS_CODE,
    ),
    source=_DATABASE,
    systems=("S2", "S4"),
    series=2000,
    buckets=OPERATION_BUCKETS,
    stability="stable",
)  # fmt: skip

# --- pools

_WAITS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
"""Seconds; the last is how long SQLAlchemy and psycopg wait before they give up."""

CONNECTIONS: Final = UpDownCounter(
    name="db.client.connection.count",
    unit="{connection}",
    brief="Connections of a pool, by whether somebody has them.",
    attributes=(POOL_NAME, STATE),
    source=_DATABASE,
    systems=("S2", "S4"),
    observable=True,
)
MOST_CONNECTIONS: Final = UpDownCounter(
    name="db.client.connection.max",
    unit="{connection}",
    brief="Connections that a pool opens at most.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
    observable=True,
)
MOST_IDLE: Final = UpDownCounter(
    name="db.client.connection.idle.max",
    unit="{connection}",
    brief="Connections that a pool keeps open for later at most.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
    observable=True,
)
PENDING_REQUESTS: Final = UpDownCounter(
    name="db.client.connection.pending_requests",
    unit="{request}",
    brief="Those who wait for a connection of a pool.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
    observable=True,
)
TIMEOUTS: Final = Counter(
    name="db.client.connection.timeouts",
    unit="{timeout}",
    brief="Those who waited for a connection of a pool and got none in time.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
)
CREATE_TIME: Final = Histogram(
    name="db.client.connection.create_time",
    unit="s",
    brief="Time to open a connection.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0),
)
WAIT_TIME: Final = Histogram(
    name="db.client.connection.wait_time",
    unit="s",
    brief="Time until a pool gave a connection, opening one included.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
    buckets=_WAITS,
)
USE_TIME: Final = Histogram(
    name="db.client.connection.use_time",
    unit="s",
    brief="From getting a connection to giving it back.",
    attributes=(POOL_NAME,),
    source=_DATABASE,
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0),
)
DJANGO_CONNECTIONS: Final = UpDownCounter(
    name="django.db.connections.active",
    unit="{connection}",
    brief="Connections that Django has open.",
    prometheus="django_db_connections_active",
    source="S4's runbook of slow requests",
    systems=("S4",),
    exempt="S4's runbook names the series",
    observable=True,
    compatibility=True,
)

PACK: Final = Pack(
    name="database",
    title="Databases",
    brief="Each operation of a client, and the connections of its pools. Recorded without any call.",
    instruments=(
        OPERATION_DURATION,
        CONNECTIONS,
        MOST_CONNECTIONS,
        MOST_IDLE,
        PENDING_REQUESTS,
        TIMEOUTS,
        CREATE_TIME,
        WAIT_TIME,
        USE_TIME,
        DJANGO_CONNECTIONS,
    ),
)
