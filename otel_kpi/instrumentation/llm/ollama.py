"""Ollama's client (`ollama`): chat, generate and embed, plain and streamed, with or without a client of one's own.

A model that runs at home has no price unless the user's file says one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import llm_clients
from otel_kpi.instrumentation.llm import messages
from otel_kpi.instrumentation.llm.asked import EMBEDDINGS, Method, Request, Response
from otel_kpi.instrumentation.llm.library import Library
from otel_kpi.instrumentation.llm.messages import get
from otel_kpi.instrumentation.llm.wrappers import call, coroutine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LIBRARY: Final = Library("ollama")
_PROVIDER: Final = "ollama"
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "num_predict": "max_tokens",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_FUNCTIONS: Final = ("chat", "generate", "embed", "embeddings")


class Instrumentor:
    """Wraps the methods of both clients."""

    is_instrumented_by_opentelemetry: Final = False

    def instrument(self, **options: Any) -> None:
        """Wrap them."""
        from ollama._client import AsyncClient, Client

        _LIBRARY.activate(options)
        for name, method in (
            ("chat", Method(_request("chat"), _read, _read, lazy=True)),
            ("generate", Method(_request("text_completion"), _read, _read, lazy=True)),
            ("embed", Method(_embed, _read_embed)),
            ("embeddings", Method(_embed, _read_embed)),
        ):
            _LIBRARY.wrap(Client, (name,), call(_LIBRARY, method))
            _LIBRARY.wrap(AsyncClient, (name,), coroutine(_LIBRARY, method))
        _bind_again()

    def uninstrument(self) -> None:
        """Unwrap them."""
        _LIBRARY.deactivate()
        _bind_again()


def _bind_again() -> None:
    """Have `ollama.chat()` and the others, bound when the package was imported, go to what the class has now."""
    module = sys.modules.get("ollama")
    client = getattr(getattr(module, "chat", None), "__self__", None)
    for name in _FUNCTIONS if client is not None else ():
        if getattr(getattr(module, name, None), "__self__", None) is client:
            setattr(module, name, getattr(client, name))


def _request(operation: str) -> Callable[[Any, Mapping[str, Any]], Request]:
    def request(client: Any, given: Mapping[str, Any]) -> Request:
        options = given.get("options")
        return Request(
            operation=operation,
            provider=_PROVIDER,
            model=given.get("model") or None,
            url=llm_clients.ollama_url(client),
            stream=bool(given.get("stream")),
            parameters={ours: get(options, theirs) for theirs, ours in _PARAMETERS.items()},
            messages=lambda: messages.inputs(given.get("messages") or given.get("prompt")),
            tools=lambda: messages.definitions(given.get("tools")),
        )

    return request


def _embed(client: Any, given: Mapping[str, Any]) -> Request:
    return Request(
        operation=EMBEDDINGS,
        provider=_PROVIDER,
        model=given.get("model") or None,
        url=llm_clients.ollama_url(client),
    )


def _read(response: Response, answer: Any) -> None:
    response.model = answer.model
    if response.keep:
        response.choice(0).add(
            get(answer, "message")
            or {"content": get(answer, "response"), "thinking": get(answer, "thinking")}
        )
    if not answer.done:
        return
    response.finished(0, answer.done_reason)
    # Left out where the prompt was in memory still: then it is not known how long it is.
    response.counts |= {"input_tokens": answer.prompt_eval_count, "output_tokens": answer.eval_count}


def _read_embed(response: Response, answer: Any) -> None:
    response.model = get(answer, "model")
    response.counts |= {"input_tokens": get(answer, "prompt_eval_count")}
    vectors = get(answer, "embeddings") or [get(answer, "embedding")]
    if vectors and vectors[0]:
        response.parameters["dimension_count"] = len(vectors[0])
