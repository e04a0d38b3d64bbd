"""Metrics of every kind, as the services of the sample day report them every ten seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.telemetry import Buckets, Exemplar, Metric, Point
from support.dev.made import SECOND, attributes

if TYPE_CHECKING:
    import random

    from otel_kpi.dev.telemetry import Span

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def metrics(
    draw: random.Random, round_number: int, start_ns: int, time_ns: int, seen: Span | None
) -> list[Metric]:
    """What a service reports in its `round_number`th interval, from 1; sums and histograms go on from the last."""
    exemplars = [] if seen is None else [
        Exemplar((seen.end_ns - seen.start_ns) / SECOND, seen.end_ns, seen.trace_id, seen.span_id, attributes({"kpi.tenant": "acme"}))
    ]  # fmt: skip
    counts = tuple(round_number * weight for weight in (2, 5, 14, 30, 22, 12, 8, 4, 2, 1, 0, 0))
    total = sum(counts)
    route = attributes(
        {"http.request.method": "GET", "http.route": "/products", "http.response.status_code": 200}
    )
    money = attributes(
        {"gen_ai.request.model": "gpt-4o-mini", "kpi.tenant": "acme", "gen_ai.usage.cost.currency": "USD"}
    )
    return [
        Metric("http.server.request.duration", "Duration of HTTP server requests.", "s", "histogram", [
            Point(route, start_ns, time_ns, count=total, sum=total * 0.08, min=0.002, max=4.2, bounds=BOUNDS, counts=counts, exemplars=exemplars)
        ], temporality=2),
        Metric("http.server.active_requests", "Requests in flight.", "{request}", "sum", [
            Point(route[:1], start_ns, time_ns, value=draw.randrange(12))
        ], temporality=2),
        Metric("kpi.llm.cost", "What was paid.", "{cost}", "sum", [
            Point(money, start_ns, time_ns, value=round_number * 0.0123, exemplars=exemplars)
        ], temporality=2, monotonic=True),
        Metric("kpi.etl.records.processed", "Records, by stage and by what became of them.", "{record}", "sum", [
            Point(attributes({"model_name": "marketing", "kpi.etl.stage.type": "load", "kpi.etl.record.status": status}), time_ns - 10 * SECOND, time_ns, value=draw.randrange(1, size))
            for status, size in (("written", 5_000), ("rejected", 60))
        ], temporality=1, monotonic=True),
        Metric("kpi.etl.quality_score", "How good the model's latest data are, 0 to 100.", "{score}", "gauge", [
            Point(attributes({"model_name": name}), 0, time_ns, value=round(90 + 8 * math.sin(round_number / 9 + shift), 2))
            for shift, name in enumerate(("marketing", "orders"))
        ]),
        Metric("process.memory.usage", "Resident memory.", "By", "gauge", [Point((), 0, time_ns, value=80_000_000 + draw.randrange(10**7))]),
        Metric("db.client.operation.duration", "Duration of database calls.", "s", "exponential_histogram", [
            Point(attributes({"db.system.name": "postgresql", "db.operation.name": "SELECT"}), start_ns, time_ns, count=60 * round_number, sum=0.2 * round_number, min=0.0004, max=0.2,
                  scale=2, zero_count=round_number, zero_threshold=1e-9, positive=Buckets(-40, tuple(round_number * n for n in (3, 9, 20, 17, 8, 2))), exemplars=exemplars)
        ], temporality=2),
        Metric("rpc.latency", "As an older client reports it.", "ms", "summary", [
            Point(attributes({"rpc.method": "Charge"}), start_ns, time_ns, count=30 * round_number, sum=900.0 * round_number, quantiles=((0.5, 21.0), (0.95, 80.0), (1.0, 212.0)))
        ]),
        Metric("queue.depth", "Jobs that wait; the last reader has gone away.", "{job}", "gauge", [
            Point(attributes({"queue": "mail"}), 0, time_ns, value=None if round_number % 7 == 0 else draw.randrange(40), no_value=round_number % 7 == 0)
        ]),
    ]  # fmt: skip
