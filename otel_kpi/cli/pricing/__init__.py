"""What `otel-kpi prices` does; imported when it is asked for it, because every command's module is imported to parse one."""
