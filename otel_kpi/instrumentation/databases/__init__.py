"""Databases: one client span and one measurement for each operation, on the drivers' own methods."""
