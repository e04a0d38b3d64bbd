"""The Model Context Protocol's SDK (`mcp` 2): requests of clients, what servers do with them, and sessions.

The SDK has spans itself and carries the trace in `_meta`, on stdio, HTTP and in memory. A server's span is left as it is
and told what it lacks. A client's is replaced by one that the conventions know: `tools/call search` instead of `MCP send
tools/call search`. The measurements of both sides are ours. Arguments and results stay here, unless
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` allows spans to have them.
"""

from __future__ import annotations

import contextvars
import json
import time
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_kpi import record
from otel_kpi._compat import mcp as private
from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.instrumentation.llm.messages import get
from otel_kpi.packs import consent
from otel_kpi.packs.llm import mcp_instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

_SCOPE: Final = "otel_kpi.instrumentation.llm.mcp"
_BOUNDARY: Final = Boundary("mcp")
_METHODS: Final = Methods()
_CALL_TOOL: Final = "tools/call"
_GET_PROMPT: Final = "prompts/get"
_TOOL_ERROR: Final = "tool_error"
_INVALID_PARAMS: Final = "-32602"
_LONGEST: Final = 8192

_client_operations: Final = record.histogram(mcp_instruments.CLIENT_OPERATION, _SCOPE)
_server_operations: Final = record.histogram(mcp_instruments.SERVER_OPERATION, _SCOPE)
_client_sessions: Final = record.histogram(mcp_instruments.CLIENT_SESSION, _SCOPE)
_server_sessions: Final = record.histogram(mcp_instruments.SERVER_SESSION, _SCOPE)

_current: Final[contextvars.ContextVar[_Sent | None]] = contextvars.ContextVar("otel_kpi_mcp", default=None)
_sessions: Final[weakref.WeakKeyDictionary[Any, _Session]] = weakref.WeakKeyDictionary()


class Instrumentor:
    """Wraps what sends requests, and what handles them."""

    is_instrumented_by_opentelemetry: Final = False

    def __init__(self) -> None:
        self._take_back: Callable[[], None] | None = None

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        from mcp.client.session import ClientSession

        def watch(owner: Any, name: str, wrapper: Any) -> None:
            _METHODS.wrap(owner, (name,), _BOUNDARY.wrap(wrapper))

        watch(ClientSession, "send_request", _send)
        watch(ClientSession, "__aenter__", _open)
        watch(ClientSession, "__aexit__", _close)
        watch(*private.http_transport(), _prepared)
        watch(private.server_middleware(), "__call__", _serve)
        self._take_back = private.replace_client_spans(_BOUNDARY.listener(_span_of))

    def uninstrument(self) -> None:
        """Unwrap them."""
        _METHODS.unwrap()
        if self._take_back is not None:
            self._take_back()
            self._take_back = None


class _Session:
    """A client's session: since when it is open, and what its requests showed of the way they take."""

    __slots__ = ("address", "opened", "transport")

    def __init__(self) -> None:
        self.opened = time.perf_counter()
        self.address: str | None = None
        self.transport: str | None = None


class _Operation:
    """One request, or notification, on either side."""

    __slots__ = ("began", "error", "method", "prompt", "span", "status", "tool", "version")

    def __init__(self, method: str, params: Any, version: str | None) -> None:
        name = get(params, "name")
        self.method = method
        self.tool = name if method == _CALL_TOOL and isinstance(name, str) else None
        self.prompt = name if method == _GET_PROMPT and isinstance(name, str) else None
        self.version = version
        self.error: str | None = None
        self.status: str | None = None
        self.span: Span = trace.INVALID_SPAN
        self.began = time.perf_counter()

    @property
    def name(self) -> str:
        target = self.tool or self.prompt
        return f"{self.method} {target}" if target else self.method

    def attributes(self, params: Any) -> dict[str, AttributeValue]:
        """What the span has of the request."""
        found: dict[str, AttributeValue] = {"mcp.method.name": self.method}
        if self.method == _CALL_TOOL:
            found["gen_ai.operation.name"] = "execute_tool"
        uri = get(params, "uri")
        known = (
            ("gen_ai.tool.name", self.tool),
            ("gen_ai.prompt.name", self.prompt),
            ("mcp.protocol.version", self.version),
            ("mcp.resource.uri", None if uri is None else str(uri)),
        )
        found |= {name: value for name, value in known if value is not None}
        if self.tool is not None and consent.on_spans():
            found["gen_ai.tool.call.arguments"] = _text(get(params, "arguments") or {})
        return found

    def answered(self, result: Any) -> None:
        """Take the answer: one of a tool may be its failure."""
        if self.method != _CALL_TOOL:
            return
        if get(result, "is_error") is True or get(result, "isError") is True:
            self.error = _TOOL_ERROR
            self.span.set_attribute("error.type", _TOOL_ERROR)
            self.span.set_status(Status(StatusCode.ERROR))
        if consent.on_spans():
            self.span.set_attribute("gen_ai.tool.call.result", _text(result))

    def failed(self, error: BaseException) -> None:
        """Take what was raised instead of an answer; the SDK's own code where it has one."""
        code = get(get(error, "error"), "code")
        self.status = str(code) if code is not None else None
        if type(error).__name__ == "ValidationError":
            self.status = _INVALID_PARAMS
        self.error = self.status or type(error).__qualname__

    def labels(self) -> tuple[str | None, ...]:
        """What both sides' times have, in the order of `mcp_instruments`."""
        return self.method, self.tool, self.prompt, self.error, self.status, self.version

    def seconds(self) -> float:
        return time.perf_counter() - self.began


