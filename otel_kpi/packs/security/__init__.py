"""Security: intrusions, authentication, rate limits, secured requests, sanitised input and suspicious clients.

Addresses are on log events named `security.*` and nowhere else. What Django, Django REST framework, FastAPI, PyJWT,
python-jose, slowapi and django-ratelimit say is counted by instrumentors; the functions here are for what only the
application knows.
"""

from __future__ import annotations

from otel_kpi.packs.security.clients import suspicious
from otel_kpi.packs.security.instruments import PACK
from otel_kpi.packs.security.secured import secured_request
from otel_kpi.packs.security.statements import authentication, intrusion, rate_limited, sanitized

__all__ = [
    "PACK",
    "authentication",
    "intrusion",
    "rate_limited",
    "sanitized",
    "secured_request",
    "suspicious",
]
