"""Cohere's SDK (`cohere`): chat, embed and rerank of both versions of its API, plain and streamed.

Cohere reports twice what a call took: what the model saw, with Cohere's own additions, and what is billed. What is
billed wins, as the conventions have it. Rerank is billed by the search; its span is a `retrieval`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import llm_clients
from otel_kpi.instrumentation.llm import messages, underway
from otel_kpi.instrumentation.llm.asked import EMBEDDINGS, RETRIEVAL, Method, Request, Response
from otel_kpi.instrumentation.llm.library import Library
from otel_kpi.instrumentation.llm.messages import get, word
from otel_kpi.instrumentation.llm.wrappers import call, coroutine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIBRARY: Final = Library("cohere")
_PROVIDER: Final = "cohere"
_PARAMETERS: Final = {
    "temperature": "temperature",
    "p": "top_p",
    "k": "top_k",
    "max_tokens": "max_tokens",
    "stop_sequences": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}


class Instrumentor:
    """Wraps the methods of the clients, and those behind `with_raw_response` where they give a whole answer."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **options: Any) -> None:
        """Wrap them."""
        from cohere import base_client, raw_base_client
        from cohere.v2 import client, raw_client

        _LIBRARY.activate(options)
        chat = Method(_chat(stream=False), _read_chat)
        stream = Method(_chat(stream=True), _read_chat, _read_event, lazy=True)
        embed, rerank = Method(_embed, _read_embed), Method(_rerank, _read_rerank)
        # Their callers take what is in the answer; here are its headers, too.
        for owner in (raw_client.RawV2Client, raw_base_client.RawBaseCohere):
            for name, method in (("chat", chat), ("embed", embed), ("rerank", rerank)):
                _LIBRARY.wrap(owner, (name,), call(_LIBRARY, method))
        for owner in (raw_client.AsyncRawV2Client, raw_base_client.AsyncRawBaseCohere):
            for name, method in (("chat", chat), ("embed", embed), ("rerank", rerank)):
                _LIBRARY.wrap(owner, (name,), coroutine(_LIBRARY, method))
        for owner in (
            client.V2Client,
            client.AsyncV2Client,
            base_client.BaseCohere,
            base_client.AsyncBaseCohere,
        ):
            _LIBRARY.wrap(owner, ("chat_stream",), call(_LIBRARY, stream))
        module, after_answer, after_connection = llm_clients.cohere_retries()
        _LIBRARY.watch(module, after_answer, _wait_after_answer)
        _LIBRARY.watch(module, after_connection, _wait_after_connection)

    def uninstrument(self) -> None:
        """Unwrap them."""
        _LIBRARY.deactivate()


def _chat(*, stream: bool) -> Callable[[Any, Mapping[str, Any]], Request]:
    def request(client: Any, given: Mapping[str, Any]) -> Request:
        return Request(
            operation="chat",
            provider=_PROVIDER,
            model=word(given.get("model")),
            url=llm_clients.cohere_url(client),
            stream=stream,
            parameters={ours: given.get(theirs) for theirs, ours in _PARAMETERS.items()},
            messages=lambda: messages.inputs(_sent(given)),
            tools=lambda: messages.definitions(given.get("tools")),
        )

    return request


def _sent(given: Mapping[str, Any]) -> Any:
    """Give the messages; the first version of the API has a history and one more."""
    if "message" not in given:
        return given.get("messages")
    history = given.get("chat_history")
    said = [
        {"role": str(get(each, "role") or "user").lower(), "content": get(each, "message")}
        for each in (history if isinstance(history, (list, tuple)) else ())
    ]
    return [*said, {"role": "user", "content": given["message"]}]


def _embed(client: Any, given: Mapping[str, Any]) -> Request:
    return Request(
        operation=EMBEDDINGS,
        provider=_PROVIDER,
        model=word(given.get("model")),
        url=llm_clients.cohere_url(client),
        parameters={
            "encoding_formats": given.get("embedding_types"),
            "dimension_count": given.get("output_dimension"),
        },
    )


