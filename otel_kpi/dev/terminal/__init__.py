"""What `otel-kpi dev` prints: each trace as it comes, and a summary at the end."""
