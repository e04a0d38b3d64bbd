"""The ETL processor: read a feed, refuse what is wrong, convert, store. Observed with `otel_kpi.etl`."""

import contextlib
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Literal

from kpi_system import feeds
from kpi_system.feeds import Record
from otel_kpi import etl

BATCH = 50
"""Records that are checked, and written, at once."""
BYTES = 24
"""Of a row in the table."""


def is_bad(good: list[Record], batch: list[Record]) -> bool:
    """Return whether a batch has failed: a fifth of it or more is invalid."""
    return len(good) <= 0.8 * len(batch)


class Processor:
    """Refreshes one model at a time into a SQLite file."""

    def __init__(self, database: Path) -> None:
        self._database = database
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS facts (model TEXT, number INTEGER, cents INTEGER)")

    def is_there(self) -> bool:
        """Return whether the table can be read: what the server's health depends on."""
        with contextlib.closing(sqlite3.connect(self._database)) as connection:
            connection.execute("SELECT 1 FROM facts LIMIT 1").fetchall()
        return True

    def refresh(self, model: str, *, trigger: Literal["event", "schedule"] = "event") -> float:
        """Read a model's feed into the table; return the quality score.

        Args:
            model: The KPI model.
            trigger: What asks for it.

        Raises:
            ValueError: The feed cannot be converted.
        """
        outputs = [f"sqlite://{self._database.name}/facts"]
        with etl.run(model, trigger=trigger, inputs=[f"feed://{model}"], outputs=outputs) as run:
            records = self._extract(model)
            valid = self._validate(records)
            rows = self._transform(model, valid)
            self._store(model, rows)
            score = 100 * len(valid) / len(records)
            run.quality_score(score)
            run.freshness(feeds.NEWEST)
        return score

    @etl.stage("extract")
    def _extract(self, model: str) -> list[Record]:
        feed = feeds.text(model)
        records = feeds.parse(feed)
        etl.read(len(records), bytes=len(feed))
        return records

    def _validate(self, records: list[Record]) -> list[Record]:
        valid: list[Record] = []
        with etl.batches(records, size=BATCH, stage="validate") as batches:
            for batch in batches:
                reasons = Counter(found for each in batch if (found := feeds.fault(each)))
                good = [each for each in batch if not feeds.fault(each)]
                batches.count(valid=len(good), invalid=reasons.total())
                batches.errors(reasons)
                if is_bad(good, batch):
                    batches.failed("too_many_invalid")
                valid += good
        return valid

    @etl.stage("transform")
    def _transform(self, model: str, records: list[Record]) -> list[tuple[str, int, int]]:
        if model == feeds.CORRUPT:
            raise ValueError("the feed has columns that nobody knows")
        rows = [(model, each.number, round(each.amount * 100)) for each in records]
        etl.data_points(len(rows) * feeds.COLUMNS)
        return rows

    @etl.stage("store")
    def _store(self, model: str, rows: list[tuple[str, int, int]]) -> None:
        if model == "sales":
            etl.retried("database_locked")  # scripted: the first attempt always meets a lock
        with contextlib.closing(sqlite3.connect(self._database, timeout=30)) as connection, connection:
            connection.execute("DELETE FROM facts WHERE model = ?", (model,))
            for first in range(0, len(rows), BATCH):
                connection.executemany("INSERT INTO facts VALUES (?, ?, ?)", rows[first : first + BATCH])
        etl.written(len(rows), bytes=len(rows) * BYTES)
