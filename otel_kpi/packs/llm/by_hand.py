"""Calls and costs that no instrumentor sees, told by the application."""

from __future__ import annotations

import time
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otel_kpi.packs import conversations, spans
from otel_kpi.packs.contexts import Inside
from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import answers, attribution, budgets, calls, guard, handles, names, prices
from otel_kpi.packs.llm.handles import SCOPE
from otel_kpi.packs.llm.usage import FAULTS, MOST, as_reported
from otel_kpi.packs.outcome import error_type

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import Span

_LETTERS_OF_A_CURRENCY: Final = 3
_LONGEST: Final = 256
"""Characters of a name; what is longer is text."""
_USAGE: Final = (
    ("input_tokens", "gen_ai.usage.input_tokens"),
    ("output_tokens", "gen_ai.usage.output_tokens"),
    ("cache_read_tokens", "gen_ai.usage.cache_read.input_tokens"),
    ("cache_write_tokens", "gen_ai.usage.cache_write.input_tokens"),
    ("output_reasoning_tokens", "gen_ai.usage.reasoning.output_tokens"),
)


class HandMade:
    """A call that the application makes by itself; made by `call()`, for `with` and `async with`.

    Attributes:
        span: Its span; None before it has begun.
    """

    def __init__(self, known: calls.Call) -> None:
        self._call = known
        self._inside: Inside | None = None
        self._start = 0.0
        self._response_id: str | None = None
        self.span: Span | None = None

    def usage(
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        **units: float | Decimal | None,
    ) -> None:
        """Say what the call used.

        Args:
            input_tokens: All that were sent, cached ones too.
            output_tokens: All that were made, reasoning too.
            **units: Parts of both, and what else is billed: `cache_read_tokens`, `cache_write_tokens`,
                `output_reasoning_tokens`, `input_audio_tokens`, `web_searches`, … None says nothing.
                Of seconds (`audio_seconds`) there are fractions: a float is taken by its digits.
        """
        given = {"input_tokens": input_tokens, "output_tokens": output_tokens, **units}
        self._call.counts.update((key, value) for key, value in given.items() if value is not None)

    def answered(
        self, model: str | None = None, *, tier: str | None = None, response_id: str | None = None
    ) -> None:
        """Say which model answered, in which service tier, and the id of the answer, of which `feedback` may speak."""
        self._response_id = _text(response_id) or self._response_id
        self._call.response_model = _text(model) or self._call.response_model
        self._call.tier = _text(tier) or self._call.tier

    def charged(self, amount: Decimal | str | int, currency: str) -> None:
        """Say what the provider charged: it wins over what would be worked out here."""
        if (money := _money(amount, currency)) is not None:
            self._call.charged = money

    def __enter__(self) -> Self:
        guard.before_call()
        try:
            known = self._call
            known.attribution = attribution.current()
            known.guards = guard.current()
            known.began, self._start = time.time(), time.perf_counter()
            attributes = {
                names.OPERATION: known.operation,
                names.PROVIDER: known.provider,
                names.REQUEST_MODEL: known.request_model,
                conversations.ATTRIBUTE: conversations.current(),
                **known.attribution.span_attributes(),
            }
            name = " ".join(filter(None, (known.operation, known.request_model)))
            self.span = trace.get_tracer(SCOPE).start_span(
                name,
                kind=SpanKind.CLIENT,
                attributes={key: value for key, value in attributes.items() if value is not None},
            )
            self._inside = Inside(trace.set_span_in_context(self.span))
            self._inside.__enter__()
        except Exception as error:
            failed("the beginning of a call of a language model", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        try:
            if self._inside is not None:
                self._inside.__exit__(kind, error, trace_back)
            self._end(error)
        except Exception as fault:
            failed("the end of a call of a language model", fault)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace_back)

    def _end(self, error: BaseException | None) -> None:
        known, span = self._call, self.span
        known.seconds = time.perf_counter() - self._start
        known.error = error_type(error)
        known.answered = bool(known.counts) or known.response_model is not None
        attributes = calls.recorded_by_hand(known)
        if span is None:
            return
        if known.response_model is not None:
            attributes[names.RESPONSE_MODEL] = known.response_model
        if attributes.get(calls.USAGE_FAULT) in FAULTS:
            attributes["kpi.llm.usage.reported"] = as_reported(known.counts)
            known.counts.clear()
        for unit, name in _USAGE:
            if type(count := known.counts.get(unit)) is int and 0 <= count < MOST:
                attributes[name] = count
        if self._response_id is not None:
            attributes["gen_ai.response.id"] = self._response_id
            answers.remember(self._response_id, span.get_span_context())
        span.set_attributes(attributes)
        spans.mark(span, known.error, error)
        span.end()


