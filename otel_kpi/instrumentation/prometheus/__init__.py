"""Metrics that an application already keeps in prometheus_client: on their way out with ours, by setting."""
