"""Spans as Jaeger's API returns them, and what can be counted on them."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from storefront import ledger
from storefront.audit.stores import get
from storefront.ledger import ASSISTANT, BACKOFFICE, ETL, SHOP, Ledger

PAGE = 1000  # traces in one answer: Jaeger silently leaves out what is beyond the limit
SHORTEST = 1000  # microseconds: a window that cannot be halved any more
ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
RUN_ID = "kpi.etl.run.id"
UNCOUNTED = {"/health", "/health/"}


@dataclass(frozen=True, slots=True)
class Span:
    """One span. `parent` and `links` are pairs of trace id and span id; `start` is in microseconds."""

    trace_id: str
    span_id: str
    parent: tuple[str, str] | None
    links: tuple[tuple[str, str], ...]
    name: str
    start: int
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])

    @property
    def kind(self) -> str:
        return str(self.attributes.get("span.kind", "internal"))

    @property
    def request(self) -> str | None:
        """The key in the book of requests; None unless this is the server's side of a counted request."""
        route = str(self.attributes.get("http.route", ""))
        if self.kind != "server" or "http.request.method" not in self.attributes or _uncounted(route):
            return None
        status = int(self.attributes.get("http.response.status_code", 0))
        return ledger.request(self.service, self.attributes["http.request.method"], route, status)

    @property
    def is_statement(self) -> bool:
        """Whether this is a statement that reads or writes rows."""
        text = str(self.attributes.get("db.query.text", self.attributes.get("db.statement", "")))
        return self.kind == "client" and text.lstrip().upper().startswith(ROWS)


def search(jaeger: str, service: str, environment: str, begin: float, end: float) -> list[Span]:
    """Return every span of the traces that this service took part in, between two times in seconds.

    A window with as many traces as an answer holds is halved until no answer is cut off.
    """
    found: dict[tuple[str, str], Span] = {}
    windows = [(int(begin * 1e6), int(end * 1e6))]
    while windows:
        first, last = windows.pop()
        parameters: dict[str, str | int] = {"service": service, "start": first, "end": last, "limit": PAGE}
        traces = get(f"{jaeger}/api/traces", parameters)["data"]
        if len(traces) >= PAGE and last - first > SHORTEST:
            middle = (first + last) // 2
            windows += [(first, middle), (middle + 1, last)]
            continue
        found.update({(s.trace_id, s.span_id): s for trace in traces for s in read(trace)})
    return [s for s in found.values() if s.resource.get("deployment.environment.name") == environment]


def of_trace(jaeger: str, trace_id: str) -> list[Span]:
    """Return the spans of one trace, in the order of their starts."""
    return sorted(read(get(f"{jaeger}/api/traces/{trace_id}")["data"][0]), key=lambda span: span.start)


def of_run(jaeger: str, run_id: str, begin: float) -> list[Span]:
    """Return the spans that carry a run's id, found by Jaeger's own search for an attribute."""
    parameters: dict[str, str | int] = {
        "service": ETL,
        "tags": json.dumps({RUN_ID: run_id}),
        "start": int(begin * 1e6),
        "end": int(time.time() * 1e6),
        "limit": PAGE,
    }
    traces = get(f"{jaeger}/api/traces", parameters)["data"]
    return [span for trace in traces for span in read(trace) if span.attributes.get(RUN_ID) == run_id]


def read(trace: dict[str, Any]) -> list[Span]:
    """Read one trace of Jaeger's JSON."""
    resources = {
        name: {"service.name": process["serviceName"], **_attributes(process["tags"])}
        for name, process in trace["processes"].items()
    }
    return [_read_span(span, resources[span["processID"]]) for span in trace["spans"]]


def count(spans: Iterable[Span]) -> Ledger:
    """Make the books of requests, statements and ETL records."""
    spans = list(spans)
    entries = {span.trace_id: entry for span in spans if (entry := _entry(span))}
    books = Ledger()
    for span in spans:
        if span.service in (SHOP, BACKOFFICE, ASSISTANT) and (key := span.request):
            books.requests[key] += 1
        # What a service does when it starts belongs to nobody's request.
        if span.is_statement and span.trace_id in entries:
            books.statements[ledger.statement(span.service, entries[span.trace_id])] += 1
        if span.service == ETL:
            books.etl_records.update(_etl_records(span))
    return books


def _entry(span: Span) -> str | None:
    """What began the trace: a request of the shop, or a run."""
    if span.service == SHOP:
        return span.request
    return span.name if span.service == ETL and span.kind == "server" else None


def _etl_records(span: Span) -> Counter[str]:
    number = {
        name: int(span.attributes.get(f"kpi.etl.records.{name}", 0))
        for name in ("read", "written", "rejected")
    }
    match span.attributes.get("kpi.etl.stage.name"):
        case "extract":
            return Counter({"extract read": number["read"]})
        case "validate":
            return Counter({"validate valid": number["written"], "validate rejected": number["rejected"]})
        case "load":
            return Counter({"load written": number["written"]})
        case _:
            return Counter({"runs": 1} if span.kind == "server" else {})


def _read_span(span: dict[str, Any], resource: dict[str, Any]) -> Span:
    parents: list[tuple[str, str]] = []
    links: list[tuple[str, str]] = []
    for reference in span["references"]:
        # A link inside the same trace would look like a parent of the other type; this system has none.
        (parents if reference["refType"] == "CHILD_OF" else links).append(
            (reference["traceID"], reference["spanID"])
        )
    return Span(
        trace_id=span["traceID"],
        span_id=span["spanID"],
        parent=parents[0] if parents else None,
        links=tuple(links),
        name=span["operationName"],
        start=span["startTime"],
        attributes=_attributes(span["tags"]),
        resource=resource,
    )


def _attributes(tags: list[dict[str, Any]]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in tags}


def _uncounted(route: str) -> bool:
    return f"/{route.lstrip('/')}" in UNCOUNTED
