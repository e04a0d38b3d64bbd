"""Metrics and health over HTTP: what is answered, on which paths, to whom.

`starlette.py` puts it into FastAPI and Starlette applications, `django.py` into Django projects.
"""

from otel_kpi.endpoints.allow import Caller
from otel_kpi.endpoints.catalogue import ENDPOINTS, Endpoint
from otel_kpi.endpoints.openapi import openapi

__all__ = ["ENDPOINTS", "Caller", "Endpoint", "openapi"]
