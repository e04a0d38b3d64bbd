"""Private parts of libraries of models that have no instrumentor of OpenTelemetry's."""

from __future__ import annotations

from typing import Any


def mistral_retries() -> tuple[Any, str] | None:
    """Give the module and the name of the function that Mistral's SDK asks how long to wait before it tries again.

    `_get_sleep_interval(exception, …)` gives seconds; its hooks see the last attempt only. None in versions that work
    it out in the loop.
    """
    from mistralai.client.utils import retries

    return (retries, "_get_sleep_interval") if hasattr(retries, "_get_sleep_interval") else None


def cohere_retries() -> tuple[Any, tuple[str], tuple[str]]:
    """Give the module and the names of the functions that Cohere's SDK asks how long to wait before it tries again.

    `_retry_timeout(response, retries)` after an answer, `_retry_timeout_from_retries(retries)` after a connection that
    failed; both give seconds.
    """
    from cohere.core import http_client

    return http_client, ("_retry_timeout",), ("_retry_timeout_from_retries",)


def cohere_url(client: Any) -> str | None:
    """Give the address that a client of Cohere's calls; its own constructor keeps it in a private wrapper."""
    wrapper = getattr(client, "_client_wrapper", None)
    return wrapper.get_base_url() if wrapper is not None else None


def ollama_url(client: Any) -> str | None:
    """Give the address that a client of Ollama's calls, out of its own private HTTP client."""
    url = getattr(getattr(client, "_client", None), "base_url", None)
    return None if url is None else str(url)
