"""OTLP on the wire: `protobuf` and `json` give a `telemetry.Request` of a body, `otlp_json` writes one."""
