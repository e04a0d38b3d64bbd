"""Servers and their frameworks: one SERVER span for a request, whoever begins it."""
