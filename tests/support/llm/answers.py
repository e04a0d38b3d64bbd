"""What a scripted provider is asked, and what it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

SENSIBLE: Final = "sensible"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived.

    Attributes:
        method: `GET`, `POST`, …
        path: Path with its query, as sent.
        headers: Lower-case names.
        body: The bytes.
        at: `time.monotonic()` of its arrival, in seconds.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float = 0.0

    @property
    def route(self) -> str:
        """The path without the query."""
        return self.path.partition("?")[0]

    @property
    def json(self) -> dict[str, Any]:
        """The body; empty when it is none."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def trace_id(self) -> str:
        return self.headers.get("traceparent", "")[3:35]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; what is not given is something sensible in the format that was asked for.

    Attributes:
        model: The model that answered; that of the request where it is `None`.
        text: What it says. In a stream the words arrive one by one, unless `chunks` says how.
        chunks: The pieces of text of a stream.
        usage: In the provider's own form, sent as it is; `None` sends none.
        status: Of HTTP. From 400 on the body is the provider's error.
        headers: More of them; one of ours is replaced.
        error: Message of an error.
        tier: `service_tier` of the answer.
        finish: Why it stopped, in the provider's own word.
        tools: Calls of tools: name and arguments.
        reasoning: What it thought, in formats that show it.
        break_after: The connection breaks after so many events of a stream (or so many bytes of another body).
        error_after: The provider tells of an error after so many events, in the way of its format, and ends.
        delay: Seconds before the answer, and before each event of a stream.
        hold: Set by the test: events from `hold_from` on wait for it.
        hold_from: Number of the event, from 0, that waits.
        hang_up: The connection is closed instead of an answer.
        body: Replaces the whole body: JSON, bytes, or for streams the list of their events.
        more: Merged into the top of the answer (into each of its chunks for OpenAI's streams).
    """

    model: str | None = None
    text: str = "Hello there, friend."
    chunks: Sequence[str] | None = None
    usage: Mapping[str, Any] | Literal["sensible"] | None = SENSIBLE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    error: str = "scripted"
    tier: str | None = None
    finish: str | None = None
    tools: Sequence[tuple[str, Mapping[str, Any]]] = ()
    reasoning: str | None = None
    break_after: int | None = None
    error_after: int | None = None
    delay: float = 0.0
    hold: threading.Event | None = None
    hold_from: int = 0
    hang_up: bool = False
    body: Any = None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text as a stream sends it."""
        if self.chunks is not None:
            return tuple(self.chunks)
        *words, last = self.text.split(" ")
        return (*(f"{word} " for word in words), last)

    def counts(self, sensible: Mapping[str, Any]) -> dict[str, Any] | None:
        """The usage to send; `None` when there is to be none."""
        if self.usage is None:
            return None
        return dict(sensible if self.usage == SENSIBLE else self.usage)


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes over the wire.

    Attributes:
        content: The whole body, or the events of a stream, each as it is written.
        content_type: Its media type.
        status: Of HTTP.
        headers: Of the format.
    """

    content: bytes | Sequence[bytes]
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def as_json(content: object, status: int = 200) -> Reply:
    """A body of JSON."""
    return Reply(json.dumps(content).encode(), status=status)


def event(data: object, name: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def as_events(events: Sequence[bytes]) -> Reply:
    """A stream of server-sent events."""
    return Reply(events, "text/event-stream; charset=utf-8")
