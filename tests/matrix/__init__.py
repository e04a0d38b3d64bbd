"""The version matrix: each library's versions, one at a time, against OpenTelemetry's."""
