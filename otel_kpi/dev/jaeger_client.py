"""A Jaeger elsewhere, read by its HTTP API: what `otel-kpi view --jaeger URL` shows.

A list is made of summaries where Jaeger has them, as later releases than 2.13 do
(https://github.com/jaegertracing/jaeger/issues/8606). Else it is of whole traces, so an answer is bounded: by the older
API where a service is named, since it knows attributes; without one by v3, since the older one wants a service. So is
what Jaeger cannot be asked (free text, a status of a span without error), which is looked for in what it has sent.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote, unquote, urlencode, urlsplit, urlunsplit

import orjson
import urllib3

from otel_kpi.dev import jaeger_answers
from otel_kpi.dev.store import terms
from otel_kpi.dev.store.reading.search import says
from otel_kpi.dev.views import KINDS, Dependency, Found
from otel_kpi.dev.wire.values import json_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from otel_kpi.dev.views import SpanKind, SpanView, TraceQuery, TraceSummary, TraceView

_Read = TypeVar("_Read")

LOOKBACK_NS: Final = 7 * 86_400 * 10**9
"""How far a search looks back that names no start; Jaeger cannot be asked for all that it has."""
_MOST_BYTES: Final = 128 * 2**20
_MOST_TRACES: Final = 200
_EVER: Final = 2**63 - 1
_OK: Final = 200
_UNAUTHORIZED: Final = (401, 403)
_NOT_FOUND: Final = 404
_FAILED: Final = 500
_ELSEWHERE: Final = "Look at the port and, where Jaeger stands behind a proxy, at the path before /api."
_KIND_OF_SPAN: Final = "span.kind"


class JaegerError(Exception):
    """Jaeger cannot be asked, or has refused; the text is for the person who looks at the page.

    Args:
        message: What it is.
        advice: What that person can do.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class JaegerTraces:
    """Traces of a Jaeger.

    Args:
        url: Where its query service listens, with its base path: `http://localhost:16686`; with a name and a password
            before the host where a proxy asks for them.
        seconds: How long an answer may take.

    Raises:
        JaegerError: The URL is none.
    """

    def __init__(self, url: str, *, seconds: float = 10.0) -> None:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:  # brackets that do not match, a port that is none
            parts, usable = urlsplit(""), False
        if not usable:
            raise JaegerError(f"{url} is not an address of a Jaeger: http://HOST:16686 is")
        account, at, host = parts.netloc.rpartition("@")
        self.url = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        """Without a password: it is shown."""
        self._has_summaries = True
        self._seconds = seconds
        self._pool = urllib3.PoolManager(
            headers=urllib3.make_headers(basic_auth=unquote(account)) if at else None,
            timeout=urllib3.Timeout(seconds),
            retries=urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=3),
            maxsize=8,
            block=False,
        )

    def services(self) -> Sequence[str]:
        """Names of the services, sorted."""
        return self._ask("/api/services", lambda answer: sorted(map(str, answer.get("data") or ())))

    def operations(self, service: str, kind: SpanKind | None = None) -> Sequence[tuple[str, SpanKind]]:
        """Names and kinds of the spans of a service, sorted; some of Jaeger's storages do not know kinds."""
        return self._ask(
            "/api/operations",
            lambda answer: sorted(
                {(str(each["name"]), _kind(each.get("spanKind", ""))) for each in answer.get("data") or ()}
            ),
            service=service,
            spanKind=kind or "",
        )

    def search(self, query: TraceQuery) -> Found:
        """The newest traces that fit, by their start: Jaeger does not tell when they came."""
        end_ns = time.time_ns() if query.end_ns is None else query.end_ns
        if query.before is not None:
            end_ns = min(end_ns, query.before - 1)
        start_ns = max(0, end_ns - LOOKBACK_NS) if query.start_ns is None else query.start_ns
        limit = min(query.limit, _MOST_TRACES)
        if self._has_summaries and not (query.attributes or query.status or query.kind or query.text):
            with suppress(_NotThisAPIError):
                return _newest(self._summaries(query, start_ns, end_ns, limit + 1), query, limit)
            self._has_summaries = False
        meant = _meant(query)
        found = self._found(query, meant, start_ns, end_ns, limit + 1)
        fitting = [trace for trace in found if trace.spans and _fits(trace, query)]
        if meant and query.service and not fitting:
            # Some storages have a span's kind and status as tags; in the memory of 2.13 none is found by them.
            found = self._found(query, {}, start_ns, end_ns, limit + 1)
            fitting = [trace for trace in found if trace.spans and _fits(trace, query)]
        # What Jaeger was not asked for it has counted towards the limit: there may be more that fits.
        capped = len(fitting) < len(found) and len(found) > limit
        return _newest(map(jaeger_answers.summary, fitting), query, limit, capped=capped)

    def trace(self, trace_id: str) -> TraceView | None:
        """A trace; None of one that is not there."""
        path = quote(trace_id, safe="")
        with suppress(_NotThisAPIError):
            traces = self._ask(f"/api/v3/traces/{path}", _v3, missing={"result": {}})
            return next(
                (trace for trace in traces if trace.trace_id.rjust(32, "0") == trace_id.rjust(32, "0")), None
            )
        return next(iter(self._ask(f"/api/traces/{path}", _older, missing={"data": []})), None)

    def dependencies(self, start_ns: int, end_ns: int) -> Sequence[Dependency]:
        """Who calls whom."""
        end, lookback = -(-end_ns // 10**6), -(-(end_ns - start_ns) // 10**6)
        return self._ask(
            "/api/dependencies",
            lambda answer: [
                Dependency(str(each["parent"]), str(each["child"]), int(each["callCount"]))
                for each in answer.get("data") or ()
            ],
            endTs=end,
            lookback=lookback,
        )

    def _summaries(self, query: TraceQuery, start_ns: int, end_ns: int, limit: int) -> Sequence[TraceSummary]:
        return self._ask(
            "/api/v3/trace-summaries",
            lambda answer: list(map(jaeger_answers.told_summary, answer["summaries"])),
            missing={"summaries": []},
            **_asked_v3(query, start_ns, end_ns, limit),
        )

    def _found(
        self, query: TraceQuery, meant: Mapping[str, str], start_ns: int, end_ns: int, limit: int
    ) -> list[TraceView]:
        tags = {**dict(query.attributes), **meant}
        if query.service:
            durations = _durations(query)
            return self._ask(
                "/api/traces",
                _older,
                service=query.service,
                operation=query.operation or "",
                start=start_ns // 1_000,
                end=end_ns // 1_000,
                limit=limit,
                tags=orjson.dumps(tags).decode() if tags else "",
                minDuration=durations.get("min", ""),
                maxDuration=durations.get("max", ""),
            )
        # An operation without its service is one of no service to some storages: `_fits` looks for it.
        everything = replace(query, operation=None)
        return self._ask(
            "/api/v3/traces", _v3, missing={"result": {}}, **_asked_v3(everything, start_ns, end_ns, limit)
        )

    def _ask(
        self,
        path: str,
        read: Callable[[Mapping[str, Any]], _Read],
        *,
        missing: Mapping[str, Any] | None = None,
        **parameters: str | int,
    ) -> _Read:
        """What Jaeger answers, as `read` understands it; `missing` where it says that there is no such thing.

        Raises:
            JaegerError: It cannot be reached, refuses, answers too much, or is none.
        """
        given = urlencode({key: value for key, value in parameters.items() if value != ""})
        address = f"{self.url}{path}{'?' if given else ''}{given}"
        try:
            response = self._pool.request("GET", address, preload_content=False)
            body = response.read(_MOST_BYTES + 1, decode_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if len(body) > _MOST_BYTES:
            response.close()
            raise JaegerError(
                f"Jaeger at {self.url} answers more than {_MOST_BYTES >> 20} MiB",
                "Ask for one service, for less time, or for a longer duration.",
            )
        response.release_conn()
        answer = self._answer(path, response.status, body, missing)
        try:
            return read(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _NotThisAPIError(
                f"{self.url}{path} is no API of a Jaeger: it answers something else", _ELSEWHERE
            ) from error

    def _unreachable(self, error: urllib3.exceptions.HTTPError) -> JaegerError:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            return JaegerError(
                f"Jaeger at {self.url} does not answer within {self._seconds:g} s",
                "Ask for one service or for less time; if it is always so, look at how its storage does.",
            )
        return JaegerError(
            f"Jaeger at {self.url} is not reachable: {_said(reason)}",
            "Is it running, and is this the port of its query service (16686, where nobody has changed it)?",
        )

    def _answer(
        self, path: str, status: int, body: bytes, missing: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        try:
            document: Any = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        answer = cast("dict[str, Any]", document) if isinstance(document, dict) else None
        if status in _UNAUTHORIZED:
            raise JaegerError(
                f"Jaeger at {self.url} answers {status}: it asks who you are",
                "Start again with a name and a password in the address: http://NAME:PASSWORD@HOST.",
            )
        if status >= _FAILED or (answer is not None and status not in {_OK, _NOT_FOUND}):
            raise JaegerError(
                f"Jaeger at {self.url} answers {status}: {_message(answer or {})}",
                "Its own log has more; what is asked for here is asked anew with each page.",
            )
        if answer is None:
            # Jaeger answers what it does not know with its page; so does whatever else listens there.
            raise _NotThisAPIError(
                f"{self.url}{path} is no API of a Jaeger: it answers {status} and no JSON", _ELSEWHERE
            )
        if status == _NOT_FOUND and missing is None:
            raise JaegerError(f"Jaeger at {self.url} answers {status}: {_message(answer)}")
        return answer if status == _OK or missing is None else missing


class _NotThisAPIError(JaegerError):
    """What answers is no Jaeger, or one that has another API."""


def _newest(
    summaries: Iterable[TraceSummary], query: TraceQuery, limit: int, *, capped: bool = False
) -> Found:
    ordered = sorted(summaries, key=lambda each: -each.row)
    if query.before is not None:
        ordered = [each for each in ordered if each.row < query.before]
    # The next page begins before the last row: of two that began at once, as microseconds tell it, both are on this one.
    last = limit + (len(ordered) > limit and ordered[limit].row == ordered[limit - 1].row)
    return Found(ordered[:last], more=len(ordered) > limit, capped=capped)


def _v3(answer: Mapping[str, Any]) -> list[TraceView]:
    return jaeger_answers.trace_views(answer["result"])


def _older(answer: Mapping[str, Any]) -> list[TraceView]:
    return [jaeger_answers.older_trace_view(each) for each in answer.get("data") or ()]


def _durations(query: TraceQuery) -> dict[str, str]:
    limits = (("min", query.min_duration_ns), ("max", query.max_duration_ns))
    return {name: f"{value}ns" for name, value in limits if value}


def _asked_v3(query: TraceQuery, start_ns: int, end_ns: int, limit: int) -> dict[str, str | int]:
    return {
        "query.service_name": query.service or "",
        "query.operation_name": query.operation or "",
        "query.start_time_min": _written(start_ns),
        "query.start_time_max": _written(end_ns),
        "query.num_traces": limit,
        **{f"query.duration_{name}": value for name, value in _durations(query).items()},
    }


def _said(reason: object) -> str:
    # urllib3 begins with its own connection, of which nobody knows anything.
    return str(reason).rpartition(": ")[2] or str(reason)


def _message(answer: Mapping[str, Any]) -> str:
    errors: Any = answer.get("errors")
    said: list[Any] = [*(cast("list[Any]", errors) if isinstance(errors, list) else ()), answer.get("error")]
    told = [cast("dict[str, Any]", each) for each in said if isinstance(each, dict)]
    texts = [each.get("msg") or each.get("message") for each in told]
    return "; ".join(str(text) for text in texts if text) or "it does not say why"


def _kind(said: str) -> SpanKind:
    return KINDS[KINDS.index(said)] if said in KINDS else "unspecified"


def _meant(query: TraceQuery) -> dict[str, str]:
    """What is a tag to Jaeger, and no attribute."""
    tags: dict[str, str] = {}
    if query.status == "error":
        tags["error"] = "true"
    elif query.status == "ok":
        tags["otel.status_code"] = "OK"
    if query.kind:
        tags[_KIND_OF_SPAN] = query.kind
    return tags


def _written(time_ns: int) -> str:
    """A time of RFC 3339 with nanoseconds."""
    seconds, nanoseconds = divmod(time_ns, 10**9)
    return (
        f"{datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}Z"
    )


def _fits(trace: TraceView, query: TraceQuery) -> bool:
    """One span has all that is asked: Jaeger's storages differ in whether they see to that."""
    if not (query.service or query.operation or query.kind or query.status or query.attributes or query.text):
        return True
    words = terms.wanted(query.text)
    if query.text.strip() and not words:  # a text without a word in it is nowhere
        return False
    return any(_span_fits(span, query, words) for span in trace.spans)


def _span_fits(span: SpanView, query: TraceQuery, words: Collection[str]) -> bool:
    asked = (
        (query.service, span.service),
        (query.operation, span.name),
        (query.kind, span.kind),
        (query.status, span.status),
    )
    if any(wanted and wanted != has for wanted, has in asked):
        return False
    most = query.max_duration_ns
    if query.service and not (query.min_duration_ns or 0) <= span.duration_ns <= (
        _EVER if most is None else most
    ):
        return False
    held = [span.attributes, span.resource, *(event.attributes for event in span.events)]
    for key, wanted in query.attributes:
        if not (
            _model_has(span, key, wanted) or any(key in each and says(each[key], wanted) for each in held)
        ):
            return False
    if not words:
        return True
    happened = json_of([{event.name: dict(event.attributes)} for event in span.events])
    said = terms.folded(f"{span.name} {span.status_message} {json_of(dict(span.attributes))} {happened}")
    return all(word in said for word in words)


def _model_has(span: SpanView, key: str, wanted: str) -> bool:
    """What is a tag to Jaeger, and a field to OpenTelemetry."""
    fields = {
        "error": "true" if span.status == "error" else "",
        "otel.status_code": span.status.upper(),
        "otel.status_description": span.status_message,
        "otel.scope.name": span.scope,
        "otel.scope.version": span.scope_version,
        _KIND_OF_SPAN: span.kind,
    }
    return fields.get(key) == wanted
