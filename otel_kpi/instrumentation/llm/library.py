"""Libraries of models that have no instrumentor of OpenTelemetry's: what is common to ours.

Each stands on util-genai's handler, as the official ones do, so that spans, metrics, events and content are theirs. A
library's own module says where its methods are, and how a request, an answer, a chunk and a usage are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry import context

from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.instrumentation.llm import underway
from otel_kpi.instrumentation.llm.messages import Parts
from otel_kpi.instrumentation.llm.wrappers import named
from otel_kpi.packs.llm import attribution, calls
from otel_kpi.packs.llm.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    Wrapper = Callable[[Any, Any, Any, Any], Any]

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


class Library:
    """One library: its boundary, its handler, and what is wrapped of it.

    Args:
        name: The row's in the table.
    """

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.boundary: Final = Boundary(name)
        self.methods: Final = Methods()
        self.handler: Any = None

    def activate(self, options: Mapping[str, Any]) -> None:
        """Make the handler.

        Args:
            options: As upstream's instrumentors take them: providers, and the user's own `completion_hook`.

        Raises:
            ModuleNotFoundError: opentelemetry-util-genai is not installed.
        """
        from opentelemetry.util.genai.completion_hook import load_completion_hook
        from opentelemetry.util.genai.handler import TelemetryHandler

        from otel_kpi.instrumentation.llm import invocations

        invocations.follow()
        self.handler = TelemetryHandler(
            tracer_provider=options.get("tracer_provider"),
            meter_provider=options.get("meter_provider"),
            logger_provider=options.get("logger_provider"),
            completion_hook=options.get("completion_hook") or load_completion_hook(),
            instrumentation_scope_name=f"otel_kpi.instrumentation.llm.{self.name}",
            instrumentation_scope_version=__version__,
        )

    def wrap(self, owner: Any, names: Iterable[str], wrapper: Wrapper) -> None:
        """Wrap those methods that `owner` has itself."""
        self.methods.wrap(owner, names, wrapper)

    def watch(self, owner: Any, names: Iterable[str], wrapper: Wrapper) -> None:
        """Wrap methods with what only looks on: what it raises is kept from the application."""
        self.methods.wrap(owner, names, self.boundary.wrap(wrapper))

    def deactivate(self) -> None:
        """Unwrap everything."""
        self.handler = None
        self.methods.unwrap()

    def request(self, method: Method, instance: Any, args: Any, kwargs: Any, function: Any) -> Request | None:
        """Read what is asked; None when the call is to be left alone."""
        if self.handler is None or not self.boundary.open:
            return None
        try:
            return method.request(instance, named(function, args, kwargs))
        except Exception as error:
            self.boundary.failed(error)
            return None

    def begin(self, method: Method, request: Request) -> Exchange | None:
        """Start the span of a call; it is current until the exchange is suspended or has ended."""
        try:
            return Exchange(self, method, request)
        except Exception as error:
            self.boundary.failed(error)
            return None

    def begin_within(self, before: Context, method: Method, request: Request) -> Exchange | None:
        """Start the span of a stream that is first read now, as the context of its call has it."""
        token = context.attach(before)
        try:
            exchange = self.begin(method, request)
            if exchange is not None:
                exchange.suspend()
            return exchange
        finally:
            context.detach(token)


class Exchange:
    """A call that is under way: a request, and what is answered. No method of it raises.

    Args:
        library: Whose.
        method: How it is read.
        request: What was asked.
    """

    __slots__ = ("_boundary", "_method", "_request", "_seen", "invocation", "response")

    def __init__(self, library: Library, method: Method, request: Request) -> None:
        self._boundary, self._method, self._request = library.boundary, method, request
        self.invocation: Any = _start(library.handler, request)
        self._seen = underway.current(self.invocation.context)
        self.response = Response(keep=bool(self.invocation.should_capture_content))
        try:
            self._describe()
        except Exception as error:
            self._boundary.failed(error)

    def _describe(self) -> None:
        request, invocation, seen = self._request, self.invocation, self._seen
        if seen is not None:
            seen.endpoint = seen.endpoint or request.url
            seen.tier = request.tier
        _put(invocation, request.parameters)
        invocation.attributes.update(request.attributes)
        if request.operation in {EMBEDDINGS, RETRIEVAL}:
            return
        if request.stream:
            invocation.request_stream = True
        if self.response.keep:
            if request.messages is not None:
                invocation.input_messages = request.messages()
            if request.tools is not None:
                invocation.tool_definitions = request.tools()

    @property
    def context(self) -> Context:
        """The context that the library's own work runs in."""
        return self.invocation.context

    def answered(self, answer: Any) -> None:
        """Read an answer, and end."""
        try:
            if self._seen is not None:
                self._seen.received = True
            self._method.read(self.response, answer)
        except Exception as error:
            self._boundary.failed(error)
        self.ended()

    def streamed(self, proxy: Callable[[Any, Exchange], Any], stream: Any) -> Any:
        """Give the application its context back, and a stream that is followed; what is none has been answered."""
        try:
            followed = proxy(stream, self)
            self.invocation.suspend()
        except Exception as error:
            self._boundary.failed(error)
            self.answered(stream)
            return stream
        return followed

    def chunk(self, chunk: Any, *, timed: bool = True) -> None:
        """Read a part of a streamed answer.

        Args:
            chunk: The part.
            timed: Whether its arrival is to be noted; util-genai's proxies do it themselves.
        """
        try:
            if self._seen is not None:
                self._seen.received = True
            if self._method.chunk is not None:
                self._method.chunk(self.response, chunk)
            if self.response.model:
                # Early, so that the times of the chunks have it.
                self.invocation.response_model_name = self.response.model
            if timed:
                self.invocation.record_stream_chunk()
        except Exception as error:
            self._boundary.failed(error)

    def ended(self) -> None:
        """End well, or with the failure that came as an answer."""
        failure = self.response.failure
        if failure is None:
            self._end(None)
            return
        from opentelemetry.util.genai.types import Error

        self._end(Error(message=failure, type=failure))

    def failed(self, error: Any) -> None:
        """End with an error of the library's; what was received so far counts."""
        self._end(error)

    def suspend(self) -> None:
        """Give the application its own context back while the answer goes on."""
        try:
            self.invocation.suspend()
        except Exception as error:
            self._boundary.failed(error)

    def _end(self, error: Any) -> None:
        try:
            self._apply(error)
        except Exception as fault:
            self._boundary.failed(fault)
        try:
            if error is None:
                self.invocation.stop()
            else:
                self.invocation.fail(error)
        except Exception as fault:
            self._boundary.failed(fault)

    def _charge(self, error: Any) -> None:
        """Price what is neither inference nor embedding: nobody else follows those invocations."""
        request, response = self._request, self.response
        call = calls.Call(
            operation=request.operation,
            provider=request.provider,
            endpoint=request.url,
            request_model=request.model,
            counts=response.counts,
            attribution=attribution.current(self.invocation.context),
            error=None if error is None else type(error).__name__,
            answered=error is None,
        )
        self.invocation.attributes.update(call.attribution.span_attributes() | calls.ended(call))

    def _apply(self, error: Any) -> None:
        response, invocation, seen = self.response, self.invocation, self._seen
        usage = Usage.read(response.counts)
        if seen is not None:
            if response.counts:
                seen.usage(response.counts)
            if response.headers is not None:
                seen.limited(response.headers)
            seen.tier = response.tier or seen.tier
        invocation.attributes.update(response.attributes)
        _put(invocation, response.parameters)
        if self._request.operation == RETRIEVAL:
            self._charge(error)
            return
        invocation.input_tokens = usage.of("input_tokens")
        if response.model:
            invocation.response_model_name = response.model
        if self._request.operation == EMBEDDINGS:
            return
        invocation.response_id = response.id
        invocation.output_tokens = usage.of("output_tokens")
        invocation.cache_read_input_tokens = usage.of("cache_read_tokens")
        invocation.cache_write_input_tokens = usage.of("cache_write_tokens")
        invocation.thinking_tokens = usage.of("output_reasoning_tokens")
        finishes = [response.finishes[index] for index in sorted(response.finishes)]
        if finishes:
            invocation.finish_reasons = finishes
        if response.keep and response.said:
            invocation.output_messages = [
                response.said[index].message(response.finishes.get(index)) for index in sorted(response.said)
            ]


def _start(handler: Any, request: Request) -> Any:
    address, port = where(request.url)
    given: dict[str, Any] = {
        "request_model": request.model,
        "server_address": address,
        "server_port": port,
    }
    if request.operation == EMBEDDINGS:
        return handler.embedding(request.provider, **given)
    if request.operation == RETRIEVAL:
        return handler.retrieval(provider=request.provider, **given)
    return handler.inference(request.provider, operation_name=request.operation, **given)


def _put(invocation: Any, parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        kept = value_of(value)
        if kept is not None:
            setattr(invocation, name, kept)


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
