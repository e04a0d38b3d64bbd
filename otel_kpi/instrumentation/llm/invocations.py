"""What follows from every call that a package of OpenTelemetry's sees: provider, price, tokens by class, retries, limits.

It hangs on the invocations of opentelemetry-util-genai, so whatever stands on that has all of it; `_compat/genai.py`
says how. Nothing here raises into the call, and nothing waits.
"""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import genai
from otel_kpi.instrumentation.llm import generations, limits, nested, streams, underway
from otel_kpi.instrumentation.llm.providers import provider_of, who_serves
from otel_kpi.packs import conversations
from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import answers, attribution, calls, guard, handles, prices
from otel_kpi.packs.llm.usage import FAULTS, MOST, as_reported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.instrumentation.llm.underway import Seen

_FINGERPRINT: Final = "openai.response.system_fingerprint"
_REPORTED: Final = "kpi.llm.usage.reported"
_COUNTS: Final = (
    ("input_tokens", "usage_input_tokens"),
    ("output_tokens", "usage_output_tokens"),
    ("cache_read_tokens", "usage_cache_read_input_tokens"),
    ("cache_write_tokens", "usage_cache_write_input_tokens"),
    ("output_reasoning_tokens", "usage_reasoning_output_tokens"),
    ("input_text_tokens", "usage_text_input_tokens"),
    ("input_image_tokens", "usage_image_input_tokens"),
    ("input_audio_tokens", "usage_audio_input_tokens"),
    ("output_text_tokens", "usage_text_output_tokens"),
    ("output_image_tokens", "usage_image_output_tokens"),
    ("output_audio_tokens", "usage_audio_output_tokens"),
    ("cache_text_read_tokens", "usage_text_cache_read_input_tokens"),
    ("cache_image_read_tokens", "usage_image_cache_read_input_tokens"),
    ("cache_audio_read_tokens", "usage_audio_cache_read_input_tokens"),
)
"""What upstream reads of a usage, by our unit and by its field."""

_ABANDONED: Final = {
    "_OTHER": "left",
    "asyncio.exceptions.CancelledError": "cancelled",
    "GeneratorExit": "left",
}
"""Why a stream was not read to its end, by the `error.type` of upstream; any other error broke it off."""


def follow() -> None:
    """Follow every call from now on; asked for by each instrumentor of a library, done once."""
    if genai.follow_invocations(guard.before_call, provider_of, _begun, _ending):
        nested.prepare()
        streams.follow()
        prices.prepare()


def _begun(invocation: Any, embedding: bool) -> None:  # noqa: FBT001 - as `_compat.genai` calls it
    try:
        within = genai.context_of(invocation)
        whose = attribution.current(within)
        seen = underway.Seen(whose)
        genai.hold(invocation, seen, embedding=embedding)
        if whose is not attribution.NOBODY:
            invocation.metric_attributes.update(whose.labels())
            seen.span_attributes = whose.span_attributes()
            invocation.attributes.update(seen.span_attributes)
        if not embedding and invocation.conversation_id is None:
            invocation.conversation_id = conversations.current(within)
        generations.choose(invocation, embedding=embedding)
    except Exception as fault:
        failed("the beginning of a call of a language model", fault)


def _ending(invocation: Any, error: Any, embedding: bool) -> None:  # noqa: FBT001 - the same
    try:
        _end(invocation, error, embedding=embedding)
    except Exception as fault:
        failed("the end of a call of a language model", fault)


def _end(invocation: Any, error: Any, *, embedding: bool) -> None:
    shared = genai.shared_data(genai.context_of(invocation), embedding=embedding)
    seen: Seen = genai.held(shared) or underway.Seen(attribution.NOBODY)
    data = genai.data_of(invocation, embedding=embedding)
    counts = _counts(invocation, data, seen)
    if data.server_port is None:
        data.server_port = seen.port
    provider, named = who_serves(data.server_address, data.server_port, data.provider_name)
    _put_right(invocation, data, provider)
    if shared is not None:
        _forget_what_is_not_said(shared, data)
        # Upstream takes it from there once more.
        shared.metric_attributes.pop(_FINGERPRINT, None)
    failure = _type_of(error)
    call = calls.Call(
        operation="embeddings" if embedding else data.operation_name or "chat",
        provider=provider,
        # Where the user says who serves it, that is whose price it is, whatever the address.
        endpoint=None if named else _endpoint(seen, data.server_address, data.server_port),
        request_model=data.request_model,
        response_model=data.response_model,
        counts=counts,
        tier=seen.tier or invocation.attributes.get("openai.response.service_tier"),
        processing=seen.processing,
        charged=seen.charged_amount,
        attribution=seen.attribution,
        error=failure,
        answered=seen.received or data.response_model is not None,
        seconds=timeit.default_timer() - genai.began_at(invocation),
        began=seen.began,
        guards=guard.current(genai.context_of(invocation)),
    )
    if not embedding:
        answers.remember(data.response_id, invocation.span.get_span_context())
    # Upstream's package for Anthropic puts its own in the place of what was there.
    invocation.attributes.update(seen.span_attributes)
    if not seen.counted_elsewhere:
        told = calls.ended(call, genai.context_of(invocation))
        invocation.attributes.update(told)
        if told.get(calls.USAGE_FAULT) in FAULTS:
            _blank(invocation, data, counts)
            if shared is not None:
                _forget_what_is_not_said(shared, data)
    _tell_of_the_way(call, seen, _abandoned(invocation, data, seen, failure))


