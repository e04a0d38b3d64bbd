"""The office: a Django project in which people sign in. Nothing in it speaks of telemetry but one line of `urls.py`."""

ACTIVE, FORMER = "ada", "charles"
"""Who is known: one who works here, and one who no longer does."""
