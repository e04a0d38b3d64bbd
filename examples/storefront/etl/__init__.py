"""The import of a supplier's price list, observed with the plain OpenTelemetry API."""
