"""LiteLLM (`litellm`): completion, text completion, embedding, responses and rerank, plain and streamed, and its Router.

LiteLLM calls other SDKs, or speaks with a provider itself. A call is one span, ours: the instrumentor of an SDK inside
puts what it reads into it and has none of its own. The Router's attempts and fallbacks are calls of their own.

`response_cost` is of LiteLLM's own table and no word of the provider's, save OpenRouter's. What LiteLLM has in its cache
was not asked for. Where a provider reports no usage LiteLLM says nought three times; that is not known here.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.llm import litellm_retries, messages
from otel_kpi.instrumentation.llm.asked import EMBEDDINGS, RETRIEVAL, Method, Request, Response
from otel_kpi.instrumentation.llm.library import Library
from otel_kpi.instrumentation.llm.messages import get
from otel_kpi.instrumentation.llm.providers import OTHER
from otel_kpi.instrumentation.llm.wrappers import call, coroutine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIBRARY: Final = Library("litellm")
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_completion_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "n": "request_choice_count",
    "reasoning_effort": "reasoning_level",
}
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "azure_text": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "bedrock_mantle": "aws.bedrock",
    "cohere_chat": "cohere",
    "codestral": "mistral_ai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "nvidia_nim": "nvidia",
    "ollama_chat": "ollama",
    "text-completion-codestral": "mistral_ai",
    "text-completion-openai": "openai",
    "vertex_ai": "gcp.vertex_ai",
    "vertex_ai_beta": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "watsonx_text": "ibm.watsonx.ai",
    "xai": "x_ai",
    "zai": "zhipu_ai",
    "dashscope": "alibaba",
}
"""OpenTelemetry's words for LiteLLM's; the others are the same."""

_CHARGED: Final = "llm_provider-x-litellm-response-cost"
_FROM_PROVIDER: Final = "llm_provider-"


class Instrumentor:
    """Wraps the functions of the package; those of `litellm.main` call each other and are left alone."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **options: Any) -> None:
        """Wrap them."""
        import litellm

        _LIBRARY.activate(options)
        completion = Method(_inference("chat"), _read, _read_chunk)
        text = Method(_inference("text_completion"), _read, _read_chunk)
        responses = Method(_inference("chat"), _read_responses, _read_event)
        embedding, rerank = Method(_embedding, _read_embedding), Method(_rerank, _read_rerank)
        for name, method in (
            ("completion", completion),
            ("text_completion", text),
            ("responses", responses),
            ("embedding", embedding),
            ("rerank", rerank),
        ):
            _LIBRARY.wrap(litellm, (name,), call(_LIBRARY, method))
            _LIBRARY.wrap(litellm, (f"a{name}",), coroutine(_LIBRARY, method))
        litellm_retries.watch(_LIBRARY)

    def uninstrument(self) -> None:
        """Unwrap them."""
        _LIBRARY.deactivate()


# --- requests


def _inference(operation: str) -> Callable[[Any, Mapping[str, Any]], Request]:
    def request(_module: Any, given: Mapping[str, Any]) -> Request:
        parameters = {
            ours: given[theirs] for theirs, ours in _PARAMETERS.items() if given.get(theirs) is not None
        }
        stop = parameters.get("stop_sequences")
        if isinstance(stop, str):
            parameters["stop_sequences"] = [stop]
        return Request(
            operation=operation,
            provider=_provider(given),
            model=_model(given),
            url=_url(given),
            stream=given.get("stream") is True,
            parameters=parameters,
            messages=lambda: messages.inputs(_sent(given)),
            tools=lambda: messages.definitions(given.get("tools")),
            tier=_text(given.get("service_tier")),
        )

    return request


def _sent(given: Mapping[str, Any]) -> Any:
    return given.get("messages") or given.get("prompt") or given.get("input")


