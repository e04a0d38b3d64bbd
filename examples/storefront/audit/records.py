"""Log records in the Collector's file: one OTLP request in JSON on each line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storefront.ledger import Ledger

COUNTED = ("storefront.", "django.request")


@dataclass(frozen=True, slots=True)
class Record:
    """One log record; `logger` is the instrumentation scope."""

    service: str
    logger: str
    body: str
    trace_id: str
    span_id: str


def read(file: Path, environment: str) -> Iterator[Record]:
    """Return the records of one environment, from the file and from those that it was rotated to."""
    for path in sorted(file.parent.glob(f"{file.stem}*{file.suffix}")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may still be in the writing
                    yield from _records(json.loads(line), environment)


def count(file: Path, environment: str) -> Ledger:
    """Make the book of log records, of the example's own loggers and Django's about failed requests."""
    books = Ledger()
    for record in read(file, environment):
        if record.logger.startswith(COUNTED):
            books.log_records[f"{record.service} {record.logger}"] += 1
    return books


def _records(request: dict[str, Any], environment: str) -> Iterator[Record]:
    for resource_logs in request["resourceLogs"]:
        resource = {each["key"]: each["value"] for each in resource_logs["resource"]["attributes"]}
        if resource.get("deployment.environment.name", {}).get("stringValue") != environment:
            continue
        for scope_logs in resource_logs["scopeLogs"]:
            for record in scope_logs["logRecords"]:
                yield Record(
                    service=resource["service.name"]["stringValue"],
                    logger=scope_logs.get("scope", {}).get("name", ""),
                    body=record.get("body", {}).get("stringValue", ""),
                    trace_id=record.get("traceId", ""),
                    span_id=record.get("spanId", ""),
                )
