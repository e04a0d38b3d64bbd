"""The example systems under traffic, on `otel-kpi dev`: what `make demo` starts."""
