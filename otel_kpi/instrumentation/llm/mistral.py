"""Mistral's SDK (`mistralai`): chat, fill-in-the-middle, agents and embeddings, plain and streamed.

Its own tracing is off unless somebody sets `MISTRAL_SDK_TELEMETRY`; it puts what was said on spans without asking, and
has neither metrics nor a price. A count that an answer leaves out is nought for the SDK; here it is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import llm_clients
from otel_kpi.instrumentation.llm import messages, underway
from otel_kpi.instrumentation.llm.asked import EMBEDDINGS, Method, Request, Response
from otel_kpi.instrumentation.llm.library import Library
from otel_kpi.instrumentation.llm.messages import get, word
from otel_kpi.instrumentation.llm.wrappers import call, coroutine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIBRARY: Final = Library("mistral")
_PROVIDER: Final = "mistral_ai"
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "random_seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "n": "request_choice_count",
    "reasoning_effort": "reasoning_level",
}


class Instrumentor:
    """Wraps the methods of the SDK's resources."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **options: Any) -> None:
        """Wrap them."""
        from mistralai.client import agents, basesdk, chat, embeddings, fim

        _LIBRARY.activate(options)
        for owner, operation in ((chat.Chat, "chat"), (fim.Fim, "text_completion"), (agents.Agents, "chat")):
            plain = Method(_request(operation, stream=False), _read)
            streamed = Method(_request(operation, stream=True), _read, _read_chunk)
            _LIBRARY.wrap(owner, ("complete",), call(_LIBRARY, plain))
            _LIBRARY.wrap(owner, ("complete_async",), coroutine(_LIBRARY, plain))
            _LIBRARY.wrap(owner, ("stream",), call(_LIBRARY, streamed))
            _LIBRARY.wrap(owner, ("stream_async",), coroutine(_LIBRARY, streamed))
        embedded = Method(_embeddings, _read_embeddings)
        _LIBRARY.wrap(embeddings.Embeddings, ("create",), call(_LIBRARY, embedded))
        _LIBRARY.wrap(embeddings.Embeddings, ("create_async",), coroutine(_LIBRARY, embedded))
        _LIBRARY.watch(basesdk.BaseSDK, ("do_request",), _sent)
        _LIBRARY.watch(basesdk.BaseSDK, ("do_request_async",), _sent_async)
        waits = llm_clients.mistral_retries()
        if waits is not None:
            _LIBRARY.watch(waits[0], (waits[1],), _wait)

    def uninstrument(self) -> None:
        """Unwrap them."""
        _LIBRARY.deactivate()


def _request(operation: str, *, stream: bool) -> Callable[[Any, Mapping[str, Any]], Request]:
    def request(resource: Any, given: Mapping[str, Any]) -> Request:
        agent = given.get("agent_id")
        return Request(
            operation=operation,
            provider=_PROVIDER,
            model=given.get("model"),
            url=_url(resource, given),
            stream=stream,
            parameters={ours: _listed(given.get(theirs), theirs) for theirs, ours in _PARAMETERS.items()},
            attributes={"gen_ai.agent.id": agent} if isinstance(agent, str) else {},
            messages=lambda: messages.inputs(given.get("messages") or given.get("prompt")),
            tools=lambda: messages.definitions(given.get("tools")),
            tier=word(given.get("service_tier")),
        )

    return request


def _embeddings(resource: Any, given: Mapping[str, Any]) -> Request:
    encoding = word(given.get("encoding_format"))
    return Request(
        operation=EMBEDDINGS,
        provider=_PROVIDER,
        model=given.get("model"),
        url=_url(resource, given),
        parameters={
            "dimension_count": given.get("output_dimension"),
            "encoding_formats": [encoding] if encoding else None,
        },
    )


def _url(resource: Any, given: Mapping[str, Any]) -> str | None:
    return word(given.get("server_url")) or resource.sdk_configuration.get_server_details()[0]


def _listed(value: Any, name: str) -> Any:
    return [value] if name == "stop" and isinstance(value, str) else value


# --- answers


def _read(response: Response, answer: Any) -> None:
    _read_top(response, answer)
    for choice in answer.choices or ():
        response.finished(choice.index, _reason(choice))
        if response.keep:
            response.choice(choice.index).add(choice.message)


def _read_chunk(response: Response, event: Any) -> None:
    chunk = event.data
    _read_top(response, chunk)
    for choice in chunk.choices or ():
        response.finished(choice.index, _reason(choice))
        if response.keep:
            response.choice(choice.index).add(choice.delta)


def _reason(choice: Any) -> str | None:
    return word(getattr(choice.finish_reason, "value", choice.finish_reason))


def _read_embeddings(response: Response, answer: Any) -> None:
    _read_top(response, answer)
    response.counts.pop("output_tokens", None)  # nothing is made, and the SDK says nought
    first = answer.data[0].embedding if answer.data else None
    if isinstance(first, list):
        response.parameters["dimension_count"] = len(first)  # pyright: ignore[reportUnknownArgumentType] -- of anything


def _read_top(response: Response, answer: Any) -> None:
    response.id, response.model = answer.id, answer.model
    usage = answer.usage
    if usage is None:
        return
    said = {**(usage.additional_properties or {})}
    said |= {
        name: getattr(usage, name) for name in usage.model_fields_set if name in type(usage).model_fields
    }
    response.counts |= {
        "input_tokens": said.get("prompt_tokens"),
        "output_tokens": said.get("completion_tokens"),
        "cache_read_tokens": get(said.get("prompt_tokens_details"), "cached_tokens"),
        "output_reasoning_tokens": get(said.get("completion_tokens_details"), "reasoning_tokens"),
    }
    response.tier = word(said.get("service_tier")) or response.tier


# --- attempts


def _sent(wrapped: Any, _resource: Any, args: Any, kwargs: Any) -> Any:
    seen = underway.current()
    answer = wrapped(*args, **kwargs)
    if seen is not None:
        seen.limited(answer.headers)
    return answer


async def _sent_async(wrapped: Any, _resource: Any, args: Any, kwargs: Any) -> Any:
    seen = underway.current()
    answer = await wrapped(*args, **kwargs)
    if seen is not None:
        seen.limited(answer.headers)
    return answer


def _wait(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
    seconds = wrapped(*args, **kwargs)
    seen = underway.current()
    if seen is not None:
        error = args[0] if args else kwargs.get("exception")
        seen.retried(_status(error), seconds)
    return seconds


def _status(error: Any) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return str(response.status_code)
    return "timeout" if "Timeout" in type(error).__name__ else "connection"
