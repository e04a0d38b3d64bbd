"""Reads back what Prometheus, `/metrics` and the summary say, and compares it with the plan."""
