"""otel-kpi: an OpenTelemetry distribution for systems that serve, move data and call language models."""
