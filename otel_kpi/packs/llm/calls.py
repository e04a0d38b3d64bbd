"""A call of a language model that has ended: its tokens, its price, and what of both is recorded where.

Every way leads here: the instrumentors of SDKs, `llm.call()` by hand, and the words of an older system.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts

from otel_kpi import record
from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import budgets, handles, names, prices
from otel_kpi.packs.llm.attribution import NOBODY, Attribution
from otel_kpi.packs.llm.openai_instruments import OPENAI_PROVIDERS
from otel_kpi.packs.llm.usage import MOST, Usage

if TYPE_CHECKING:
    from decimal import Decimal

    from opentelemetry.context import Context
    from opentelemetry.util.types import AttributeValue

    from otel_kpi.packs.llm.guard import Guard
    from otel_kpi.packs.llm.prices import Price

    Attributes = dict[str, AttributeValue]

UNPRICED_REASON: Final = "kpi.llm.unpriced.reason"
USAGE_FAULT: Final = "kpi.llm.usage.fault"
PRICE_VERSION: Final = "kpi.llm.price.version"
PRICE_EXCHANGE: Final = "kpi.llm.price.exchange"
_OTHER_KINDS: Final = frozenset({"embeddings", "retrieval"})
_TAKES_THE_NAMESPACE: Final = "gen_ai.usage.cost"


@dataclass(slots=True, kw_only=True)
class Call:
    """What is known of a call, from whoever saw it.

    Attributes:
        operation: `gen_ai.operation.name`: `chat`, `embeddings`, …
        provider: `gen_ai.provider.name`, by the endpoint where that tells.
        endpoint: The address that was called, `https://api.openai.com/v1`; None where nobody knows.
        request_model: The model that was asked for.
        response_model: The one that answered.
        counts: What the provider reported, by the units of `usage.py`.
        tier: `flex`, `priority`, … as the provider says.
        processing: `batch`, where it is.
        charged: What the provider says that it charged, and in which currency.
        attribution: For whom and for what.
        error: `error.type`; None where there was none.
        answered: Whether anything of an answer came: what failed before is not billed.
        seconds: How long it took.
        began: When, in seconds since 1970.
        guards: Those of `llm.budget()` in which it was made.
    """

    operation: str = "chat"
    provider: str | None = None
    endpoint: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    counts: dict[str, Any] = field(default_factory=dict[str, Any])
    tier: str | None = None
    processing: str | None = None
    charged: tuple[Decimal, str] | None = None
    attribution: Attribution = NOBODY
    error: str | None = None
    answered: bool = True
    seconds: float | None = None
    began: float = field(default_factory=time.time)
    guards: tuple[Guard, ...] = ()


@dataclass(slots=True)
class _Bill:
    """What a call is billed with.

    Attributes:
        amount: In `currency`; None where nobody knows.
        source: Who says so: `provider`, or `local` where it was worked out here.
        price: How it was worked out.
        exchange: With what it was converted.
        unpriced: Why there is no amount.
        fault: What of the provider's own charge cannot be.
        pending: There will be an amount as soon as the user's price file is read.
    """

    amount: Decimal | None = None
    currency: str = ""
    source: str = ""
    price: Price | None = None
    exchange: prices.Exchange | None = None
    unpriced: str | None = None
    fault: str | None = None
    pending: bool = False

    def attributes(self) -> Attributes:
        """What its span says of it."""
        if self.amount is None:
            return {} if self.unpriced is None else {UNPRICED_REASON: self.unpriced}
        attributes = cost_attributes(float(self.amount), self.currency, self.source)
        if self.price is not None:
            attributes[PRICE_VERSION] = self.price.version
        if self.exchange is not None:
            attributes[PRICE_EXCHANGE] = str(self.exchange)
        return attributes


def ended(call: Call, context: Context | None = None) -> Attributes:
    """Record the tokens and the price of a call.

    Args:
        call: What is known of it; it is not changed any more.
        context: Where exemplars lead; None is the current one.

    Returns:
        The attributes for its span: the price, or why there is none. Never raises.
    """
    try:
        usage = Usage.read(call.counts)
        bill = _bill(call, usage)
        attributes = bill.attributes()
        fault = usage.fault or bill.fault
        if fault is not None:
            attributes[USAGE_FAULT] = fault
        if bill.amount is not None:
            budgets.spent(bill.amount, bill.currency, call.attribution.tenant)
        if call.guards and (bill.amount is not None or usage.counts or call.answered):
            tokens = (usage.of("input_tokens") or 0) + (usage.of("output_tokens") or 0)
            for guard in call.guards:
                guard.count(bill.amount, bill.currency or None, tokens)
        record.later(functools.partial(_record, call, usage, bill, context or contexts.get_current()))
    except Exception as error:
        failed("the price of a call", error)
        return {}
    return attributes


def _record(call: Call, usage: Usage, bill: _Bill, context: Context) -> None:
    try:
        for fault in (usage.fault, bill.fault):
            if fault is not None:
                handles.usage_faults.add(1, call.provider, call.request_model, fault)
        _count_tokens(call, usage)
        if call.provider in OPENAI_PROVIDERS:
            _count_in_older_words(call, usage, context)
        _record_bill(call, bill, context)
    except Exception as error:
        failed("a call of a language model", error)


def _record_bill(call: Call, bill: _Bill, context: Context) -> None:
    whose = call.attribution
    provider, asked, answered = call.provider, call.request_model, call.response_model
    if bill.amount is not None:
        amount, currency, source = bill.amount, bill.currency, bill.source
        kind = call.operation if call.operation in _OTHER_KINDS else "inference"
        handles.cost.add(
            amount, kind, provider, asked, answered, whose.tenant, whose.feature, currency, source
        )
        handles.cost_distribution.record(float(amount), *_labels(call), currency, source, context=context)
        if provider in OPENAI_PROVIDERS:
            handles.openai_cost.add(amount, asked or answered, currency)
    elif bill.unpriced is not None and not bill.pending:
        handles.unpriced.add(1, provider, asked, answered, whose.tenant, bill.unpriced)


def _count_tokens(call: Call, usage: Usage) -> None:
    provider, asked, answered = call.provider, call.request_model, call.response_model
    tenant, feature = call.attribution.tenant, call.attribution.feature
    for token_class, modality, count in usage.classes():
        handles.tokens.add(count, provider, asked, answered, tenant, feature, token_class, modality)
    if names.generations()[1] and call.operation != "embeddings":
        _count_latest(call, usage)


def _count_in_older_words(call: Call, usage: Usage, context: Context) -> None:
    model = call.request_model or call.response_model
    status = "success" if call.error is None else "error"
    handles.openai_requests.add(1, model, status)
    if call.seconds is not None:
        handles.openai_duration.record(call.seconds, model, status, context=context)
    if sent := usage.of("input_tokens"):
        handles.openai_tokens.add(sent, model, "prompt")
    if made := usage.of("output_tokens"):
        handles.openai_tokens.add(made, model, "completion")


_LATEST: Final = (
    ("input_tokens", handles.latest_input),
    ("output_tokens", handles.latest_output),
    ("cache_read_tokens", handles.latest_cache_read),
    ("cache_write_tokens", handles.latest_cache_write),
    ("output_reasoning_tokens", handles.latest_reasoning),
)


def _labels(call: Call) -> tuple[str | None, ...]:
    whose = call.attribution
    return (
        call.operation,
        call.provider,
        call.request_model,
        call.response_model,
        whose.tenant,
        whose.feature,
    )


def _count_latest(call: Call, usage: Usage) -> None:
    labels = _labels(call)
    for key, handle in _LATEST:
        for modality, count in usage.by_modality(key):
            handle.add(count, *labels, modality)
    if (sent := usage.of("input_tokens")) is not None:
        handles.latest_input_distribution.record(sent, *labels)
    if (made := usage.of("output_tokens")) is not None:
        handles.latest_output_distribution.record(made, *labels)


def _bill(call: Call, usage: Usage) -> _Bill:
    """What a call cost, by the provider's word or by the prices."""
    charged, fault = call.charged, None
    if charged is not None and charged[0] >= MOST:
        # No total takes it; what the tokens cost is nearer to the truth.
        charged, fault = None, "charged_too_much"
    if charged is not None:
        amount, currency, exchange = prices.convert(*charged, at=call.began)
        return _Bill(amount, currency, "provider", exchange=exchange)
    if not usage.counts and call.error is not None and not call.answered:
        return _Bill(fault=fault)
    price = prices.price(
        provider=call.provider,
        endpoint=call.endpoint,
        model=call.response_model or call.request_model,
        usage=usage,
        tier=call.tier,
        processing=call.processing,
        at=call.began,
        seconds=call.seconds,
    )
    if isinstance(price, prices.Pending):
        # The user's price file is being read; a span that has ended by then goes without.
        price.then(functools.partial(_bill_later, call))
    return _priced(price, fault)


