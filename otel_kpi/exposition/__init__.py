"""What this process has measured, for who asks it over HTTP: Prometheus text, a summary, a page."""

from otel_kpi.exposition.answer import Answer

__all__ = ["Answer"]
