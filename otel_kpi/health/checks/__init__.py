"""What can be asked: databases, Redis, AI providers, addresses, functions, and the machine under the process."""

from otel_kpi.health.checks.address import ai_provider, http
from otel_kpi.health.checks.databases import django_database, sqlalchemy
from otel_kpi.health.checks.function import call
from otel_kpi.health.checks.machine import cpu, disk, memory
from otel_kpi.health.checks.redis import redis

__all__ = ["ai_provider", "call", "cpu", "disk", "django_database", "http", "memory", "redis", "sqlalchemy"]
