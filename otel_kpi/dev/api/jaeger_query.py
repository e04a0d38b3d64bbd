"""What is asked of Jaeger's API: both of its ways to ask for traces, as one query of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import orjson

from otel_kpi.dev.api import go_literals
from otel_kpi.dev.api.parameters import ParameterError
from otel_kpi.dev.literals import within
from otel_kpi.dev.views import TraceQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.datastructures import QueryParams

Result = TypeVar("Result")

_DEFAULT_LIMIT: Final = 100
_LOOKBACK: Final = 48 * 3_600 * 10**9
_DAY_MS: Final = 24 * 3_600 * 1_000
_MICRO, _MILLI = 10**3, 10**6


class Search(NamedTuple):
    """What to search, or which traces to get.

    Attributes:
        trace_ids: Where any are given, they are what is asked for.
        raw: As they were sent, without what Jaeger makes better of them.
    """

    query: TraceQuery
    trace_ids: tuple[str, ...] = ()
    raw: bool = False


def _read(name: str, text: str, read: Callable[[str], Result]) -> Result:
    try:
        return read(text)
    except ParameterError as error:
        raise ParameterError(f"unable to parse param '{name}': {error}") from error


def older_search(given: QueryParams, now_ns: int) -> Search:
    """The parameters of `/api/traces`: times in microseconds, durations like `1.5s`, tags as `key:value` or JSON.

    Raises:
        ParameterError: One cannot be read, or the service is missing.
    """
    asked = given.get
    start, end = asked("start"), asked("end")
    start_ns = within(_read("start", start, go_literals.integer) * _MICRO) if start else now_ns - _LOOKBACK
    end_ns = within(_read("end", end, go_literals.integer) * _MICRO) if end else now_ns
    tags = _tags(given.getlist("tag"), given.getlist("tags"))
    limit = asked("limit")
    number = go_literals.integer(limit, bits=32) if limit else _DEFAULT_LIMIT
    least, most = (
        _read(name, text, go_literals.duration) if (text := asked(name)) else 0
        for name in ("minDuration", "maxDuration")
    )
    try:
        trace_ids = tuple(go_literals.trace_id(text) for text in given.getlist("traceID"))
    except ParameterError as error:
        raise ParameterError(f"cannot parse traceID param: {error}") from error
    raw = _read("raw", text, go_literals.boolean) if (text := asked("raw")) else False
    service = asked("service")
    if not trace_ids and not service:
        raise ParameterError("parameter 'service' is required")
    if least and most and most < least:
        raise ParameterError("'maxDuration' should be greater than 'minDuration'")
    query = TraceQuery(
        service=service or None,
        operation=asked("operation") or None,
        min_duration_ns=least or None,
        max_duration_ns=most or None,
        start_ns=start_ns,
        end_ns=end_ns,
        attributes=tuple(tags.items()),
        limit=number if number > 0 else _DEFAULT_LIMIT,
    )
    return Search(query, trace_ids, raw)


def _tags(simple: Iterable[str], documents: Iterable[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in simple:
        key, colon, value = tag.partition(":")
        if not colon:
            raise ParameterError(f"malformed 'tag' parameter, expecting key:value, received: {tag}")
        tags[key] = value
    for document in documents:
        try:
            tags |= _texts(document)
        except ParameterError as error:
            raise ParameterError(f"malformed 'tags' parameter, cannot unmarshal JSON: {error}") from error
    return tags


def _texts(document: str) -> dict[str, str]:
    """A map of texts from JSON.

    Raises:
        ParameterError: It is none.
    """
    try:
        found: Any = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise ParameterError(str(error)) from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ParameterError("json: cannot unmarshal into Go value of type map[string]string")
    for value in cast("dict[str, Any]", found).values():
        if not isinstance(value, str):
            raise ParameterError("json: cannot unmarshal into Go value of type string")
    return cast("dict[str, str]", found)


def search_v3(given: QueryParams) -> Search:
    """The parameters of `/api/v3/traces` and `/api/v3/trace-summaries`, by their names of 2.13 and of later releases.

    Raises:
        ParameterError: One cannot be read, or the times are missing.
    """
    (first, start), (last, end) = _named(given, "start_time_min"), _named(given, "start_time_max")
    if not start or not end:
        raise ParameterError("query.start_time_min and query.start_time_max are required")
    start_ns, end_ns = _malformed(first, start, go_literals.time), _malformed(last, end, go_literals.time)
    limit = 0
    for name in ("search_depth", "num_traces"):
        key, text = _named(given, name)
        if text and not limit:
            limit = _malformed(key, text, lambda said: go_literals.integer(said, function="Atoi"))
    least, most = (
        _malformed(key, text, go_literals.duration) if text else 0
        for key, text in (_named(given, "duration_min"), _named(given, "duration_max"))
    )
    key, text = _named(given, "raw_traces")
    raw = _malformed(key, text, go_literals.boolean) if text else False
    key, text = _named(given, "attributes")
    attributes = _malformed(key, text, _texts) if text else {}
    query = TraceQuery(
        service=_named(given, "service_name")[1] or None,
        # Jaeger's page asks by the second name.
        operation=_named(given, "operation_name")[1] or _named(given, "span_name")[1] or None,
        min_duration_ns=least or None,
        max_duration_ns=most or None,
        start_ns=start_ns,
        end_ns=end_ns,
        attributes=tuple(attributes.items()),
        limit=limit if limit > 0 else _DEFAULT_LIMIT,
    )
    return Search(query, raw=raw)


def _named(given: QueryParams, name: str) -> tuple[str, str]:
    """A parameter by its newer name, else by its older: under which it came, and what it says."""
    head, *tail = name.split("_")
    newer = f"query.{head}{''.join(part.title() for part in tail)}"
    return (newer, text) if (text := given.get(newer)) else (f"query.{name}", given.get(f"query.{name}", ""))


def _malformed(name: str, text: str, read: Callable[[str], Result]) -> Result:
    try:
        return read(text)
    except ParameterError as error:
        raise ParameterError(f"malformed parameter {name}: {error}") from error


def raw(given: QueryParams) -> bool:
    """Whether a trace is asked for as it was sent.

    Raises:
        ParameterError: That cannot be read, nor a time that nobody needs here.
    """
    for name in ("start", "end"):
        if text := given.get(name):
            _read(name, text, go_literals.integer)
    text = given.get("raw")
    return _read("raw", text, go_literals.boolean) if text else False


def dependencies(given: QueryParams, now_ns: int) -> tuple[int, int]:
    """First and last nanosecond that `/api/dependencies` is asked for.

    Raises:
        ParameterError: One of its parameters cannot be read.
    """
    end, lookback = given.get("endTs"), given.get("lookback")
    end_ns = _read("endTs", end, go_literals.integer) * _MILLI if end else now_ns
    back = _read("lookback", lookback, go_literals.integer) if lookback else _DAY_MS
    return end_ns - back * _MILLI, end_ns
