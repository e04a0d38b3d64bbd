"""What several tests share: a receiver of OTLP, and child processes."""
