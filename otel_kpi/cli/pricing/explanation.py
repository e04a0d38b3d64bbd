"""A price, step by step: who bills the call, which rates hold, what they come to, and where they are from."""

from __future__ import annotations

import difflib
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices.remedies import REMEDIES
from otel_kpi.packs.llm.prices.resolution import Kind
from otel_kpi.packs.llm.usage import Usage

if TYPE_CHECKING:
    import argparse

    from otel_kpi.packs.llm.prices import Price, Unpriced
    from otel_kpi.packs.llm.prices.book import Book
    from otel_kpi.packs.llm.prices.resolution import Resolved
    from otel_kpi.packs.llm.prices.units import Units


def show(args: argparse.Namespace) -> int:
    """Explain a price; status 1 when there is none."""
    prices.use()
    source = prices.current()
    at = args.at if args.at is not None else datetime.now(UTC).timestamp()
    kind = Kind(args.provider, args.endpoint, args.model, args.tier, args.processing)
    resolved = source.explain(kind, at)
    book = source.book()
    if resolved is None or book is None:
        print("otel-kpi: there is no table of prices; the installation is broken", file=sys.stderr)
        return 2
    try:
        usage = Usage(_usage(args.usage, book.table.units))
    except ValueError as error:
        print(f"otel-kpi: --usage: {error}", file=sys.stderr)
        return 2
    answer = prices.price(
        provider=args.provider,
        endpoint=args.endpoint,
        model=args.model,
        usage=usage,
        tier=args.tier,
        processing=args.processing,
        at=at,
        seconds=args.seconds,
    )
    rates_alone = not args.usage and args.seconds is None and resolved.tariff is not None
    if args.json:
        print(json.dumps(_as_json(resolved, answer, rates_alone=rates_alone), indent=2, ensure_ascii=False))
    else:
        when = datetime.fromtimestamp(at, UTC)
        print("\n".join(_explained(resolved, answer, book, when, rates_alone=rates_alone)))
    return 0 if rates_alone or isinstance(answer, prices.Price) else 1


def _explained(
    resolved: Resolved, answer: Price | Unpriced, book: Book, when: datetime, *, rates_alone: bool
) -> list[str]:
    said = [f"table:    {book.table.label}, in {book.table.currency}"]
    if book.label:
        said.append(f"file:     {book.label}, {len(book.rules)} rules")
    said += [f"at:       {when:%Y-%m-%d %H:%M} UTC", *(f"  {step}" for step in resolved.trail)]
    if resolved.tariff is not None:
        said += ["", "rates"]
        said += [f"  {line}" for line in _rates(resolved)]
    if isinstance(answer, prices.Price):
        said += ["", "arithmetic"]
        said += [
            f"  {line.quantity:>12} {line.unit:<26} × {line.rate:>10} / {_per(line.per):<9} = {_plain(line.amount)}"
            for line in answer.lines
        ]
        said.append(
            f"  {'':>12} {'total':<26}   {'':>10}   {'':<9} = {_plain(answer.native_amount)} {answer.native_currency}"
        )
        if answer.exchange is not None:
            said.append(f"  {answer.exchange}: {_plain(answer.amount)} {answer.currency}")
        if answer.missing:
            said.append(f"  no rate, and not in the total: {', '.join(answer.missing)}")
    elif not rates_alone:
        said += ["", f"no price: {answer.reason}", f"  {REMEDIES.get(answer.reason, 'see docs/prices.md')}"]
    if resolved.version:
        said += ["", f"version:  {resolved.version}"]
    said += [f"source:   {address}" for address in resolved.sources[:6]]
    return said


def _rates(resolved: Resolved) -> list[str]:
    tariff = resolved.tariff
    if tariff is None:
        return []
    lines: list[str] = []
    for unit, rate in tariff.rates.items():
        above = "".join(
            f"; {_plain(step)} of prompts with more than {threshold} input tokens"
            for threshold, step in rate.steps
        )
        lines.append(f"{unit.key:<26} {_plain(rate.base):>10} / {_per(unit.per)}{above}")
    if tariff.per_call is not None:
        lines.append(f"{'call':<26} {_plain(tariff.per_call):>10}")
    if tariff.per_second is not None:
        lines.append(f"{'second':<26} {_plain(tariff.per_second):>10}")
    return lines or ["none: free of charge"]


def _as_json(resolved: Resolved, answer: Price | Unpriced, *, rates_alone: bool) -> dict[str, Any]:
    content: dict[str, Any] = {
        "steps": list(resolved.trail),
        "rates": _rates_as_json(resolved),
        "version": resolved.version,
        "sources": list(resolved.sources),
    }
    if isinstance(answer, prices.Price):
        content |= {
            "provider": answer.provider,
            "model": answer.model,
            "lines": [{key: str(value) for key, value in line._asdict().items()} for line in answer.lines],
            "amount": str(answer.amount),
            "currency": answer.currency,
            "native_amount": str(answer.native_amount),
            "native_currency": answer.native_currency,
            "exchange": str(answer.exchange) if answer.exchange is not None else None,
            "missing": list(answer.missing),
        }
    elif not rates_alone:
        content["unpriced"] = answer.reason
    return content


def _rates_as_json(resolved: Resolved) -> list[dict[str, Any]]:
    if resolved.tariff is None:
        return []
    return [
        {
            "unit": unit.key,
            "rate": str(rate.base),
            "per": unit.per,
            "above": {str(threshold): str(step) for threshold, step in rate.steps},
        }
        for unit, rate in resolved.tariff.rates.items()
    ]


def _per(per: int) -> str:
    return {1_000_000_000: "G", 1_000_000: "M", 1_000: "k", 3_600: "3600 s", 1: "1"}.get(per, str(per))


def _plain(amount: Decimal) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _usage(written: str, units: Units) -> dict[str, Any]:
    """Read `input=1200,cache_read=1000`; `cache_read` is `cache_read_tokens`."""
    counts: dict[str, Any] = {}
    for part in filter(None, (each.strip() for each in written.split(","))):
        name, _, count = (each.strip() for each in part.partition("="))
        key = next((each for each in (name, f"{name}_tokens") if each in units.by_key), None)
        if key is None:
            near = difflib.get_close_matches(name, units.by_key, 3)
            raise ValueError(f"there is no unit {name!r}; near are {', '.join(near) or 'none'}")
        try:
            number = Decimal(count)
        except InvalidOperation:
            raise ValueError(f"{part!r} is no unit=count") from None
        counts[key] = int(number) if number == number.to_integral_value() else number
    return counts
