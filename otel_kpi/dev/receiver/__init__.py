"""Where telemetry comes in: OTLP over HTTP and gRPC on one port."""
