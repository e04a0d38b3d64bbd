"""What the settings decide of WebSockets; the row `websocket`, which needs no library, writes it down."""

from __future__ import annotations

from typing import Any, Final, Literal

Spans = Literal["linked", "connection", "off"]
"""`linked`: a trace for each message. `connection`: one span for all of it. `off`: the handshake and the end alone."""

SPANS_FIRST: Final = 100
SPAN_EVERY: Final = 10.0
"""Seconds between two spans of a connection that has used up its budget."""


class Choices:
    """What is in force.

    Attributes:
        enabled: Whether WebSockets have more than the span of their handshake and their end.
        spans: See `Spans`.
        first: Spans of messages and pushes of one connection, before they become few.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.spans: Spans = "linked"
        self.first = SPANS_FIRST


CHOICES: Final = Choices()


class Instrumentor:
    """Has the conversations of WebSockets followed where an ASGI application is traced anyway."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, *, spans: Spans = "linked", first: int = SPANS_FIRST, **_options: Any) -> None:
        """Follow those that begin from now on.

        Args:
            spans: See `Spans`.
            first: Spans of messages of one connection, before they become few.
        """
        CHOICES.spans, CHOICES.first, CHOICES.enabled = spans, first, True

    def uninstrument(self) -> None:
        """Follow no further one."""
        CHOICES.enabled = False
