"""What a session was, when it is over: read from the store, so that nothing is missing that was acknowledged."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TextIO

from otel_kpi.dev.terminal.lines import clean, money
from otel_kpi.dev.viewer.formats import elapsed, several

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from otel_kpi.dev.state import Dev

_SLOWEST: Final = 3
_SILENT: Final = ": the command recorded nothing."
_BEGIN: Final = ". Send OTLP to {}, or start with: otel-kpi dev -- <command>"
_ERRORS: Final = 5
_NAMES: Final = 60

_POINTS: Final = "SELECT sum(items) FROM intake WHERE signal = 'metrics' AND outcome = 'accepted'"
_NOT_KEPT: Final = (
    "SELECT sum(items) FROM intake WHERE outcome IN ('rejected', 'malformed', 'refused', 'failed')"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the store stood when the session began: its last rows, and what had come by then of what has none."""

    trace: int = 0
    span: int = 0
    log: int = 0
    occurrence: int = 0
    points: int = 0
    not_kept: int = 0


@dataclass(frozen=True, slots=True)
class Slow:
    """A trace that took long."""

    trace_id: str
    name: str
    service: str
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Exceptions that are alike."""

    type: str
    message: str
    service: str
    times: int


@dataclass(frozen=True, slots=True)
class Runs:
    """What a pipeline did; `quality` is that of its latest run that has one."""

    pipeline: str
    runs: int
    failed: int
    stages: int
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What came since the mark.

    Attributes:
        points: Points of metrics.
        not_kept: Items, and requests of which nobody knows how many they had, that were refused or malformed.
        requests: Spans of servers that answered HTTP or RPC.
        failed_requests: Those of them with status error.
        errors: Spans with status error.
        cost: What calls of language models cost, by currency.
        unpriced: Calls of language models whose price nobody knows.
    """

    services: list[str] = field(default_factory=list[str])
    traces: int = 0
    spans: int = 0
    logs: int = 0
    points: int = 0
    not_kept: int = 0
    requests: int = 0
    failed_requests: int = 0
    errors: int = 0
    slowest: list[Slow] = field(default_factory=list[Slow])
    problems: list[Problem] = field(default_factory=list[Problem])
    llm_calls: int = 0
    unpriced: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    models: dict[str, int] = field(default_factory=dict[str, int])
    pipelines: list[Runs] = field(default_factory=list[Runs])


def mark(dev: Dev) -> Mark:
    """Where the store stands now."""
    if dev.store is None:
        return Mark()
    reader = dev.store.reader()
    return Mark(
        trace=_one(reader, "SELECT max(id) FROM trace"),
        span=_one(reader, "SELECT max(id) FROM span"),
        log=_one(reader, "SELECT max(id) FROM log"),
        occurrence=_one(reader, "SELECT max(id) FROM occurrence"),
        points=_one(reader, _POINTS),
        not_kept=_one(reader, _NOT_KEPT),
    )


def session(reader: sqlite3.Connection, since: Mark) -> Session:
    """What came since the mark."""
    calls = reader.execute(
        "SELECT c.cost, c.currency, m.s, count(*) FROM llm_call c LEFT JOIN str m ON m.id = c.model"
        " WHERE c.span > ? GROUP BY 1, 2, 3",
        (since.span,),
    ).fetchall()
    server = "id > ? AND kind = 2 AND shape IN (SELECT id FROM shape WHERE keys LIKE '%\"http.%' OR keys LIKE '%\"rpc.%')"
    return Session(
        services=[
            name
            for (name,) in reader.execute(
                "SELECT name FROM service WHERE id IN (SELECT service FROM trace_service WHERE trace > ?) ORDER BY name LIMIT ?",
                (since.trace, _NAMES),
            )
        ],
        traces=_one(reader, "SELECT count(*) FROM trace WHERE id > ?", since.trace),
        spans=_one(reader, "SELECT count(*) FROM span WHERE id > ?", since.span),
        logs=_one(reader, "SELECT count(*) FROM log WHERE id > ?", since.log),
        # What is older than the store keeps is counted no more.
        points=max(0, _one(reader, _POINTS) - since.points),
        not_kept=max(0, _one(reader, _NOT_KEPT) - since.not_kept),
        requests=_one(reader, f"SELECT count(*) FROM span WHERE {server}", since.span),  # noqa: S608 - a text of our own
        failed_requests=_one(reader, f"SELECT count(*) FROM span WHERE status = 2 AND {server}", since.span),  # noqa: S608 - the same
        errors=_one(reader, "SELECT count(*) FROM span WHERE id > ? AND status = 2", since.span),
        slowest=[
            Slow(trace_id.hex(), name or "", service or "", took)
            for trace_id, name, service, took in reader.execute(
                "SELECT t.trace_id, n.s, s.name, t.end_ns - t.start_ns FROM trace t LEFT JOIN str n ON n.id = t.root_name"
                " LEFT JOIN service s ON s.id = t.root_service WHERE t.id > ? ORDER BY 4 DESC LIMIT ?",
                (since.trace, _SLOWEST),
            )
        ],
        problems=[
            Problem(*row)
            for row in reader.execute(
                "SELECT p.type, p.message, s.name, count(*) FROM occurrence o JOIN problem p ON p.id = o.problem"
                " LEFT JOIN service s ON s.id = p.service WHERE o.id > ? GROUP BY p.id ORDER BY 4 DESC LIMIT ?",
                (since.occurrence, _ERRORS),
            )
        ],
        llm_calls=sum(count for *_, count in calls),
        unpriced=sum(count for cost, *_, count in calls if cost is None),
        cost=_spent(calls),
        models=_models(calls),
        pipelines=list(_pipelines(reader, since)),
    )


