"""All stores against the plan, asked again until they agree or the time is up."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from storefront.audit import records, series, spans
from storefront.audit.events import Events
from storefront.audit.stores import Addresses
from storefront.ledger import ASSISTANT, BACKOFFICE, ETL, SHOP, Ledger, differences

PAUSE = 0.5  # seconds between two questions

# Jaeger keeps no reasons of rejected records: they are in Prometheus.
SPAN_RECORDS = ("runs", "extract read", "validate valid", "validate rejected", "load written")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one store said last.

    Attributes:
        store: Its name.
        books: Which books were compared.
        found: The books as they were.
        differences: A line for each number that is not as planned.
        seconds: How long it took until the books agreed, or until the time was up.
    """

    store: str
    books: tuple[str, ...]
    found: Ledger
    differences: tuple[str, ...]
    seconds: float


def in_jaeger(addresses: Addresses, plan: Ledger, environment: str, began: float, within: float) -> Finding:
    """Requests, statements and ETL records, from spans."""

    def ask() -> Ledger:
        now = time.time()
        unique = {
            (span.trace_id, span.span_id): span
            for service in (SHOP, BACKOFFICE, ASSISTANT, ETL)
            for span in spans.search(addresses.jaeger, service, environment, began - 1, now)
        }
        return spans.count(unique.values())

    expected = Ledger(
        plan.requests,
        plan.statements,
        etl_records=type(plan.etl_records)({key: plan.etl_records[key] for key in SPAN_RECORDS}),
    )
    return _agree("Jaeger", expected, ("requests", "statements", "etl_records"), ask, within)


def in_prometheus(addresses: Addresses, plan: Ledger, environment: str, within: float) -> Finding:
    """Requests and ETL records, from the processes' own metrics; statements, from the Collector's span metrics."""
    return _agree(
        "Prometheus",
        series.by_service(plan),
        ("requests", "statements", "etl_records"),
        lambda: series.count(addresses.prometheus, environment),
        within,
    )


def in_bugsink(addresses: Addresses, plan: Ledger, environment: str, within: float) -> Finding:
    """Errors that nobody handled."""
    events = Events(addresses.bugsink_api, addresses.token(), environment)
    return _agree("Bugsink", plan, ("errors",), events.count, within)


def in_collector(addresses: Addresses, plan: Ledger, environment: str, within: float) -> Finding:
    """Log records."""
    file = Path(addresses.logs_file)
    return _agree(
        "Collector's log file", plan, ("log_records",), lambda: records.count(file, environment), within
    )


def _agree(
    store: str, expected: Ledger, books: tuple[str, ...], ask: Callable[[], Ledger], within: float
) -> Finding:
    begun = time.monotonic()
    while True:
        found = ask()
        lines = differences(expected, found, books)
        seconds = time.monotonic() - begun
        if not lines or seconds >= within:
            return Finding(store, books, found, tuple(lines), seconds)
        time.sleep(PAUSE)  # stores have no event for "arrived"; `within` ends it
