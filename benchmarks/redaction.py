"""CPU for taking secrets out of a span with ten attributes, two of them long, and out of an error event."""

from __future__ import annotations

import argparse
import copy
import json
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from otel_kpi import redaction
from otel_kpi.sdk.redacted import redacted_span
from otel_kpi.sentry.scrubbing import known_user, scrub

if TYPE_CHECKING:
    from collections.abc import Callable

SPANS = 2_000
ROUNDS = 7
URL = (
    "https://api.example.com/v1/customers/8842193/orders?page=3&sort=created&filter=open&fields=id,name,total,"
    "currency,created_at,updated_at&limit=100&offset=200&locale=de-DE&number="
)
STATEMENT = (
    "SELECT orders.id, orders.customer_id, orders.total, orders.created_at FROM orders JOIN customers ON "
    "customers.id = orders.customer_id WHERE orders.customer_id = %s AND orders.status IN (%s, %s) ORDER BY "
    "orders.created_at DESC LIMIT %s OFFSET %s"
)


def attributes(number: int) -> dict[str, Any]:
    """Ten attributes of a request, two of them long."""
    return {
        "http.request.method": "GET", "http.route": "/orders/{id}", "http.response.status_code": 200,
        "server.address": "api.example.com", "server.port": 443, "network.protocol.version": "1.1",
        "url.scheme": "https", "client.address": "127.0.0.1", "url.full": f"{URL}{number}", "db.query.text": STATEMENT,
    }  # fmt: skip


def spans(change: Callable[[int], dict[str, Any]]) -> list[ReadableSpan]:
    """Finished spans."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("benchmark")
    finished: list[ReadableSpan] = []
    for number in range(SPANS):
        span = tracer.start_span("GET /orders/{id}", attributes=change(number))
        span.end()
        assert isinstance(span, ReadableSpan)
        finished.append(span)
    return finished


def event() -> dict[str, Any]:
    """An error event as Sentry's SDK makes it: twenty frames with variables, breadcrumbs, a request."""
    frame = {
        "filename": "shop/orders.py", "function": "place", "lineno": 17, "context_line": "    raise ValueError(order)",
        "pre_context": ["    price = total(order)"] * 5, "post_context": ["    return price"] * 5,
        "vars": {"order": {"id": "4711", "customer": {"name": "'bob'", "token": "'abc'"}}, "self": "<Shop>", "n": "3"},
    }  # fmt: skip
    crumb = {
        "type": "http",
        "category": "httplib",
        "data": {"url": f"{URL}1", "method": "GET", "status_code": 200},
    }
    return {
        "event_id": "0" * 32, "level": "error", "platform": "python",
        "exception": {"values": [{"type": "ValueError", "value": "no such order password=x", "stacktrace": {"frames": [copy.deepcopy(frame) for _ in range(20)]}}]},
        "request": {"url": URL, "query_string": "page=3&token=x", "headers": {"Host": "x", "Authorization": "y"}, "method": "POST"},
        "breadcrumbs": {"values": [{**crumb, "message": f"asked {number}"} for number in range(30)]},
        "contexts": {"trace": {"trace_id": "0" * 32}, "runtime": {"name": "CPython"}}, "extra": {"list": [1, 2, 3]},
        "tags": {"team": "blue"}, "user": {"id": "17"}, "modules": {},
    }  # fmt: skip


def cost(work: Callable[[], Any], count: int, before: Callable[[], Any] = lambda: None) -> float:
    """Best time of one piece of work, in µs of CPU."""
    best = float("inf")
    for _ in range(ROUNDS):
        before()
        started = time.thread_time()
        work()
        best = min(best, (time.thread_time() - started) / count * 1e6)
    return best


def figures() -> dict[str, float]:
    """Each figure in µs."""
    user = known_user("hash")
    measured: dict[str, float] = {}
    kinds: dict[str, Callable[[int], dict[str, Any]]] = {
        "span of which all was seen before": lambda _: attributes(1),
        "span with a long address that is new": attributes,
        "span with a secret in it": lambda _: attributes(1) | {"http.route": "/?token=abc"},
    }
    for name, change in kinds.items():
        finished = spans(change)
        measured[name] = cost(
            lambda finished=finished: [redacted_span(span) for span in finished],
            SPANS,
            lambda: redaction.use(redaction.Policy()) and None,
        )
    events = [event() for _ in range(10)]
    measured["error event"] = cost(lambda: [scrub(each, user) for each in events], len(events))
    return measured


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    measured = figures()
    if args.json:
        print(json.dumps(measured, indent=2))
        return
    print(f"CPU for redaction, best of {ROUNDS}; the figures are 6 µs a span and 1000 µs an error event")
    for name, micros in measured.items():
        print(f"  {name:<38} {micros:8.2f} µs")


if __name__ == "__main__":
    main()
