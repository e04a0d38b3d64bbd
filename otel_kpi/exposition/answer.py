"""What an endpoint answers, whatever the framework that carries it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer over HTTP.

    Attributes:
        status: The HTTP status code.
        content_type: The value of `Content-Type`, with its charset.
        body: What is sent.
    """

    status: int
    content_type: str
    body: bytes
