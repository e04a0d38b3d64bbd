"""Bugsink as the Sentry-compatible receiver of the stack: one user, one machine, loopback.

Reads BUGSINK_HOME (its databases and files), BUGSINK_PORT and BUGSINK_SECRET_KEY_FILE.
"""

import os
from pathlib import Path

from bugsink.settings.default import *  # noqa: F403 - how Bugsink's own template takes its defaults
from bugsink.settings.default import DATABASES

_HOME = Path(os.environ["BUGSINK_HOME"])
_UNLIMITED = 1_000_000_000

SECRET_KEY = Path(os.environ["BUGSINK_SECRET_KEY_FILE"]).read_text(encoding="utf-8").strip()
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
TIME_ZONE = "UTC"

DATABASES["default"]["NAME"] = str(_HOME / "db.sqlite3")
DATABASES["snappea"]["NAME"] = str(_HOME / "snappea.sqlite3")
for _database in DATABASES.values():
    # A burst of errors waits its turn instead of being refused.
    _database["OPTIONS"]["timeout"] = 30

# An event is counted before its sender gets the answer: nothing is left in a queue at the end of a test.
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

BUGSINK = {
    "BASE_URL": f"http://127.0.0.1:{os.environ['BUGSINK_PORT']}",
    "SITE_TITLE": "Bugsink (otel-kpi stack)",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "USER_REGISTRATION": "CB_NOBODY",
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": str(_HOME / "ingestion"),
    # Every event is counted and kept: the defaults refuse more than 1,000 in five minutes.
    "MAX_EVENTS_PER_PROJECT_PER_5_MINUTES": _UNLIMITED,
    "MAX_EVENTS_PER_PROJECT_PER_HOUR": _UNLIMITED,
    "MAX_EVENTS_PER_PROJECT_PER_MONTH": _UNLIMITED,
    "MAX_EVENTS_PER_5_MINUTES": _UNLIMITED,
    "MAX_EVENTS_PER_HOUR": _UNLIMITED,
    "MAX_EVENTS_PER_MONTH": _UNLIMITED,
}
