"""Log records and points of metrics are kept as they were sent."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from support.dev.made import attributes
from support.dev.said import START, TRACE, found, of, record, rows

from otel_kpi.dev.store import terms
from otel_kpi.dev.telemetry import Buckets, Exemplar, Metric, Point

if TYPE_CHECKING:
    from otel_kpi.dev.store import Store


def test_a_record_is_kept_whole_and_found(store: Store) -> None:
    sent = record("Order 4711 failed", trace=TRACE, span_id="span", values={"order.id": 4711})
    sent.observed_ns, sent.event_name, sent.dropped, sent.severity_text = START + 5, "order.failed", 2, "WARN"
    store.write([of("shop", sent, record("other"), signal="logs")])
    (row,) = rows(
        store,
        "SELECT time_ns, severity, severity_text, body, attrs, trace_id, span_id, event_name, extra FROM log WHERE id = 1",
    )
    assert row[:8] == (START, 9, "WARN", '"Order 4711 failed"', "[4711]", TRACE, b"span....", "order.failed")
    assert json.loads(row[8]) == {"observed_ns": START + 5, "dropped": 2}
    for term in (terms.attribute_term("order.id", "4711"), terms.query_of("order failed"), "4711"):
        assert found(store, term, "logs") == [1]
    assert found(store, terms.severity_term(9), "logs") == [1, 2]


def test_a_record_without_a_time_has_that_of_its_observation(store: Store) -> None:
    sent = record("x")
    sent.time_ns, sent.observed_ns = 0, START + 7
    store.write([of("shop", sent, signal="logs")])
    assert rows(store, "SELECT time_ns, extra FROM log") == [(START + 7, None)]


def _gauge(value: float | None, time_ns: int = START, **values: Any) -> Point:
    return Point(attributes(values), 0, time_ns, value)


def test_series_are_told_apart_by_attributes_whatever_their_order(store: Store) -> None:
    metric = Metric(
        "queue", "how long", "{item}", "gauge", [_gauge(1, a="1", b="2"), _gauge(2, START + 1, b="2", a="1")]
    )
    store.write([of("shop", metric, signal="metrics")])
    store.write(
        [
            of(
                "shop",
                Metric("queue", "how long it is", "{item}", "gauge", [_gauge(3, a="1")]),
                signal="metrics",
            )
        ]
    )
    assert rows(store, "SELECT count(*) FROM metric") == [(1,)]
    assert rows(store, "SELECT description FROM metric") == [("how long it is",)]
    assert rows(store, "SELECT series, value FROM point ORDER BY 1, time_ns") == [
        (1, 1.0),
        (1, 2.0),
        (2, 3.0),
    ]


def test_a_point_that_is_sent_again_is_the_same_point(store: Store) -> None:
    for value in (1, 1.5):
        store.write([of("shop", Metric("queue", "", "", "gauge", [_gauge(value)]), signal="metrics")])
    assert rows(store, "SELECT value FROM point") == [(1.5,)]


def test_what_each_kind_says_is_kept(store: Store) -> None:
    exemplar = Exemplar(0.3, START, b"t" * 16, b"s" * 8, attributes({"user": "u1"}))
    points = {
        "histogram": Point((), START - 9, START, count=3, sum=1.5, min=0.1, max=1.0, bounds=(0.5, 1.0), counts=(1, 1, 1),
                           exemplars=[exemplar]),
        "exponential_histogram": Point((), 0, START, count=4, scale=3, zero_count=1, zero_threshold=0.01,
                                       positive=Buckets(-2, (1, 2)), negative=Buckets(5, (1,))),
        "summary": Point((), 0, START, count=2, sum=3.0, quantiles=((0.5, 1.0), (0.99, 2.0))),
        "gauge": Point((), 0, START, no_value=True),
        "sum": Point((), 0, START, value=math.nan),
    }  # fmt: skip
    for kind, point in points.items():
        store.write([of("shop", Metric(kind, "", "s", kind, [point], 2), signal="metrics")])  # type: ignore[arg-type] - a kind
    kept = {
        name: (value, data and json.loads(data), exemplars and json.loads(exemplars))
        for name, value, data, exemplars in rows(
            store,
            "SELECT name, value, data, exemplars FROM point JOIN series ON series.id = series JOIN metric ON metric.id = metric",
        )
    }
    assert kept == {
        "histogram": (3.0, {"sum": 1.5, "min": 0.1, "max": 1.0, "bounds": [0.5, 1.0], "counts": [1, 1, 1]},
                      [[0.3, START, (b"t" * 16).hex(), (b"s" * 8).hex(), {"user": "u1"}]]),
        "exponential_histogram": (4.0, {"scale": 3, "zero_count": 1, "zero_threshold": 0.01, "positive": [-2, [1, 2]],
                                        "negative": [5, [1]]}, None),
        "summary": (2.0, {"sum": 3.0, "quantiles": [[0.5, 1.0], [0.99, 2.0]]}, None),
        "gauge": (None, {"no_value": True}, None),
        "sum": (None, {"value": {"double": "NaN"}}, None),
    }  # fmt: skip


def test_rejected_items_are_counted_with_the_reason(store: Store) -> None:
    request = of("shop", record("x"), signal="logs")
    request.rejected, request.problem = 3, "a trace id of 15 bytes"
    store.write([request])
    assert rows(store, "SELECT items, last FROM intake WHERE outcome = 'rejected'") == [
        (3, "a trace id of 15 bytes")
    ]