def _embedding(_module: Any, given: Mapping[str, Any]) -> Request:
    encoding = _text(given.get("encoding_format"))
    return Request(
        operation=EMBEDDINGS,
        provider=_provider(given),
        model=_model(given),
        url=_url(given),
        parameters={
            "dimension_count": given.get("dimensions"),
            "encoding_formats": [encoding] if encoding else None,
        },
    )


def _rerank(_module: Any, given: Mapping[str, Any]) -> Request:
    return Request(
        operation=RETRIEVAL,
        provider=_provider(given),
        model=_model(given),
        url=_url(given),
        parameters={"top_k": given.get("top_n")},
    )


def _provider(given: Mapping[str, Any]) -> str:
    """Give the provider without LiteLLM's own function for it, which prints where it knows none."""
    litellm: Any = sys.modules["litellm"]
    named = _text(given.get("custom_llm_provider"))
    model = _text(given.get("model")) or ""
    before, slash, _ = model.partition("/")
    if named is None and slash and before in {getattr(each, "value", each) for each in litellm.provider_list}:
        named = before
    if named is None:
        named = get(litellm.model_cost.get(model), "litellm_provider")
    return _word(named) if isinstance(named, str) else OTHER


def _word(provider: str) -> str:
    # In LiteLLM's table there is `vertex_ai-anthropic_models`.
    if provider.startswith("vertex_ai-"):
        return "gcp.vertex_ai"
    return _PROVIDERS.get(provider, provider)


def _model(given: Mapping[str, Any]) -> str | None:
    """Give the model without the provider before it."""
    model = _text(given.get("model"))
    if model is None:
        return None
    before, slash, after = model.partition("/")
    litellm: Any = sys.modules["litellm"]
    known = {getattr(each, "value", each) for each in litellm.provider_list}
    return after if slash and before in known else model


