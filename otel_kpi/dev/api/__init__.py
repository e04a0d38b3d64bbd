"""What programs ask: Jaeger's clients, Prometheus, and whoever wants JSON."""
