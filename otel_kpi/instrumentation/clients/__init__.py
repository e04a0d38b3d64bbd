"""Clients of HTTP: what upstream's instrumentors leave out."""
