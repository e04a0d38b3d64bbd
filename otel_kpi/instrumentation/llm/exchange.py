"""A call of a library that has no instrumentor of OpenTelemetry's, from its request to the end of its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi._compat import genai
from otel_kpi.instrumentation.llm import nested, underway
from otel_kpi.instrumentation.llm.asked import EMBEDDINGS, RETRIEVAL, Response, value_of, where
from otel_kpi.packs.llm import attribution, calls, guard
from otel_kpi.packs.llm.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.context import Context

    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.llm.asked import Method, Request


class Exchange:
    """A call that is under way: a request, and what is answered. No method of it raises.

    Args:
        handler: util-genai's, of the library's instrumentor.
        boundary: Counts what goes wrong here.
        method: How it is read.
        request: What was asked.
    """

    __slots__ = ("_boundary", "_method", "_request", "_seen", "invocation", "response")

    def __init__(self, handler: Any, boundary: Boundary, method: Method, request: Request) -> None:
        self._boundary, self._method, self._request = boundary, method, request
        self.invocation: Any = _start(handler, request)
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
            counts=_whole(response.counts),
            attribution=attribution.current(self.invocation.context),
            guards=guard.current(self.invocation.context),
            error=None if error is None else type(error).__name__,
            answered=error is None,
        )
        self.invocation.attributes.update(call.attribution.span_attributes() | calls.ended(call))

    def _correct(self) -> None:
        """Put in what only the answer says of who gave it."""
        response, seen = self.response, self._seen
        if response.provider is None and response.url is None:
            return
        data = genai.data_of(self.invocation, embedding=self._request.operation == EMBEDDINGS)
        data.provider_name = response.provider or data.provider_name
        if data.server_address is None:
            data.server_address, data.server_port = where(response.url)
        if seen is not None:
            seen.endpoint = seen.endpoint or response.url

    def _apply(self, error: Any) -> None:
        response, invocation, operation = self.response, self.invocation, self._request.operation
        counts = _whole(response.counts)
        self._tell(counts)
        invocation.attributes.update(response.attributes)
        _put(invocation, response.parameters)
        if operation == RETRIEVAL:
            self._charge(error)
            return
        if response.model:
            invocation.response_model_name = response.model
        self._correct()
        usage = Usage.read(counts)
        if operation != EMBEDDINGS:
            self._apply_inference(usage)
        elif not response.remembered:
            invocation.input_tokens = usage.of("input_tokens")
        elif self._seen is not None:
            invocation.attributes[nested.CACHED] = True
            self._seen.counted_elsewhere = True

    def _tell(self, counts: Mapping[str, Any]) -> None:
        response, seen = self.response, self._seen
        if seen is None:
            return
        if counts:
            seen.usage(counts)
        if response.charged is not None:
            seen.charged(*response.charged)
        if response.headers is not None:
            seen.limited(response.headers)
        seen.tier = response.tier or seen.tier

    def _apply_inference(self, usage: Usage) -> None:
        response, invocation = self.response, self.invocation
        if response.remembered:
            nested.remembered(invocation)
        invocation.response_id = response.id
        invocation.input_tokens = usage.of("input_tokens")
        invocation.output_tokens = usage.of("output_tokens")
        invocation.cache_read_input_tokens = usage.of("cache_read_tokens")
        invocation.cache_write_input_tokens = usage.of("cache_write_tokens")
        invocation.thinking_tokens = usage.of("output_reasoning_tokens")
        if response.finishes:
            invocation.finish_reasons = [response.finishes[index] for index in sorted(response.finishes)]
        if response.keep and response.said:
            invocation.output_messages = [
                response.said[index].message(response.finishes.get(index)) for index in sorted(response.said)
            ]


def _whole(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Give counts of which the whole ones are whole numbers; some have `12.0`."""
    return {
        key: int(value) if type(value) is float and value.is_integer() else value
        for key, value in counts.items()
    }


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
        guard.before_call()
        return handler.retrieval(provider=request.provider, **given)
    return handler.inference(request.provider, operation_name=request.operation, **given)


def _put(invocation: Any, parameters: Mapping[str, Any]) -> None:
    for name, value in parameters.items():
        kept = value_of(value)
        if kept is not None:
            setattr(invocation, name, kept)
