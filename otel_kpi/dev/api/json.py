"""`/api/kpi/…`: what the pages show, for programs. Small, read-only, described at `/api/kpi/openapi.json`.

Lists go on by `before`, which each answer gives: a page stays what it was while more comes in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import Route

from otel_kpi._version import __version__
from otel_kpi.dev import literals
from otel_kpi.dev.api import answers
from otel_kpi.dev.api.parameters import Parameter, ParameterError, read
from otel_kpi.dev.api.schemas import Schemas, encoded
from otel_kpi.dev.store.reading import intake, llm, logs, metrics, pipelines, problems
from otel_kpi.dev.views import KINDS, STATUSES, TraceQuery, TraceView

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev

_PREFIX: Final = "/api/kpi"
_JSON: Final = "application/json"
_DAY_NS: Final = 86_400 * 1_000_000_000
_MOST: Final = 500


class _AbsentError(LookupError):
    """There is none of this name; the text says so."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, read.

    Attributes:
        path: Parts of the path.
        query: Parameters by name.
    """

    dev: Dev
    path: Mapping[str, str]
    query: Mapping[str, Any]

    @property
    def reader(self) -> sqlite3.Connection:
        """To the store.

        Raises:
            _AbsentError: There is none.
        """
        if self.dev.store is None:
            raise _AbsentError("another Jaeger is looked at: it has traces alone")
        return self.dev.store.reader()


@dataclass(frozen=True, slots=True)
class Operation:
    """An address that can be asked.

    Attributes:
        path: Below `/api/kpi`.
        brief: What it answers.
        answer: The dataclass that it answers with.
        respond: How.
    """

    path: str
    brief: str
    answer: type
    respond: Callable[[_Asked], Any]
    parameters: tuple[Parameter, ...] = ()


_LIMIT: Final = Parameter("limit", "integer", "How many at most.", least=1, most=_MOST, default=50)
_BEFORE: Final = Parameter("before", "integer", "To go on: what the last answer gave.")
_START: Final = Parameter("start", "time", "From this moment on.")
_END: Final = Parameter("end", "time", "Until this moment.")
_TRACE_ID: Final = Parameter("trace_id", "trace id", "Of this trace.")
_SERVICE: Final = Parameter("service", "text", "Of this service.")
_ATTRIBUTE: Final = Parameter(
    "attribute", "pairs", "Has this attribute, `key=value`; can come several times."
)


def _services(asked: _Asked) -> answers.Services:
    return answers.Services(list(asked.dev.traces.services()))


def _traces(asked: _Asked) -> answers.TracesFound:
    query = asked.query
    found = asked.dev.traces.search(
        TraceQuery(
            service=query["service"],
            operation=query["operation"],
            status=query["status"],
            kind=query["kind"],
            min_duration_ns=query["min"],
            max_duration_ns=query["max"],
            start_ns=query["start"],
            end_ns=query["end"],
            attributes=query["attribute"],
            text=query["q"] or "",
            limit=query["limit"],
            before=query["before"],
        )
    )
    before = found.traces[-1].row if found.more and found.traces else None
    return answers.TracesFound(found.traces, found.more, found.capped, before)


def _trace(asked: _Asked) -> TraceView:
    number = _TRACE_ID.value(asked.path["trace_id"])
    found = asked.dev.traces.trace(number)
    if found is None:
        raise _AbsentError(f"there is no trace {number}")
    return found


def _llm(asked: _Asked) -> answers.LlmSummary:
    end = asked.query["end"] or time.time_ns()
    start = asked.query["start"] if asked.query["start"] is not None else end - _DAY_NS
    only: dict[llm.Dimension, str] = {name: asked.query[name] for name in llm.DIMENSIONS if asked.query[name]}
    found = llm.spending(asked.reader, llm.Chosen(start, end, only), _DAY_NS)

    def shares(dimension: llm.Dimension) -> list[answers.LlmShare]:
        return [_share(each.name, each.counts) for each in found.by[dimension]]

    return answers.LlmSummary(
        start, end, _share("", found.total), shares("model"), shares("feature"), shares("tenant"),
        shares("provider"), found.dearest, found.slowest,
    )  # fmt: skip


def _share(name: str, counts: llm.Counts) -> answers.LlmShare:
    return answers.LlmShare(
        name, counts.calls, counts.errors, counts.input_tokens, counts.output_tokens, counts.cached_tokens,
        counts.untold, counts.cost, counts.unpriced, counts.duration(0.5), counts.duration(0.95),
    )  # fmt: skip


def _pipelines(asked: _Asked) -> answers.PipelineRuns:
    query = asked.query
    found, more = pipelines.runs(
        asked.reader, pipeline=query["pipeline"] or "", failed=query["failed"] == "true",
        start_ns=query["start"], before=query["before"], limit=query["limit"],
    )  # fmt: skip
    before = found[-1].span if more and found else None
    return answers.PipelineRuns(found, more, before, pipelines.under_way(asked.reader, time.time_ns()))


def _errors(asked: _Asked) -> answers.Errors:
    query = asked.query
    found, more = problems.problems(
        asked.reader,
        problems.Question(
            service=query["service"] or "", text=query["q"] or "", trace_id=query["trace"] or "",
            before=query["before"], limit=query["limit"],
        ),
    )  # fmt: skip
    return answers.Errors(found, more, f"{found[-1].last_ns}-{found[-1].id}" if more and found else None)


def _error(asked: _Asked) -> answers.ErrorFound:
    number = _row(asked.path["id"])
    found = problems.problem(asked.reader, number)
    if found is None:
        raise _AbsentError(f"there is no error {number}")
    return answers.ErrorFound(found, problems.occurrences(asked.reader, number, asked.query["limit"]))


def _instruments(asked: _Asked) -> answers.Instruments:
    return answers.Instruments(metrics.instruments(asked.reader))


def _instrument(asked: _Asked) -> answers.InstrumentFound:
    number = _row(asked.path["id"])
    found = metrics.instrument(asked.reader, number)
    if found is None:
        raise _AbsentError(f"there is no instrument {number}")
    series = metrics.series_of(
        asked.reader, number, service=asked.query["service"], most=asked.query["limit"]
    )
    return answers.InstrumentFound(found, series)


def _points(asked: _Asked) -> answers.Points:
    number, limit = _row(asked.path["id"]), asked.query["limit"]
    if asked.reader.execute("SELECT 1 FROM series WHERE id = ?", (number,)).fetchone() is None:
        raise _AbsentError(f"there is no series {number}")
    window = {"start_ns": asked.query["start"] or 0}
    if asked.query["end"] is not None:
        window["end_ns"] = asked.query["end"]
    found = metrics.points(asked.reader, number, before=asked.query["before"], limit=limit + 1, **window)
    more = len(found) > limit
    del found[limit:]
    return answers.Points(found, more, found[-1].time_ns if more else None)


def _logs(asked: _Asked) -> answers.Logs:
    query = asked.query
    found = logs.search(
        asked.reader,
        logs.LogQuery(
            text=query["q"] or "", service=query["service"], severity=query["severity"] or 0,
            trace_id=query["trace"], attributes=query["attribute"], start_ns=query["start"],
            end_ns=query["end"], before=query["before"], after=query["after"], limit=query["limit"],
        ),
    )  # fmt: skip
    return answers.Logs(found.logs, found.more, found.capped, found.before)


def _intake(asked: _Asked) -> answers.Intake:
    reader = asked.reader
    since = intake.this_minute() - asked.query["minutes"]
    return answers.Intake(
        intake.minutes(reader, since=since), intake.senders(reader), intake.kept(reader), intake.losses(reader),
        intake.cut(reader), intake.clocks(reader),
    )  # fmt: skip


def _row(text: str) -> int:
    if (number := literals.whole(text)) is None:
        raise _AbsentError(f"there is none of this number: {text[:60]!r}")
    return number


OPERATIONS: Final = (
    Operation("/services", "Services that sent spans.", answers.Services, _services),
    Operation(
        "/traces", "Traces that fit, the newest first.", answers.TracesFound, _traces,
        (
            _SERVICE, Parameter("operation", "text", "Has a span of this name."),
            Parameter("status", "choice", "Has a span of this status.", STATUSES),
            Parameter("kind", "choice", "Has a span of this kind.", KINDS),
            Parameter("min", "duration", "Lasted at least so long."), Parameter("max", "duration", "Lasted at most so long."),
            Parameter("q", "text", "Words in one of its spans."), _ATTRIBUTE, _START, _END, _LIMIT, _BEFORE,
        ),
    ),
    Operation("/traces/{trace_id}", "A trace with its spans and log records.", TraceView, _trace),
    Operation(
        "/llm", "Calls of language models: cost, tokens, duration, errors; of the last 24 hours where no time is given.",
        answers.LlmSummary, _llm,
        (_START, _END, *(Parameter(name, "text", f"Of this {name}; `-` of none.") for name in llm.DIMENSIONS)),
    ),
    Operation(
        "/pipelines", "Runs of data pipelines, those that ended last first.", answers.PipelineRuns, _pipelines,
        (
            Parameter("pipeline", "text", "Of this pipeline."),
            Parameter("failed", "choice", "Only those that failed.", ("true", "false"), default="false"),
            _START, _LIMIT, _BEFORE,
        ),
    ),
    Operation(
        "/errors", "Exceptions that are alike, those seen last first.", answers.Errors, _errors,
        (
            _SERVICE, Parameter("q", "text", "In the type, the message or the place."),
            Parameter("trace", "trace id", "Behind which this trace is."),
            Parameter("before", "place", "To go on: what the last answer gave."), _LIMIT,
        ),
    ),
    Operation(
        "/errors/{id}", "One of them, and the newest times that it happened.", answers.ErrorFound, _error,
        (Parameter("limit", "integer", "How many times at most.", least=1, most=_MOST, default=20),),
    ),
    Operation("/instruments", "All instruments.", answers.Instruments, _instruments),
    Operation(
        "/instruments/{id}", "An instrument, and its series with their newest points.", answers.InstrumentFound,
        _instrument, (_SERVICE, _LIMIT),
    ),
    Operation(
        "/series/{id}/points", "Points of a series, the newest first.", answers.Points, _points,
        (_START, _END, _LIMIT, Parameter("before", "integer", "Only points older than this time, in nanoseconds.")),
    ),
    Operation(
        "/logs", "Log records that fit, the newest first.", answers.Logs, _logs,
        (
            Parameter("q", "text", "Words in the body, in an attribute or in what its sender says of itself."), _SERVICE,
            Parameter("severity", "integer", "At least this one, by OTLP's number.", least=1, most=24),
            Parameter("trace", "trace id", "Of this trace."), _ATTRIBUTE, _START, _END, _LIMIT, _BEFORE,
            Parameter("after", "integer", "Only rows after this one."),
        ),
    ),
    Operation(
        "/intake", "What became of what was sent, and what the store has.", answers.Intake, _intake,
        (Parameter("minutes", "integer", "How far back.", least=1, most=7 * 24 * 60, default=60),),
    ),
)  # fmt: skip


def _endpoint(operation: Operation) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        try:
            query = read(operation.parameters, request.query_params)
            answer = operation.respond(_Asked(request.app.state.dev, request.path_params, query))
        except ParameterError as error:
            return _refused(HTTPStatus.BAD_REQUEST, answers.Refusal(str(error), error.parameter))
        except _AbsentError as error:
            return _refused(HTTPStatus.NOT_FOUND, answers.Refusal(str(error)))
        return Response(encoded(answer), media_type=_JSON, headers={"cache-control": "no-store"})

    return endpoint


def _refused(status: int, refusal: answers.Refusal) -> Response:
    return Response(encoded(refusal), status, media_type=_JSON)


@cache
def document() -> dict[str, Any]:
    """The API as OpenAPI 3.1."""
    schemas = Schemas()
    refusal = schemas.of(answers.Refusal)
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        parts = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
        described = [
            {"name": part, "in": "path", "required": True, "schema": {"type": "string"}} for part in parts
        ]
        content = {"application/json": {"schema": schemas.of(operation.answer)}}
        wrong = {"content": {"application/json": {"schema": refusal}}}
        paths[_PREFIX + operation.path] = {
            "get": {
                "summary": operation.brief,
                "operationId": operation.respond.__name__.strip("_"),
                "parameters": [*described, *(each.described() for each in operation.parameters)],
                "responses": {
                    "200": {"description": operation.brief, "content": content},
                    "400": {"description": "A parameter is not what it should be.", **wrong},
                    "404": {"description": "There is none of this name.", **wrong},
                },
            }
        }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "otel-kpi dev",
            "version": __version__,
            "description": "Telemetry of this machine. Times are nanoseconds since 1970, durations are nanoseconds.",
        },
        "paths": paths,
        "components": {"schemas": schemas.components},
    }


def _document(_request: Request) -> Response:
    return Response(encoded(document()), media_type=_JSON)


ROUTES: Final[list[BaseRoute]] = [
    Route(f"{_PREFIX}/openapi.json", _document),
    *(Route(_PREFIX + each.path, _endpoint(each)) for each in OPERATIONS),
]
