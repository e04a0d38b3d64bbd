"""The script of sessions, which calls of models each of them causes, and the driver that plays it."""
