"""Private parts of Anthropic's SDK, and of upstream's instrumentor of it; `stainless.py` has those of its base client."""

from __future__ import annotations

import functools
import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import genai_answers

if TYPE_CHECKING:
    from collections.abc import Callable

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_MARK: Final = "_otel_kpi_follows"


def leave_spans_to(others: Callable[[], bool]) -> None:
    """Have the SDK make no span of its own for a call that has one already.

    From version 2 on it makes one for every call, with the usage on it: two inferences where there was one. Its own
    switch is an option of each client, read when that is made.

    Args:
        others: Whether the call that begins has a span.
    """
    from anthropic import _base_client as client

    own = vars(client.BaseClient).get("_tracer")
    get = own.fget if isinstance(own, property) else None
    if get is None or getattr(own, _MARK, False):
        return

    def tracer(self: Any) -> Any:
        # A client with a provider of its own tells somebody else.
        if "tracer_provider" not in self._open_telemetry and others():
            return None
        return get(self)

    client.BaseClient._tracer = _Followed(tracer)  # type: ignore[assignment,method-assign] # what this is for


class _Followed(property):
    """A property of ours, told apart from the SDK's by its mark."""


setattr(_Followed, _MARK, True)


def say_provider(provider_of: Callable[[Any], str | None]) -> None:
    """Have upstream say whose model a client calls; it says `anthropic` of every client.

    Args:
        provider_of: Given a client, the provider's name, or None for upstream's.
    """
    from opentelemetry.instrumentation.genai.anthropic import patch

    if getattr(patch, _MARK, False):
        return
    create = patch._create_invocation

    @functools.wraps(create)
    def create_invocation(handler: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        said = provider_of(getattr(instance, "_client", None))
        speaking: Any = _Speaking(handler, said) if said else handler
        invocation: Any = create(speaking, instance, args, kwargs)
        # Upstream's attributes say it once more, and win on events.
        invocation.attributes["gen_ai.provider.name"] = invocation.provider or said or "anthropic"
        return invocation

    patch._create_invocation = create_invocation
    setattr(patch, _MARK, True)


class _Speaking:
    """Upstream's handler, with another provider than the one that it is told."""

    __slots__ = ("_handler", "_provider")

    def __init__(self, handler: Any, provider: str) -> None:
        self._handler = handler
        self._provider = provider

    def inference(self, provider: str, **options: Any) -> Any:  # noqa: ARG002 - it is the one that is replaced
        return self._handler.inference(provider=self._provider, **options)


def bear_bad_usage() -> None:
    """Have upstream make a span of a call whose usage has something else than numbers in it; it adds them up."""
    from opentelemetry.instrumentation.genai.anthropic import messages_extractors as upstream

    extract = upstream.extract_usage_tokens
    if getattr(extract, _MARK, False):
        return

    @functools.wraps(extract)
    def extract_usage_tokens(usage: Any) -> Any:
        try:
            return extract(usage)
        except TypeError:
            return upstream.UsageTokens()

    setattr(extract_usage_tokens, _MARK, True)
    upstream.extract_usage_tokens = extract_usage_tokens


def bear_odd_answers(failed: Callable[[Exception], None]) -> None:
    """Keep what upstream raises over an answer, with its span.

    Touches `wrappers.set_invocation_response_attributes`, with which everything is read; `wrappers.accumulate_event`, after
    whose first error upstream reads no stream of this process any more; and of what stands for a raw response
    `_finalize_once`, which ends the span inside of the application's own `read()`, and `_finalize_failed_parse`, to which
    a body that broke off is a success.

    Args:
        failed: Told of an error.
    """
    from opentelemetry.instrumentation.genai.anthropic import _raw_response, wrappers

    missing = (
        *genai_answers.bear_odd_answers(wrappers, ("set_invocation_response_attributes",), failed),
        *genai_answers.bear_odd_answers(_raw_response.RawResponseProxy, ("_finalize_once",), failed),
    )
    if missing:
        _logger.warning("odd answers are not borne: upstream's package for anthropic has changed")
    _go_on_reading(wrappers, failed)
    _fail_what_broke(_raw_response)


def _go_on_reading(wrappers: Any, failed: Callable[[Exception], None]) -> None:
    accumulate = getattr(wrappers, "accumulate_event", None)
    if accumulate is None or getattr(accumulate, _MARK, False):
        return

    # Upstream looks at the signature when it is imported.
    @functools.wraps(accumulate)
    def accumulate_event(**given: Any) -> Any:
        try:
            return accumulate(**given)
        except Exception as error:
            failed(error)
            return given.get("current_snapshot")

    setattr(accumulate_event, _MARK, True)
    wrappers.accumulate_event = accumulate_event


def _fail_what_broke(module: Any) -> None:
    proxy = module.RawResponseProxy
    finalize = getattr(proxy, "_finalize_failed_parse", None)
    if finalize is None or getattr(finalize, _MARK, False):
        return

    @functools.wraps(finalize)
    def finalize_failed_parse(self: Any) -> None:
        error = sys.exception()
        if error is not None and not hasattr(getattr(self.__wrapped__, "http_response", None), "_content"):
            # It was not what the application makes of it: the connection gave less.
            try:
                self._fail(error)
            except Exception:
                _logger.debug("a raw response is not ended", exc_info=True)
        finalize(self)

    setattr(finalize_failed_parse, _MARK, True)
    proxy._finalize_failed_parse = finalize_failed_parse


def let_go_of_streams() -> None:
    """Have a call whose answer is a stream leave the caller's context when the stream is handed over.

    Upstream leaves it there until the stream has ended: what the caller does meanwhile becomes part of it, and a second
    stream that is opened before the first has ended has neither a span nor a price. Its own packages for OpenAI and
    Google do what this does. open-telemetry/opentelemetry-python-genai#491
    """
    from opentelemetry.instrumentation.genai.anthropic import patch, wrappers

    for cls in (wrappers.MessagesStreamWrapper, wrappers.AsyncMessagesStreamWrapper):
        if cls.__init__ is getattr(cls, _MARK, None):
            continue
        _let_go(cls)
    wrap = patch.wrap_raw_response
    if getattr(wrap, _MARK, False):
        return

    @functools.wraps(wrap)
    def wrap_raw(result: Any, invocation: Any, *args: Any, **kwargs: Any) -> Any:
        wrapped = wrap(result, invocation, *args, **kwargs)
        invocation.suspend()
        return wrapped

    setattr(wrap_raw, _MARK, True)
    patch.wrap_raw_response = wrap_raw


def _let_go(cls: Any) -> None:
    init = cls.__init__

    @functools.wraps(init)
    def initialize(self: Any, stream: Any, invocation: Any, *args: Any, **kwargs: Any) -> None:
        init(self, stream, invocation, *args, **kwargs)
        invocation.suspend()

    cls.__init__ = initialize
    setattr(cls, _MARK, initialize)