def call(  # noqa: PLR0913 - what decides about a price, by name
    provider: str,
    model: str,
    *,
    operation: str = "chat",
    endpoint: str | None = None,
    tier: str | None = None,
    processing: str | None = None,
) -> HandMade:
    """Have a call of a language model measured that no instrumentor sees: over plain HTTP, or on the own machine.

    Args:
        provider: Who serves the model, in OpenTelemetry's word: `"openai"`, `"aws.bedrock"`.
        model: The model that is asked for.
        operation: `"chat"`, `"embeddings"`, `"text_completion"`, …
        endpoint: The address that is called, where it decides about the price.
        tier: `"flex"`, `"priority"`.
        processing: `"batch"`.

    What is no text is taken for unknown, and what is longer than 256 characters is cut; it never raises.
    Where otel-kpi instruments the client's library the call is measured already: then this would count it twice.
    """
    return HandMade(
        calls.Call(
            operation=_text(operation) or "chat",
            provider=_text(provider),
            request_model=_text(model),
            endpoint=_text(endpoint),
            tier=_text(tier),
            processing=_text(processing),
        )
    )


def _text(value: Any) -> str | None:
    """A name; what is none is not known. An object's own text may be all that the application knows."""
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str):
        return None
    # Half a surrogate pair can be sent to nobody.
    return str.encode(value[:_LONGEST], errors="replace").decode() or None


def cost(amount: Decimal | str | float, currency: str, kind: str) -> None:
    """Count money that was spent beside the tokens: a tool, a retrieval, a search.

    Args:
        amount: 0 or more; a Decimal or a text is counted to its last digit.
        currency: ISO 4217, `"EUR"`.
        kind: What was paid for, `"tool"`, `"retrieval"`; at most 20 distinct ones.

    Exported as ``kpi_llm_cost_total{kpi_llm_cost_kind,…}`` with the tenant and the feature of `context()`, and written
    as an event on the current span. Never raises.
    """
    money = _money(amount, currency)
    if money is None:
        return
    try:
        exact, code, _ = prices.convert(*money)
        whose = attribution.current()
        handles.cost.add(exact, kind, None, None, None, whose.tenant, whose.feature, code, "local")
        budgets.spent(exact, code, whose.tenant)
        for each in guard.current():
            each.count(exact, code, 0)
        trace.get_current_span().add_event(
            "kpi.llm.cost",
            {names.COST_AMOUNT: float(exact), names.COST_CURRENCY: code, "kpi.llm.cost.kind": str(kind)},
        )
    except Exception as error:
        failed("a cost", error)


def _money(amount: Any, currency: Any) -> tuple[Decimal, str] | None:
    try:
        # By its digits: 0.1 is a tenth, whatever the double next to it is.
        exact = amount if type(amount) is Decimal else Decimal(str(amount))
        code = str(currency).strip().upper()
    except Exception as error:
        failed("a cost", error)
        return None
    if (
        not exact.is_finite()
        or not 0 <= exact < MOST
        or len(code) != _LETTERS_OF_A_CURRENCY
        or not code.isalpha()
    ):
        failed("a cost", ValueError(f"{exact} {code} is no amount of money"))
        return None
    return exact, code
