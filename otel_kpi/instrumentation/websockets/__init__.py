"""WebSockets of ASGI applications: a handshake that is seen at once, a trace for each message, counts that are exact."""