def _counts(invocation: Any, data: Any, seen: Seen) -> dict[str, Any]:
    """The usage, by our units; upstream's span and metrics are made to say the same.

    Upstream leaves out caches, sees the last of several answers only, and would record a number that cannot be.
    """
    counts = dict(seen.counts)
    fields = vars(data)
    for key, name in _COUNTS:
        value = counts.get(key)
        if value is None:
            if key in counts:
                # What upstream has is no count: the placeholder with which a stream begins.
                fields.update({name: None} if name in fields else {})
                continue
            value = fields.get(name)
            if value is None:
                continue
            counts[key] = value
        if name not in fields:
            continue  # embeddings have few of them
        if type(value) is int and 0 <= value < MOST:
            fields[name] = value
        else:
            invocation.attributes.setdefault(_REPORTED, repr(value)[:64])
            fields[name] = None
    return counts


def _blank(invocation: Any, data: Any, counts: Mapping[str, Any]) -> None:
    """Take a report that cannot be true out of upstream's histogram and span, the half that looks likely too."""
    fields = vars(data)
    fields.update((name, None) for _, name in _COUNTS if name in fields)
    invocation.attributes[_REPORTED] = as_reported(counts)


def _forget_what_is_not_said(shared: Any, data: Any) -> None:
    """Take counts that are not said out of what a call within this one said: upstream fills in from there what is None."""
    fields, inner = vars(data), vars(shared)
    for _, name in _COUNTS:
        if inner.get(name) is not None and fields.get(name) is None:
            inner[name] = None


def _put_right(invocation: Any, data: Any, provider: str | None) -> None:
    """Put right what upstream would write: who served it, and what no metric may have."""
    if provider != data.provider_name:
        data.provider_name = provider
        # An attribute from the start of the span is not set again by upstream.
        invocation.span.set_attribute("gen_ai.provider.name", provider or "")
    # A new value with each deployment of a provider's; the span keeps it.
    invocation.metric_attributes.pop(_FINGERPRINT, None)


def _endpoint(seen: Seen, address: str | None, port: int | None) -> str | None:
    if seen.endpoint is not None:
        return seen.endpoint
    if not address:
        return None
    return f"https://{address}" if port is None else f"https://{address}:{port}"


def _type_of(error: Any) -> str | None:
    return None if error is None else str(error.type)


def _abandoned(invocation: Any, data: Any, seen: Seen, failure: str | None) -> str | None:
    """Why a stream was not read to its end; None of one that was, and of what is no stream."""
    how = seen.abandoned
    if how is None and genai.streams(invocation) and failure is not None:
        # No wrapper of util-genai's that would have said it.
        if data.response_time_to_first_chunk is None and failure not in _ABANDONED:
            return None
        how = _ABANDONED.get(failure, "broken_off")
    if how in {"left", "closed"} and data.response_finish_reasons:
        # All of the answer was there; what the provider sends after it is of no use to the application.
        return None
    if how is not None:
        invocation.attributes[streams.ENDED] = how
        invocation.attributes[streams.CHUNKS] = seen.chunks
        if data.response_finish_reasons is None:
            # Upstream makes `error` of a reason that is not there when it is told to keep the content.
            data.response_finish_reasons = []
    return how


def _tell_of_the_way(call: calls.Call, seen: Seen, abandoned: str | None) -> None:
    provider, model = call.provider, call.request_model
    for status, wait in seen.retries:
        handles.retries.add(1, provider, model, status)
        if wait is not None:
            handles.retry_wait.record(wait, provider, model, status)
    if abandoned is not None:
        handles.streams_abandoned.add(1, provider, model, abandoned)
    if seen.limits is not None:
        labels = (provider, model)
        said = limits.Said(seen.limits, labels)
        handles.rate_limit.set_later(labels, said.limit)
        handles.rate_limit_remaining.set_later(labels, said.remaining)
        handles.rate_limit_reset.set_later(labels, said.reset)
