"""A day of a shop, an assistant and a pipeline as telemetry: the same for the same seed.

`requests()` gives it decoded, `encoded()` as the bytes of OTLP; what nobody should send is in `hostile`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from support.dev import day, measures
from support.dev.made import SECOND, START_NS, Made, attribute, attributes, resource, together
from support.dev.protobuf import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.dev.telemetry import Request, Resource, Signal, Span

__all__ = ["SERVICES", "START_NS", "attribute", "attributes", "encode", "encoded", "requests", "resource"]

SERVICES: Final = ("gateway", "catalogue", "orders", "payments", "assistant", "mailer", "etl")
_ROUND: Final = 1_000
"""Spans of all services after which each sends what it has."""
_INTERVAL: Final = 10 * SECOND


def requests(  # noqa: C901 - a day
    spans: int = 1_000,
    seed: int = 0,
    *,
    start_ns: int = START_NS,
    per_request: int = 512,
    traces_a_second: float = 10.0,
) -> Iterator[Request[Any]]:
    """Exactly so many spans in requests as services send them, with log records and metrics between them.

    Args:
        spans: How many; the traces are whole.
        seed: Another seed is another day.
        start_ns: When it begins.
        per_request: Spans in a request at most.
        traces_a_second: How dense it is.
    """
    draw = random.Random(seed)
    senders = {name: resource(name) for name in SERVICES}
    kinds, weights = [kind for kind, _ in day.KINDS], [weight for _, weight in day.KINDS]
    waiting: dict[str, list[tuple[Resource, str, Any]]] = defaultdict(list)
    logs: dict[str, list[tuple[Resource, str, Any]]] = defaultdict(list)
    seen: dict[str, Span] = {}
    now, reported, round_number, left, since = start_ns, start_ns, 0, spans, 0
    while left:
        now += int(draw.expovariate(traces_a_second) * SECOND)
        made = Made(draw, draw.randbytes(16))
        draw.choices(kinds, weights)[0](made, now)
        if len(made.spans) > left:
            made = Made(draw, draw.randbytes(16))
            day.alive(made, now)
        left, since = left - len(made.spans), since + len(made.spans)
        for service, scope, span in reversed(made.spans):
            waiting[service].append((senders[service], scope, span))
            seen[service] = span
        for service, scope, record in made.logs:
            logs[service].append((senders[service], scope, record))
        for service in [name for name, items in waiting.items() if len(items) >= per_request]:
            yield from _sent("traces", waiting.pop(service), per_request)
        if since >= _ROUND or not left:
            since = 0
            for signal, items in (("traces", waiting), ("logs", logs)):
                for service in list(items):
                    yield from _sent(signal, items.pop(service), per_request)  # type: ignore[arg-type]
        if now - reported >= _INTERVAL or not left:
            reported, round_number = now, round_number + 1
            for name, sender in senders.items():
                measured = measures.metrics(draw, round_number, start_ns, now, seen.get(name))
                yield together("metrics", [(sender, "sample", metric) for metric in measured])


def _sent(signal: Signal, items: list[tuple[Resource, str, Any]], per_request: int) -> Iterator[Request[Any]]:
    for first in range(0, len(items), per_request):
        yield together(signal, items[first : first + per_request])


def encoded(spans: int = 1_000, seed: int = 0, **options: Any) -> Iterator[tuple[Signal, bytes]]:
    """The same as bodies of `POST /v1/<signal>`, protobuf."""
    for request in requests(spans, seed, **options):
        yield request.signal, encode(request)
