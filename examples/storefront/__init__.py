"""A small shop, as real as it needs to be: what otel-kpi sees of it is counted exactly."""