# --- clients


class _Sent(_Operation):
    """A request that a client sends, in a span of ours."""

    __slots__ = ("session", "taken")

    def __init__(self, client: Any, method: str, params: Any) -> None:
        super().__init__(method, params, client.protocol_version)
        self.session = _sessions.get(client)
        self.taken = False
        tracer = trace.get_tracer(_SCOPE, __version__)
        self.span = tracer.start_span(self.name, kind=SpanKind.CLIENT, attributes=self.attributes(params))

    def failed(self, error: BaseException) -> None:
        super().failed(error)
        self.span.set_attribute("error.type", self.error or "_OTHER")
        if self.status is not None:
            self.span.set_attribute("rpc.response.status_code", self.status)
        message = get(get(error, "error"), "message")
        self.span.set_status(Status(StatusCode.ERROR, message if isinstance(message, str) else None))

    def end(self) -> None:
        self.span.end()
        session = self.session
        _client_operations.record(
            self.seconds(),
            *self.labels(),
            session.transport if session is not None else None,
            session.address if session is not None else None,
        )


async def _send(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
    request = args[0] if args else kwargs["request"]
    sent = _Sent(client, request.method, request.params)
    token = _current.set(sent)
    try:
        with trace.use_span(sent.span, record_exception=False, set_status_on_exception=False):
            result = await wrapped(*args, **kwargs)
            sent.answered(result)
            return result
    except BaseException as error:
        sent.failed(error)
        raise
    finally:
        _current.reset(token)
        sent.end()


def _span_of(attributes: Mapping[str, Any] | None) -> Span | None:
    """Give our span of the request that is sent now; what a server sends back within it has one of its own."""
    sent = _current.get()
    if sent is None or sent.taken or (attributes or {}).get("mcp.method.name") != sent.method:
        return None
    sent.taken = True
    sent.span.set_attributes(dict(attributes or {}))
    return sent.span


def _prepared(wrapped: Any, transport: Any, args: Any, kwargs: Any) -> Any:
    headers = wrapped(*args, **kwargs)
    sent = _current.get()
    if sent is not None and sent.span.is_recording():
        parts = urlsplit(transport.url)
        found: dict[str, AttributeValue] = {"network.transport": "tcp", "network.protocol.name": "http"}
        if parts.hostname:
            found["server.address"] = parts.hostname
        if parts.port:
            found["server.port"] = parts.port
        if transport.session_id:
            found["mcp.session.id"] = transport.session_id
        sent.span.set_attributes(found)
        if sent.session is not None:
            sent.session.transport, sent.session.address = "tcp", parts.hostname
    return headers


async def _open(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
    entered = await wrapped(*args, **kwargs)
    _sessions[client] = _Session()
    return entered


async def _close(wrapped: Any, client: Any, args: Any, kwargs: Any) -> Any:
    try:
        return await wrapped(*args, **kwargs)
    finally:
        session = _sessions.pop(client, None)
        if session is not None:
            kind = args[0] if args else kwargs.get("exc_type")
            _client_sessions.record(
                time.perf_counter() - session.opened,
                None if kind is None else kind.__qualname__,
                client.protocol_version,
                session.transport,
                session.address,
            )


# --- servers


class _Served(_Operation):
    """What a server handles, in the SDK's span."""

    __slots__ = ("connection", "context", "transport")

    def __init__(self, context: Any) -> None:
        super().__init__(context.method, context.params, context.protocol_version)
        self.context = context
        self.connection = private.connection_of(context)
        self.transport = "tcp" if context.request is not None else None

    def begun(self) -> None:
        """Tell the SDK's span, which is current by now, what it lacks."""
        self.span = trace.get_current_span()
        found = self.attributes(self.context.params)
        if self.transport is not None:
            found |= {"network.transport": self.transport, "network.protocol.name": "http"}
        if self.connection.session_id:
            found["mcp.session.id"] = self.connection.session_id
        self.span.set_attributes(found)

    def answered(self, result: Any) -> None:
        super().answered(result)
        if self.method == "initialize":
            self._shook_hands()

    def _shook_hands(self) -> None:
        began, connection, transport = self.began, self.connection, self.transport

        def ended(kind: Any, _error: Any, _traceback: Any) -> bool:
            seconds = time.perf_counter() - began
            error = None if kind is None else kind.__qualname__
            _server_sessions.record(seconds, error, connection.protocol_version, transport)
            return False

        connection.exit_stack.push(ended)

    def end(self) -> None:
        _server_operations.record(
            self.seconds(),
            *self.labels(),
            self.transport,
        )


async def _serve(wrapped: Any, _middleware: Any, args: Any, kwargs: Any) -> Any:
    context, call_next = args
    served = _Served(context)

    # The SDK's middleware takes what these raise for the handler's.
    begun, answered = _BOUNDARY.listener(served.begun), _BOUNDARY.listener(served.answered)

    async def next_one(given: Any) -> Any:
        begun()
        result = await call_next(given)
        answered(result)
        return result

    try:
        return await wrapped(context, next_one, **kwargs)
    except BaseException as error:
        served.failed(error)
        raise
    finally:
        served.end()


# --- reading


def _text(content: Any) -> str:
    dump = getattr(content, "model_dump", None)
    if callable(dump):
        content = dump(by_alias=True, mode="json", exclude_none=True)
    return json.dumps(content, default=str)[:_LONGEST]
