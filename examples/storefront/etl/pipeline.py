"""The four stages: read the file, refuse what is wrong, convert, write to the shop's database."""

import logging
from collections import Counter
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, insert

from storefront.etl import feed, telemetry
from storefront.etl.feed import Row
from storefront.shop.models import SupplierPrice

BATCH = 200  # rows in one INSERT

log = logging.getLogger("storefront.etl")


def run(path: Path, engine: Engine, run_id: str) -> int:
    """Import one feed; return how many records were written. Two log records, and one for each rejected row."""
    with telemetry.run(run_id) as span:
        log.info("run started", extra={"event.name": "kpi.etl.run.start", "kpi.etl.run.id": run_id})
        rows = extract(path)
        valid = validate(rows)
        prices = transform(valid, run_id)
        load(prices, engine)
        rejected = len(rows) - len(valid)
        telemetry.volume(span, read=len(rows), written=len(prices), rejected=rejected)
        telemetry.quality.set(100 * len(valid) / len(rows), {"model_name": telemetry.MODEL_NAME})
        log.info("run ended: %d read, %d written, %d rejected", len(rows), len(prices), rejected)
    return len(prices)


def extract(path: Path) -> list[Row]:
    with telemetry.stage("extract") as span:
        rows = feed.read(path)
        telemetry.volume(span, read=len(rows), written=len(rows))
        telemetry.processed("extract", {"read": len(rows)})
    return rows


def validate(rows: list[Row]) -> list[Row]:
    with telemetry.stage("validate") as span:
        valid: list[Row] = []
        reasons: Counter[str] = Counter()
        for row in rows:
            if (reason := feed.fault(row)) is None:
                valid.append(row)
                continue
            reasons[reason] += 1
            log.warning(
                "%s rejected: %s",
                row.sku,
                reason,
                extra={"event.name": "kpi.etl.check.result", "test.case.result.status": "fail"},
            )
        telemetry.volume(span, read=len(rows), written=len(valid), rejected=reasons.total())
        telemetry.processed("validate", {"valid": len(valid), "rejected": reasons.total()})
        for reason, count in reasons.items():
            telemetry.validation_errors.add(count, {"model_name": telemetry.MODEL_NAME, "error.type": reason})
    return valid


def transform(rows: list[Row], run_id: str) -> list[dict[str, object]]:
    with telemetry.stage("transform") as span:
        prices: list[dict[str, object]] = [
            {"run_id": run_id, "sku": row.sku, "cents": int(Decimal(row.price) * 100)} for row in rows
        ]
        telemetry.volume(span, read=len(rows), written=len(prices))
    return prices


def load(prices: list[dict[str, object]], engine: Engine) -> None:
    """One INSERT for each 200 rows, in one transaction."""
    with telemetry.stage("load") as span, engine.begin() as connection:
        for first in range(0, len(prices), BATCH):
            connection.execute(insert(SupplierPrice), prices[first : first + BATCH])
        telemetry.volume(span, read=len(prices), written=len(prices))
        telemetry.processed("load", {"written": len(prices)})
