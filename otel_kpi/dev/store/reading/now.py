"""What is happening now: the last minutes of requests, errors, spend and stages, from the newest rows alone.

However much arrives, no more than the newest rows are looked at. Where they do not reach back far enough, the time that
they do cover is what is said, so a rate is never too low.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from otel_kpi.dev.store.reading import llm
from otel_kpi.dev.telemetry import ERROR, SERVER

if TYPE_CHECKING:
    import sqlite3
    from decimal import Decimal

SPANS: Final = 30_000
"""Of the newest that are looked at."""
COLUMNS: Final = 60
RECENT_SECONDS: Final = 60
_SECOND: Final = 1_000_000_000


@dataclass(slots=True)
class ServiceNow:
    """What a service did.

    Attributes:
        requests: That it answered, as spans of kind server.
        spans: Of any kind.
        p95_ns: Of its requests; None where it answered none.
        rates: Requests by column of time; None is before what is known.
        last_ns: End of its newest span.
    """

    name: str
    spans: int = 0
    requests: int = 0
    errors: int = 0
    p95_ns: float | None = None
    last_ns: int = 0
    rates: list[int] = field(default_factory=lambda: [0] * COLUMNS)


@dataclass(frozen=True, slots=True)
class StageNow:
    """What a stage of a pipeline did."""

    pipeline: str
    stage: str
    runs: int
    errors: int
    last_ns: int
    mean_ns: float


@dataclass(slots=True)
class Now:
    """The last minutes.

    Attributes:
        start_ns: From when on it is known; later than asked where more came than is looked at.
        requests: By column of time; None is before what is known.
        errors: The same: requests that failed.
        models: What each language model was asked for, the dearest first.
        recent_columns: How many of the columns are the last minute.
    """

    start_ns: int
    end_ns: int
    services: list[ServiceNow]
    requests: list[int | None]
    errors: list[int | None]
    models: list[llm.Share]
    stages: list[StageNow]
    recent_columns: int = COLUMNS

    @property
    def seconds(self) -> float:
        """How long it is."""
        return max(1e-9, (self.end_ns - self.start_ns) / _SECOND)

    @property
    def recent_seconds(self) -> float:
        """The last minute, or as much of it as is known."""
        return min(float(RECENT_SECONDS), self.seconds)

    @property
    def rate(self) -> float | None:
        """Requests a second in the last minute; None where nothing answered a request for longer."""
        if not any(each.requests for each in self.services):
            return None
        return sum(self.recent(each) for each in self.services) / self.recent_seconds

    def recent(self, service: ServiceNow) -> int:
        """Requests that a service answered in the last minute."""
        return sum(service.rates[-self.recent_columns :])

    @property
    def failed(self) -> float | None:
        """Share of the requests that failed."""
        requests = sum(each.requests for each in self.services)
        return sum(each.errors for each in self.services) / requests if requests else None

    @property
    def cost(self) -> dict[str, Decimal]:
        """Of language models, by currency."""
        total = llm.Counts()
        for model in self.models:
            total.add(model.counts)
        return total.cost

    @property
    def calls(self) -> int:
        """Of language models."""
        return sum(each.counts.calls for each in self.models)


def now(reader: sqlite3.Connection, *, end_ns: int, minutes: int = 5) -> Now:
    """What happened in the last minutes.

    Args:
        reader: To the store.
        end_ns: The present.
        minutes: How far back.
    """
    start = end_ns - minutes * 60 * _SECOND
    newest = reader.execute("SELECT max(id) FROM span").fetchone()[0] or 0
    covered = start
    if newest > SPANS:
        # Rows are in the order of arrival: what is older than the first that is looked at is not known.
        oldest = reader.execute(
            "SELECT start_ns + dur_ns FROM span WHERE id > ? ORDER BY id LIMIT 1", (newest - SPANS,)
        ).fetchone()
        covered = max(start, min(oldest[0], end_ns - _SECOND)) if oldest else start
    step = (end_ns - start) // COLUMNS
    services, failed = _services(reader, newest - SPANS, covered, start, end_ns, step)
    first = (covered - start) // step
    requests: list[int | None] = [
        None if at < first else sum(one.rates[at] for one in services) for at in range(COLUMNS)
    ]
    errors: list[int | None] = [None if at < first else failed[at] for at in range(COLUMNS)]
    return Now(
        covered,
        end_ns,
        services,
        requests,
        errors,
        llm.shares(reader, llm.Chosen(start, end_ns + 1), "model"),
        _stages(reader, start, end_ns),
        max(1, COLUMNS // minutes),
    )


def _services(  # noqa: PLR0913, PLR0917 - the window, as rows and as times
    reader: sqlite3.Connection, after: int, covered: int, start: int, end: int, step: int
) -> tuple[list[ServiceNow], list[int]]:
    """The services, and by column the requests that failed."""
    found: dict[int, ServiceNow] = {}
    durations: dict[int, list[int]] = {}
    failed = [0] * COLUMNS
    # Counted by the database: a row for each span would be waited for one by one while others come.
    for number, name, column, spans, last, requests, errors, times in reader.execute(
        "SELECT service.id, service.name, min((start_ns + dur_ns - ?) / ?, ?), count(*), max(start_ns + dur_ns),"
        " sum(kind = ?), sum(kind = ? AND status = ?), group_concat(CASE WHEN kind = ? THEN dur_ns END)"
        " FROM span JOIN service ON service.id = span.service"
        " WHERE span.id > ? AND start_ns + dur_ns BETWEEN ? AND ? GROUP BY 1, 3",
        (start, step, COLUMNS - 1, SERVER, SERVER, ERROR, SERVER, after, covered, end),
    ):
        service = found.setdefault(number, ServiceNow(name))
        service.spans += spans
        service.last_ns = max(service.last_ns, last)
        service.requests += requests
        service.errors += errors
        service.rates[column] = requests
        failed[column] += errors
        if times:
            durations.setdefault(number, []).extend(orjson.loads(f"[{times}]"))
    for number, values in durations.items():
        found[number].p95_ns = statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]
    return sorted(found.values(), key=lambda each: (-each.requests, -each.spans, each.name)), failed


def _stages(reader: sqlite3.Connection, start: int, end: int) -> list[StageNow]:
    rows = reader.execute(
        """
        SELECT coalesce(pipeline.s, ''), coalesce(name.s, ''), count(*), sum(stage.status = 2),
            max(stage.start_ns + stage.dur_ns), avg(stage.dur_ns)
        FROM stage LEFT JOIN str pipeline ON pipeline.id = stage.pipeline LEFT JOIN str name ON name.id = stage.stage
        WHERE stage.start_ns BETWEEN ? AND ? GROUP BY 1, 2 ORDER BY 5 DESC LIMIT 50
        """,
        (start, end),
    )
    return [StageNow(*row) for row in rows]