def _rerank(client: Any, given: Mapping[str, Any]) -> Request:
    return Request(
        operation=RETRIEVAL,
        provider=_PROVIDER,
        model=word(given.get("model")),
        url=llm_clients.cohere_url(client),
        parameters={"top_k": given.get("top_n")},
    )


# --- answers


def _read_chat(response: Response, answer: Any) -> None:
    response.headers = answer.headers
    data = answer.data
    response.id = word(get(data, "id")) or word(get(data, "response_id"))
    response.finished(0, get(data, "finish_reason"))
    _read_usage(response, get(data, "usage") or get(data, "meta"))
    if response.keep:
        said = get(data, "message") or {"content": get(data, "text"), "tool_calls": get(data, "tool_calls")}
        response.choice(0).add(said)


def _read_event(response: Response, event: Any) -> None:
    kind = get(event, "type") or get(event, "event_type")
    delta = get(event, "delta")
    if kind == "message-start":
        response.id = get(event, "id")
    elif kind == "message-end":
        response.finished(0, get(delta, "finish_reason"))
        _read_usage(response, get(delta, "usage"))
        if get(delta, "error"):
            response.failure = "provider_error"
    elif kind == "stream-end":
        response.finished(0, get(event, "finish_reason"))
        answer = get(event, "response")
        response.id = word(get(answer, "response_id"))
        _read_usage(response, get(answer, "meta"))
    elif response.keep:
        message = get(delta, "message") or {"content": get(event, "text")}
        calls = get(message, "tool_calls")
        index = get(event, "index")
        response.choice(0).add(
            {"content": get(message, "content"), "tool_calls": calls and [_Numbered(calls, index)]}
        )


class _Numbered:
    """A piece of a call of a tool, whose number is that of its event."""

    def __init__(self, call: Any, index: Any) -> None:
        self.id, self.function, self.index = get(call, "id"), get(call, "function"), index


def _read_usage(response: Response, usage: Any) -> None:
    billed, consumed = get(usage, "billed_units"), get(usage, "tokens")
    sent = get(billed, "input_tokens")
    chosen = consumed if sent is None else billed
    response.counts |= {
        "input_tokens": get(chosen, "input_tokens"),
        "output_tokens": get(chosen, "output_tokens"),
        "rerank_searches": get(billed, "search_units"),
    }
    if chosen is consumed:
        # A part of what the model saw; of what is billed nobody says how much of it was cached.
        response.counts["cache_read_tokens"] = get(usage, "cached_tokens")


def _read_embed(response: Response, answer: Any) -> None:
    response.headers = answer.headers
    data = answer.data
    billed = get(get(data, "meta"), "billed_units")
    texts, images = get(billed, "input_tokens"), get(billed, "image_tokens")
    response.counts |= {
        "input_tokens": texts if images is None else images + (texts or 0),
        "input_image_tokens": images,
    }
    kinds = get(data, "embeddings")
    for kind in ("float_", "float"):
        vectors = get(kinds, kind) if not isinstance(kinds, list) else kinds
        if isinstance(vectors, list) and vectors and isinstance(vectors[0], list):
            response.parameters["dimension_count"] = len(vectors[0])
            return


def _read_rerank(response: Response, answer: Any) -> None:
    response.headers = answer.headers
    searches = get(get(get(answer.data, "meta"), "billed_units"), "search_units")
    response.counts["rerank_searches"] = searches


# --- attempts


def _wait_after_answer(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
    seconds = wrapped(*args, **kwargs)
    seen = underway.current()
    if seen is not None:
        answer = args[0] if args else kwargs["response"]
        seen.limited(answer.headers)
        seen.retried(str(answer.status_code), seconds)
    return seconds


def _wait_after_connection(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
    seconds = wrapped(*args, **kwargs)
    seen = underway.current()
    if seen is not None:
        seen.retried("connection", seconds)
    return seconds