def _one(reader: sqlite3.Connection, sql: str, *values: int) -> int:
    return int(reader.execute(sql, values).fetchone()[0] or 0)


def _spent(calls: list[Any]) -> dict[str, Decimal]:
    spent: dict[str, Decimal] = {}
    for cost, currency, _, count in calls:
        try:
            amount = Decimal(cost) * count
        except (InvalidOperation, TypeError):
            continue
        spent[currency] = spent.get(currency, Decimal(0)) + amount
    return spent


def _models(calls: list[Any]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for _, _, model, count in calls:
        counts[model or "unknown"] += count
    return dict(counts.most_common(_ERRORS))


def _pipelines(reader: sqlite3.Connection, since: Mark) -> Iterator[Runs]:
    stages = dict(
        reader.execute(
            "SELECT pipeline, count(*) FROM stage WHERE span > ? GROUP BY 1", (since.span,)
        ).fetchall()
    )
    # SQLite takes the columns beside a max() from the row that has it.
    for pipeline, name, runs, failed, quality, _ in reader.execute(
        "SELECT r.pipeline, n.s, count(*), sum(r.status = 2), r.quality, max(CASE WHEN r.quality IS NOT NULL THEN r.start_ns ELSE 0 END)"
        " FROM pipeline_run r LEFT JOIN str n ON n.id = r.pipeline WHERE r.span > ? GROUP BY r.pipeline ORDER BY n.s",
        (since.span,),
    ):
        yield Runs(name or "", runs, failed or 0, stages.get(pipeline, 0), quality)


def summary(
    dev: Dev, since: Mark, *, out: TextIO | None = None, as_json: bool = False, started: bool = False
) -> None:
    """Print what came since the mark: requests, the slowest, errors, spend by currency, pipelines.

    Args:
        dev: What is running; its store is still open.
        since: What `mark()` said when the session began.
        out: Where to; None is standard output.
        as_json: One line of JSON.
        started: It had a command to start.
    """
    if dev.store is None:
        return
    found = session(dev.store.reader(), since)
    stream = out or sys.stdout
    if as_json:
        stream.write(json.dumps({"summary": _jsonable(asdict(found))}, separators=(",", ":")) + "\n")
    else:
        stream.writelines(f"{line}\n" for line in lines(found, dev.address, started=started))
    stream.flush()


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def lines(found: Session, address: str, *, started: bool = False) -> Iterator[str]:
    """The summary as a person reads it; what did not happen is not mentioned, nor what to start that was started."""
    if found.not_kept:
        yield f"not kept   {found.not_kept:,}, and why: {address}/telemetry"
    if not found.spans and not found.logs and not found.points:
        if not found.not_kept:
            yield "Nothing was received" + (_SILENT if started else _BEGIN.format(address))
        return
    points = f", {several(found.points, 'metric point')}" if found.points else ""
    services = f" from {clean(', '.join(found.services), 200)}" if found.services else ""
    yield f"{several(found.traces, 'trace')}, {several(found.spans, 'span')}, {several(found.logs, 'log record')}{points}{services}"
    if found.requests:
        yield f"requests   {found.requests:,}, {found.failed_requests:,} failed"
    for number, slow in enumerate(found.slowest):
        title = "slowest" if number == 0 else ""
        yield f"{title:10} {elapsed(max(0, slow.duration_ns))} {clean(slow.name) or 'no root'} {clean(slow.service, 30)} {address}/traces/{slow.trace_id}"
    for number, problem in enumerate(found.problems):
        title = "errors" if number == 0 else ""
        yield f"{title:10} {problem.times}× {clean(problem.type)}: {clean(problem.message, 80)} ({clean(problem.service or '', 30)})"
    if found.errors and not found.problems:
        yield f"errors     {several(found.errors, 'span')}"
    if found.llm_calls:
        models = ", ".join(f"{clean(model, 40)} {count:,}" for model, count in found.models.items())
        spent = money(found.cost) if found.cost else "no price known"
        missing = f", {found.unpriced:,} without a price" if found.unpriced and found.cost else ""
        yield f"spend      {spent} for {several(found.llm_calls, 'call')}{missing}: {models}"
    for number, runs in enumerate(found.pipelines):
        title = "pipelines" if number == 0 else ""
        quality = "" if runs.quality is None else f", quality {runs.quality:g}"
        failed = f", {runs.failed:,} failed" if runs.failed else ""
        yield f"{title:10} {clean(runs.pipeline)}: {several(runs.runs, 'run')}{failed}, {several(runs.stages, 'stage')}{quality}"
