"""LangChain and LangGraph: whose address a model has, for whom it is asked, what it used, and what came out of a cache.

The spans are those of the official package. It is alone where the provider's own package has no instrumentor; where
that has one, `nested.py` says which of the two is counted.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opentelemetry.context import get_current

from otel_kpi._compat.genai_langchain import follow_langchain, langgraph_when_imported, within_run
from otel_kpi.instrumentation.llm import invocations, nested, underway

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from opentelemetry.context import Context

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

_ENDPOINTS: Final = (
    "openai_api_base",
    "azure_endpoint",
    "anthropic_api_url",
    "base_url",
    "endpoint",
    "endpoint_url",
    "api_base",
    "groq_api_base",
    "fireworks_api_base",
    "deepseek_api_base",
    "xai_api_base",
)
"""Arguments of models of LangChain that say which address is called."""

_VARIABLES: Final = MappingProxyType(
    {
        "openai": ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        "anthropic": ("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
    }
)
"""Variables that do, by LangChain's provider, where no argument does."""

_asked: Final[ContextVar[str | None]] = ContextVar("otel_kpi_langchain_asked", default=None)
"""The address of the model that is being asked."""

_WRITES: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_TIERS: Final = ("", "flex_", "priority_")
"""Prefixes of what LangChain's OpenAI counts, by the service tier."""


def prepare() -> None:
    """Follow LangChain's calls from now on; called before upstream instruments."""
    invocations.follow()
    langgraph_when_imported()
    follow_langchain(_within, _asking, _begun, _answered, _address)


def _within(run: Context) -> Context:
    try:
        return within_run(run, get_current())
    except Exception:
        _logger.debug("a run of LangChain keeps the context of the one above", exc_info=True)
        return run


@contextmanager
def _asking(serialized: Any, metadata: Any) -> Generator[None]:
    try:
        endpoint = endpoint_of(serialized, metadata)
    except Exception:
        _logger.debug("a model of LangChain has no address", exc_info=True)
        endpoint = None
    token = _asked.set(endpoint)
    try:
        yield
    finally:
        _asked.reset(token)


def endpoint_of(serialized: Mapping[str, Any] | None, metadata: Mapping[str, Any] | None) -> str | None:
    """The address that a model calls, as its arguments or the environment have it; None is the provider's own.

    Args:
        serialized: What LangChain hands its callbacks of the model.
        metadata: Of the run.
    """
    arguments = (serialized or {}).get("kwargs") or {}
    for name in _ENDPOINTS:
        value = arguments.get(name)
        if isinstance(value, str) and "://" in value:
            return value
    for name in _VARIABLES.get(str((metadata or {}).get("ls_provider")), ()):
        if "://" in (value := os.environ.get(name, "")):
            return value
    return None


def _address() -> tuple[str | None, int | None]:
    endpoint = _asked.get()
    if endpoint is None:
        return None, None
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:  # the port is none
        return None, None
    return parts.hostname, None if port in {None, 443} else port


def _begun(invocation: Any) -> None:
    endpoint = _asked.get()
    seen = underway.current(invocation.context) if endpoint is not None else None
    if seen is not None and seen.endpoint is None:
        seen.endpoint = endpoint


def _answered(invocation: Any, result: Any) -> None:
    """Take what a result says of its usage, where no provider's package saw the call itself."""
    try:
        messages = [
            message
            for generations in getattr(result, "generations", None) or ()
            for generation in generations
            if (message := getattr(generation, "message", None)) is not None
        ]
        if nested.has_inner(invocation):
            return
        for message in messages:
            usage = getattr(message, "usage_metadata", None) or {}
            if "total_cost" in usage:
                # LangChain's mark of an answer that it had already: it says that it cost 0.
                nested.remembered(invocation)
                return
            _report(invocation, usage, getattr(message, "response_metadata", None) or {})
    except Exception:
        _logger.debug("what LangChain says of a usage is not read", exc_info=True)


def _report(invocation: Any, usage: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
    seen = underway.current(invocation.context)
    if seen is None:
        return
    if isinstance(tier := answer.get("service_tier"), str):
        seen.tier = tier
    if usage:
        seen.usage(counts_of(usage))


def counts_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """LangChain's `usage_metadata` in the units of `packs/llm/usage.py`; None where it says nothing."""
    sent, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    short, long = (sent.get(name) for name in _WRITES)
    written = _first(sent, "cache_write") or _first(sent, "cache_creation")
    if short is not None or long is not None:
        # The whole is 0 where its parts by lifetime are told.
        written = max(written or 0, (short or 0) + (long or 0))
    return {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "cache_read_tokens": _first(sent, "cache_read"),
        "cache_write_tokens": written,
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
        "input_audio_tokens": sent.get("audio"),
        "input_image_tokens": sent.get("image"),
        "output_reasoning_tokens": _first(made, "reasoning"),
        "output_audio_tokens": made.get("audio"),
        "output_image_tokens": made.get("image"),
    }


def _first(details: Mapping[str, Any], name: str) -> Any:
    return next((details[key] for tier in _TIERS if (key := f"{tier}{name}") in details), None)