def _priced(price: Price | prices.Unpriced, fault: str | None = None) -> _Bill:
    if isinstance(price, prices.Unpriced):
        return _Bill(unpriced=price.reason, fault=fault, pending=isinstance(price, prices.Pending))
    return _Bill(
        price.amount, price.currency, price.source, price=price, exchange=price.exchange, fault=fault
    )


def _bill_later(call: Call, price: Price | prices.Unpriced) -> None:
    """Record what a call cost that was made before the price file was read."""
    try:
        bill = _priced(price)
        if bill.amount is not None:
            budgets.spent(bill.amount, bill.currency, call.attribution.tenant)
            for guard in call.guards:
                guard.count(bill.amount, bill.currency, 0)
        _record_bill(call, bill, contexts.get_current())
    except Exception as error:
        failed("the price of a call", error)


def cost_attributes(amount: float, currency: str, source: str) -> Attributes:
    """The amount on a span, under the proposed names and those that were asked for.

    `gen_ai.usage.cost` is a name of its own and the beginning of three others; backends that expand dots cannot have
    both, so whoever asks for it gets the currency and the source under `kpi.llm.cost`.
    """
    aliases = names.cost_aliases() if currency == "USD" else ()
    if _TAKES_THE_NAMESPACE in aliases:
        attributes: Attributes = {"kpi.llm.cost.currency": currency, "kpi.llm.cost.source": source}
    else:
        attributes = {
            names.COST_AMOUNT: amount,
            names.COST_CURRENCY: currency,
            names.COST_SOURCE: source,
        }
    for alias in aliases:
        attributes[alias] = amount
    return attributes


def recorded_by_hand(call: Call) -> Attributes:
    """Record a call that no package of OpenTelemetry's saw: its time and its tokens as those would, too."""
    attributes = ended(call)
    try:
        labels = _labels(call)
        installed, latest = names.generations()
        if call.seconds is not None:
            if installed:
                handles.call_duration.record(call.seconds, *labels, call.error)
            if latest:
                handles.latest_duration.record(call.seconds, *labels, call.error)
        usage = Usage.read(call.counts)
        if installed:
            for kind in ("input", "output"):
                if (count := usage.of(f"{kind}_tokens")) is not None:
                    handles.token_usage.record(count, *labels, kind)
    except Exception as error:
        failed("a call of a language model", error)
    return attributes
