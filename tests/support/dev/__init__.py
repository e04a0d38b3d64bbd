"""Telemetry of a day that could have been, for the tests of the embedded default."""
