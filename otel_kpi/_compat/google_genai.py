"""Private parts of Google's Gen AI SDK, and of upstream's instrumentor of it.

The SDK has no hook that sees an answer, and what its methods return is the last answer of several.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_MARK: Final = "_otel_kpi_follows"
_EMIT: Final = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"


def follow_answers(begun: Callable[[Any, str | None], Any], told: Callable[[Any, Any], None]) -> None:
    """Have every answer told of: each request of a call, and each chunk of a stream, before anybody else sees it.

    `generate_content` calls functions for the model and sends their results, and continues what was cut off; each of
    these requests is made by one private method.

    Args:
        begun: Called when a request is about to be sent, with its configuration and the address of its client; gives
            what `told` is given with its answer, or None.
        told: Called with that and the answer, as the SDK's own type.
    """
    from google.genai import models

    if getattr(models.Models, _MARK, False):
        return
    # In early versions the public method is the one that asks.
    embed = "_embed_content" if hasattr(models.Models, "_embed_content") else "embed_content"
    for name in ("_generate_content", embed):
        _follow(models.Models, name, begun, told)
        _follow_async(models.AsyncModels, name, begun, told)
    _follow_stream(models.Models, begun, told)
    _follow_async_stream(models.AsyncModels, begun, told)
    setattr(models.Models, _MARK, True)


def _address(models: Any) -> str | None:
    """Where a client sends its requests; no public attribute says so."""
    options = getattr(getattr(models, "_api_client", None), "_http_options", None)
    address = getattr(options, "base_url", None)
    return address if isinstance(address, str) else None


def _follow(cls: Any, name: str, begun: Any, told: Any) -> None:
    method = getattr(cls, name)

    @functools.wraps(method)
    def followed(self: Any, *args: Any, **kwargs: Any) -> Any:
        report = begun(kwargs.get("config"), _address(self))
        answer = method(self, *args, **kwargs)
        if report is not None:
            told(report, answer)
        return answer

    setattr(cls, name, followed)


def _follow_async(cls: Any, name: str, begun: Any, told: Any) -> None:
    method = getattr(cls, name)

    @functools.wraps(method)
    async def followed(self: Any, *args: Any, **kwargs: Any) -> Any:
        report = begun(kwargs.get("config"), _address(self))
        answer = await method(self, *args, **kwargs)
        if report is not None:
            told(report, answer)
        return answer

    setattr(cls, name, followed)


def _follow_stream(cls: Any, begun: Any, told: Any) -> None:
    method = cls._generate_content_stream

    @functools.wraps(method)
    def followed(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        report = begun(kwargs.get("config"), _address(self))
        for chunk in method(self, *args, **kwargs):
            if report is not None:
                told(report, chunk)
            yield chunk

    cls._generate_content_stream = followed


def _follow_async_stream(cls: Any, begun: Any, told: Any) -> None:
    method = cls._generate_content_stream

    @functools.wraps(method)
    async def followed(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        report = begun(kwargs.get("config"), _address(self))
        chunks = await method(self, *args, **kwargs)
        return chunks if report is None else _told_of(chunks, report, told)

    cls._generate_content_stream = followed


async def _told_of(chunks: Any, report: Any, told: Any) -> AsyncIterator[Any]:
    async for chunk in chunks:
        told(report, chunk)
        yield chunk


def follow_retries(retried: Callable[[BaseException | None, float | None], None]) -> None:
    """Have every attempt that is made again told of.

    The SDK leaves it to tenacity, by arguments that it makes of an application's options in one function.

    Args:
        retried: Called before the wait with what failed, and the wait in seconds.
    """
    from google.genai import _api_client

    make = _api_client.retry_args
    if getattr(make, _MARK, False):
        return

    @functools.wraps(make)
    def retry_args(options: Any) -> Any:
        args = make(options)
        if "retry" not in args:
            return args
        before = args.get("before_sleep")

        def before_sleep(state: Any) -> None:
            outcome, action = state.outcome, state.next_action
            retried(
                outcome.exception() if outcome is not None and outcome.failed else None,
                None if action is None else action.sleep,
            )
            if before is not None:
                before(state)

        return {**args, "before_sleep": before_sleep}

    setattr(retry_args, _MARK, True)
    _api_client.retry_args = retry_args


def follow_interactions(told: Callable[[Any, Any], None]) -> None:
    """Have every answer of the Interactions API told of, which has a client and types of its own.

    Args:
        told: Called with the invocation of upstream's and the interaction, after upstream has read it.
    """
    from opentelemetry.instrumentation.google_genai import interactions as upstream

    read = upstream._apply_interaction_response_attributes
    if getattr(read, _MARK, False):
        return

    @functools.wraps(read)
    def apply(response: Any, invocation: Any, handler: Any) -> None:
        read(response, invocation, handler)
        told(invocation, response)

    setattr(apply, _MARK, True)
    upstream._apply_interaction_response_attributes = apply


def leave_events_to_the_user() -> None:
    """Have upstream not switch the events of every package on: it writes the variable of the process when it begins.

    Its own `instrument` reads the variable through util-genai, like everybody's.
    open-telemetry/opentelemetry-python-genai#619
    """
    from opentelemetry.instrumentation.google_genai import instrumentor as upstream

    instrument = upstream.instrument_generate_content
    if getattr(instrument, _MARK, False):
        return

    @functools.wraps(instrument)
    def instrument_generate_content(*args: Any, **kwargs: Any) -> Any:
        said = os.environ.get(_EMIT)
        try:
            return instrument(*args, **kwargs)
        finally:
            if said is None:
                os.environ.pop(_EMIT, None)
            else:
                os.environ[_EMIT] = said

    setattr(instrument_generate_content, _MARK, True)
    upstream.instrument_generate_content = instrument_generate_content
