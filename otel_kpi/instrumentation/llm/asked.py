"""What is asked of a model and what it answers, as plain data: what a library's own module reads, and ours applies."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_kpi.instrumentation.llm.messages import Parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from opentelemetry.util.types import AttributeValue

EMBEDDINGS: Final = "embeddings"
RETRIEVAL: Final = "retrieval"
_DEFAULT_PORTS: Final = MappingProxyType({"https": 443, "http": 80})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a model.

    Attributes:
        operation: `gen_ai.operation.name`.
        provider: `gen_ai.provider.name`, unless the address says better.
        model: The model that is asked for.
        url: The address that is called, with the path of its version.
        stream: Whether the answer comes in parts.
        parameters: Values for the invocation's own properties (`temperature`, `max_tokens`, …); what is no value of
            the kind that belongs there is left out.
        attributes: More attributes of the span.
        messages: Gives what is sent, for those who agreed that it may be kept.
        tools: Definitions of tools, for the same.
        tier: The service tier that is asked for.
    """

    operation: str
    provider: str
    model: str | None = None
    url: str | None = None
    stream: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, "AttributeValue"])
    messages: Callable[[], list[Any]] | None = None
    tools: Callable[[], list[Any]] | None = None
    tier: str | None = None


@dataclass(slots=True)
class Response:
    """What was answered so far; a stream's chunks fill it.

    Attributes:
        id: The answer's.
        model: The model that answered.
        finishes: Why each choice stopped.
        counts: The usage, by the units of `packs/llm/usage.py`.
        tier: The service tier of the answer.
        charged: What the provider says that it charged, and in which currency.
        provider: Who answered, where only the answer says it.
        url: The address that was called, where only the answer says it.
        remembered: The library had the answer in a cache of its own, and nobody was asked.
        headers: Of HTTP, where the library shows them.
        attributes: More attributes of the span.
        parameters: More values for the invocation's properties.
        said: What was said, by choice; only for those who agreed.
        keep: Whether they did.
        failure: The word for an error that came as an answer.
    """

    id: str | None = None
    model: str | None = None
    finishes: dict[int, str] = field(default_factory=dict[int, str])
    counts: dict[str, Any] = field(default_factory=dict[str, Any])
    tier: str | None = None
    charged: tuple[Decimal, str] | None = None
    provider: str | None = None
    url: str | None = None
    remembered: bool = False
    headers: Mapping[str, str] | None = None
    attributes: dict[str, AttributeValue] = field(default_factory=dict[str, "AttributeValue"])
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    said: dict[int, Parts] = field(default_factory=dict[int, Parts])
    keep: bool = False
    failure: str | None = None

    def finished(self, index: Any, reason: Any) -> None:
        """Take why a choice stopped; None says that it has not."""
        if reason is not None:
            self.finishes[index if type(index) is int else 0] = str(getattr(reason, "value", reason))

    def choice(self, index: Any) -> Parts:
        """What a choice has said so far."""
        return self.said.setdefault(index if type(index) is int else 0, Parts())


@dataclass(frozen=True, slots=True)
class Method:
    """How one method of a library is read. Pure functions; what they raise is kept from the application.

    Attributes:
        request: Gives what is asked, from the object and the named arguments; None leaves the call alone.
        read: Reads an answer.
        chunk: Reads a part of a streamed answer.
        lazy: Whether its streams are generators, which send their request when they are first read.
    """

    request: Callable[[Any, Mapping[str, Any]], Request | None]
    read: Callable[[Response, Any], None]
    chunk: Callable[[Response, Any], None] | None = None
    lazy: bool = False


def value_of(value: Any) -> Any:
    """Give a value that an attribute can have; None for the marks by which SDKs say that nothing was given."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        texts = [each for each in value if isinstance(each, str)]  # pyright: ignore[reportUnknownVariableType] -- of anything
        return texts or None
    return None


def where(url: str | None) -> tuple[str | None, int | None]:
    """Give host and port of an address; the scheme's own port is left out, as upstream does for 443."""
    if not url:
        return None, None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None, None
    return parts.hostname, None if port == _DEFAULT_PORTS.get(parts.scheme) else port
