"""What Prometheus counted: over all processes of a service, for one environment.

A counter is read sample by sample, as `increase()` reads it but without its extrapolation: a value that falls
is a process that took the place of another, and began again at zero.
"""

from typing import Any

from storefront import ledger
from storefront.audit.spans import UNCOUNTED
from storefront.audit.stores import get
from storefront.ledger import ETL, Ledger

LABELS = ("app", "version", "environment", "instance")


def count(prometheus: str, environment: str) -> Ledger:
    """Make the books of requests, statements (by service alone) and ETL records."""
    books = Ledger()
    chosen = f'environment="{environment}"'
    for labels, value in counted(prometheus, f"http_server_request_duration_seconds_count{{{chosen}}}"):
        route = labels.get("http_route", "")
        if f"/{route.lstrip('/')}" not in UNCOUNTED:
            status = int(labels.get("http_response_status_code", 0))
            books.requests[ledger.request(labels["app"], labels["http_request_method"], route, status)] += (
                value
            )
    statements = f'{chosen}, span_kind="SPAN_KIND_CLIENT", span_name=~"(SELECT|INSERT|UPDATE|DELETE).*"'
    for labels, value in counted(prometheus, f"traces_span_metrics_calls_total{{{statements}}}"):
        books.statements[labels["app"]] += value
    _count_etl(prometheus, chosen, books)
    return books


def counted(prometheus: str, selector: str) -> list[tuple[dict[str, str], int]]:
    """Return the labels of every series of a counter, and how much it has counted within the last hours."""
    answer: Any = get(f"{prometheus}/api/v1/query", {"query": f"{selector}[6h]"})
    return [
        (series["metric"], _increase([float(value) for _, value in series["values"]]))
        for series in answer["data"]["result"]
    ]


def _increase(values: list[float]) -> int:
    before = 0.0
    total = 0.0
    for value in values:
        total += value - before if value >= before else value
        before = value
    return round(total)


def by_service(books: Ledger) -> Ledger:
    """Return the same books with statements added up for each service: span metrics know no more."""
    result = Ledger(
        books.requests, errors=books.errors, log_records=books.log_records, etl_records=books.etl_records
    )
    for key, number in books.statements.items():
        result.statements[key.split()[0]] += number
    return result


def query(prometheus: str, expression: str) -> list[tuple[dict[str, str], int]]:
    """Return the labels and the value, a whole number, of every series of an instant query."""
    answer: Any = get(f"{prometheus}/api/v1/query", {"query": expression})
    return [(series["metric"], round(float(series["value"][1]))) for series in answer["data"]["result"]]


def without_labels(prometheus: str, environment: str) -> list[dict[str, str]]:
    """Return the series of this system that lack one of the four labels, or have it empty.

    What a rule records has a colon in its name, and the labels that its sum has left.
    """
    answer: Any = get(
        f"{prometheus}/api/v1/query", {"query": f'{{app=~"storefront-.*", environment="{environment}"}}'}
    )
    named: list[dict[str, str]] = [series["metric"] for series in answer["data"]["result"]]
    found = [labels for labels in named if ":" not in labels["__name__"]]
    if not found:
        return [{"": "no series at all"}]
    return [labels for labels in found if not all(labels.get(name) for name in LABELS)]


def _count_etl(prometheus: str, chosen: str, books: Ledger) -> None:
    selected = f'{{app="{ETL}", {chosen}}}'
    for labels, value in counted(prometheus, f"kpi_etl_records_processed_total{selected}"):
        books.etl_records[f"{labels['kpi_etl_stage_type']} {labels['kpi_etl_record_status']}"] += value
    for labels, value in counted(prometheus, f"kpi_etl_validation_errors_total{selected}"):
        books.etl_records[f"rejected for {labels['error_type']}"] += value
    for _, value in counted(prometheus, f"kpi_etl_pipeline_run_duration_seconds_count{selected}"):
        books.etl_records["runs"] += value
