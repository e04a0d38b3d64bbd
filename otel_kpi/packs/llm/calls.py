"""A call of a language model that has ended: its tokens, its price, and what of both is recorded where.

Every way leads here: the instrumentors of SDKs, `llm.call()` by hand, and the words of an older system.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import budgets, handles, names, prices
from otel_kpi.packs.llm.attribution import NOBODY, Attribution
from otel_kpi.packs.llm.openai_instruments import OPENAI_PROVIDERS
from otel_kpi.packs.llm.usage import MOST, Usage

if TYPE_CHECKING:
    from decimal import Decimal

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


def ended(call: Call) -> Attributes:
    """Record the tokens and the price of a call.

    Returns:
        The attributes for its span: the price, or why there is none. Never raises.
    """
    try:
        usage = Usage.read(call.counts)
        attributes: Attributes = {}
        if usage.fault is not None:
            handles.usage_faults.add(1, call.provider, call.request_model, usage.fault)
            attributes[USAGE_FAULT] = usage.fault
        _count_tokens(call, usage)
        if call.provider in OPENAI_PROVIDERS:
            _count_in_older_words(call, usage)
        paid = _charge(call, usage, attributes)
        if call.guards and (paid is not None or usage.counts or call.answered):
            amount, currency = paid or (None, None)
            tokens = (usage.of("input_tokens") or 0) + (usage.of("output_tokens") or 0)
            for guard in call.guards:
                guard.count(amount, currency, tokens)
    except Exception as error:
        failed("the price of a call", error)
        return {}
    return attributes


def _count_tokens(call: Call, usage: Usage) -> None:
    provider, asked, answered = call.provider, call.request_model, call.response_model
    tenant, feature = call.attribution.tenant, call.attribution.feature
    for token_class, modality, count in usage.classes():
        handles.tokens.add(count, provider, asked, answered, tenant, feature, token_class, modality)
    if names.generations()[1] and call.operation != "embeddings":
        _count_latest(call, usage)


def _count_in_older_words(call: Call, usage: Usage) -> None:
    model = call.request_model or call.response_model
    status = "success" if call.error is None else "error"
    handles.openai_requests.add(1, model, status)
    if call.seconds is not None:
        handles.openai_duration.record(call.seconds, model, status)
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


def _charge(call: Call, usage: Usage, attributes: Attributes) -> tuple[Decimal, str] | None:
    """Record what a call cost, and give it; None where nobody knows."""
    charged = call.charged
    if charged is not None and charged[0] >= MOST:
        # No total takes it; what the tokens cost is nearer to the truth.
        handles.usage_faults.add(1, call.provider, call.request_model, "charged_too_much")
        attributes.setdefault(USAGE_FAULT, "charged_too_much")
        charged = None
    if charged is not None:
        amount, currency, exchange = prices.convert(*charged, at=call.began)
        if exchange is not None:
            attributes[PRICE_EXCHANGE] = str(exchange)
        _spend(call, amount, currency, "provider", attributes)
        return amount, currency
    if not usage.counts and call.error is not None and not call.answered:
        return None
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
        price.then(functools.partial(_charge_later, call))
        attributes[UNPRICED_REASON] = price.reason
        return None
    return _settle(call, price, attributes)


def _charge_later(call: Call, price: Price | prices.Unpriced) -> None:
    """Record what a call cost that was made before the price file was read."""
    try:
        paid = _settle(call, price, {})
        if paid is not None:
            for guard in call.guards:
                guard.count(*paid, 0)
    except Exception as error:
        failed("the price of a call", error)


def _settle(call: Call, price: Price | prices.Unpriced, attributes: Attributes) -> tuple[Decimal, str] | None:
    if isinstance(price, prices.Unpriced):
        handles.unpriced.add(
            1,
            call.provider,
            call.request_model,
            call.response_model,
            call.attribution.tenant,
            price.reason,
        )
        attributes[UNPRICED_REASON] = price.reason
        return None
    _spend(call, price.amount, price.currency, price.source, attributes, price)
    return price.amount, price.currency


def _spend(  # noqa: PLR0913, PLR0917 - a price and where it is written
    call: Call,
    amount: Decimal,
    currency: str,
    source: str,
    attributes: Attributes,
    price: Price | None = None,
) -> None:
    whose = call.attribution
    kind = call.operation if call.operation in _OTHER_KINDS else "inference"
    handles.cost.add(
        amount,
        kind,
        call.provider,
        call.request_model,
        call.response_model,
        whose.tenant,
        whose.feature,
        currency,
        source,
    )
    budgets.spent(amount, currency, whose.tenant)
    nearest = float(amount)
    handles.cost_distribution.record(nearest, *_labels(call), currency, source)
    if call.provider in OPENAI_PROVIDERS:
        handles.openai_cost.add(amount, call.request_model or call.response_model, currency)
    attributes.update(cost_attributes(nearest, currency, source))
    if price is not None:
        attributes[PRICE_VERSION] = price.version
        if price.exchange is not None:
            attributes[PRICE_EXCHANGE] = str(price.exchange)


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
