"""The shop: FastAPI and SQLAlchemy, and nothing of OpenTelemetry but one attribute in `imports.py`."""