def _url(given: Mapping[str, Any]) -> str | None:
    return _text(given.get("api_base")) or _text(given.get("base_url"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


# --- answers


def _read(response: Response, answer: Any) -> None:
    _read_top(response, answer)
    for choice in get(answer, "choices") or ():
        response.finished(get(choice, "index"), get(choice, "finish_reason"))
        if response.keep:
            said = get(choice, "message") or {"content": get(choice, "text")}
            response.choice(get(choice, "index")).add(said)


def _read_chunk(response: Response, chunk: Any) -> None:
    _read_top(response, chunk)
    for choice in get(chunk, "choices") or ():
        response.finished(get(choice, "index"), get(choice, "finish_reason"))
        if response.keep:
            said = get(choice, "delta") or {"content": get(choice, "text")}
            response.choice(get(choice, "index")).add(said)


def _read_top(response: Response, answer: Any) -> None:
    response.id = _text(get(answer, "id")) or response.id
    response.model = _text(get(answer, "model")) or response.model
    response.tier = _text(get(answer, "service_tier")) or response.tier
    hidden = _read_hidden(response, answer)
    # Where the application did not ask for it in a stream, LiteLLM keeps it to itself until the last part.
    usage = get(answer, "usage") or get(hidden, "usage")
    if usage is not None:
        _read_usage(response, usage)


def _read_hidden(response: Response, answer: Any) -> Any:
    """Read what LiteLLM notes beside an answer."""
    hidden = get(answer, "_hidden_params")
    if not isinstance(hidden, dict):
        return None
    noted: Mapping[str, Any] = hidden  # pyright: ignore[reportUnknownVariableType] -- of anything
    provider = _text(noted.get("custom_llm_provider"))
    if provider is not None:
        response.provider = _word(provider)
    response.url = _text(noted.get("api_base")) or response.url
    headers = noted.get("additional_headers")
    if isinstance(headers, dict):
        told: Mapping[Any, Any] = headers  # pyright: ignore[reportUnknownVariableType] -- of anything
        response.headers = {
            str(name).lower().removeprefix(_FROM_PROVIDER): str(value) for name, value in told.items()
        }
        if told.get(_CHARGED) is not None and response.provider == "openrouter":
            response.charged = (Decimal(str(told[_CHARGED])), "USD")
    if noted.get("cache_hit") is True:
        response.remembered = True
    return noted


def _read_usage(response: Response, usage: Any) -> None:
    """Read a usage, in which the input contains what was cached, whoever the provider is."""
    sent, made = get(usage, "prompt_tokens"), get(usage, "completion_tokens")
    if not sent and not made and not get(usage, "total_tokens"):
        return
    inputs, outputs = get(usage, "prompt_tokens_details"), get(usage, "completion_tokens_details")
    written = get(inputs, "cache_creation_token_details")
    searches = get(get(usage, "server_tool_use"), "web_search_requests")
    response.counts |= {
        "input_tokens": sent,
        "output_tokens": made,
        "cache_read_tokens": get(inputs, "cached_tokens"),
        "cache_write_tokens": get(inputs, "cache_write_tokens"),
        "cache_write_5m_tokens": get(written, "ephemeral_5m_input_tokens"),
        "cache_write_1h_tokens": get(written, "ephemeral_1h_input_tokens"),
        "input_audio_tokens": get(inputs, "audio_tokens"),
        "input_image_tokens": get(inputs, "image_tokens"),
        "output_reasoning_tokens": get(outputs, "reasoning_tokens"),
        "output_audio_tokens": get(outputs, "audio_tokens"),
        "output_image_tokens": get(outputs, "image_tokens"),
        "web_searches": get(inputs, "web_search_requests") if searches is None else searches,
    }
    cost = get(usage, "cost")
    if response.provider == "openrouter" and response.charged is None and type(cost) is float:
        response.charged = (Decimal(str(cost)), "USD")


def _read_responses(response: Response, answer: Any) -> None:
    response.id = _text(get(answer, "id"))
    response.model = _text(get(answer, "model"))
    response.tier = _text(get(answer, "service_tier"))
    _read_hidden(response, answer)
    response.finished(0, get(get(answer, "incomplete_details"), "reason") or _stopped(answer))
    if response.keep:
        for item in get(answer, "output") or ():
            if get(item, "type") == "message":
                response.choice(0).add(item)
            elif get(item, "type") == "function_call":
                response.choice(0).add({"tool_calls": [{"id": get(item, "call_id"), "function": item}]})
    usage = get(answer, "usage")
    inputs, outputs = get(usage, "input_tokens_details"), get(usage, "output_tokens_details")
    response.counts |= {
        "input_tokens": get(usage, "input_tokens"),
        "output_tokens": get(usage, "output_tokens"),
        "cache_read_tokens": get(inputs, "cached_tokens"),
        "output_reasoning_tokens": get(outputs, "reasoning_tokens"),
    }


def _stopped(answer: Any) -> str | None:
    status = get(answer, "status")
    return "stop" if status == "completed" else status


def _read_event(response: Response, event: Any) -> None:
    kind = str(getattr(get(event, "type"), "value", get(event, "type")))
    whole = get(event, "response")
    if kind in {"response.completed", "response.incomplete", "response.failed"} and whole is not None:
        _read_responses(response, whole)
        if kind == "response.failed":
            response.failure = _text(get(get(whole, "error"), "code")) or "failed"


def _read_embedding(response: Response, answer: Any) -> None:
    response.model = _text(get(answer, "model"))
    _read_hidden(response, answer)
    usage = get(answer, "usage")
    response.counts |= {"input_tokens": get(usage, "prompt_tokens") or None}
    data = get(answer, "data")
    first = get(data[0], "embedding") if isinstance(data, list) and data else None  # pyright: ignore[reportUnknownArgumentType] -- of anything
    if isinstance(first, list):
        response.parameters["dimension_count"] = len(first)  # pyright: ignore[reportUnknownArgumentType] -- of anything


def _read_rerank(response: Response, answer: Any) -> None:
    _read_hidden(response, answer)
    billed = get(get(answer, "meta"), "billed_units")
    response.counts |= {"rerank_searches": get(billed, "search_units")}
