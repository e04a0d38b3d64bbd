"""Runs the real services on this machine: Collector, Jaeger, Prometheus and Bugsink.

Only ``otel-kpi stack`` and tests import this package; nothing that starts with an
application does.
"""
