"""One Sentry event: linked to its span, counted once, scrubbed."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_kpi.sentry import links as _sentry_events
from otel_kpi.sentry.links import link, scrub, scrubber, stamp
from otel_kpi.redaction import REDACTED

if TYPE_CHECKING:
    from otel_kpi.sentry.links import Event

tracer = TracerProvider().get_tracer("test")


class SlottedError(Exception):
    __slots__ = ("code",)


class ClosedError(Exception):
    @property
    def __dict__(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        raise AttributeError


def hint(error: BaseException) -> dict[str, Any]:
    return {"exc_info": (type(error), error, None)}


def trace_id(event: Event | None) -> str:
    assert event is not None
    return event["contexts"]["trace"]["trace_id"]


def hexadecimal(span: Any) -> str:
    return f"{span.get_span_context().trace_id:032x}"


def test_exception_with_slots_is_linked_and_still_pickles() -> None:
    error = SlottedError("x")
    span = tracer.start_span("s")
    stamp(span, error)
    assert trace_id(link({}, hint(error))) == hexadecimal(span)
    assert pickle.loads(pickle.dumps(error)).args == ("x",)


def test_exception_that_takes_no_stamp_harms_nothing() -> None:
    before = _sentry_events.unlinked.total()
    error = ClosedError()
    span = tracer.start_span("s")
    stamp(span, error)
    assert _sentry_events.unlinked.total() == before + 1
    assert link({}, hint(error)) == {}


def test_innermost_span_of_a_trace_stays_and_another_trace_replaces_it() -> None:
    error = ValueError()
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner") as inner:
        stamp(inner, error)
        stamp(outer, error)
    event = link({}, hint(error))
    assert event is not None
    assert event["contexts"]["trace"]["span_id"] == f"{inner.get_span_context().span_id:016x}"
    other = tracer.start_span("another request")
    stamp(other, error)
    assert trace_id(link({}, hint(error))) == hexadecimal(other)


def test_exception_is_linked_by_its_cause() -> None:
    cause = ValueError()
    span = tracer.start_span("s")
    stamp(span, cause)
    error = RuntimeError()
    error.__cause__ = cause
    assert trace_id(link({}, hint(error))) == hexadecimal(span)


def test_same_exception_is_sent_once_for_a_trace() -> None:
    error = ValueError()
    stamp(tracer.start_span("s"), error)
    assert link({}, hint(error)) is not None
    assert link({}, hint(error)) is None


def test_event_of_an_unsampled_span_says_so() -> None:
    unsampled = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    with unsampled.start_as_current_span("s"):
        event = link({"tags": {"a": "b"}}, {})
    assert event is not None
    assert event["tags"] == {"a": "b", "otel.sampled": "false"}


def test_event_outside_a_span_and_a_transaction_stay_as_they_are() -> None:
    assert link({"message": "m"}, None) == {"message": "m"}
    transaction: Event = {"type": "transaction", "contexts": {"trace": {"trace_id": "1"}}}
    with tracer.start_as_current_span("s"):
        assert link(transaction, None) is transaction
        assert transaction == {"type": "transaction", "contexts": {"trace": {"trace_id": "1"}}}


def test_request_keeps_known_headers_and_loses_body_and_cookies() -> None:
    event = scrub({
        "request": {
            "url": "https://bob:pw@shop/x",
            "query_string": "token=S1&page=2",
            "headers": {"Accept": "*/*", "X-Custom": "S2", "Referer": "https://a/?password=S3"},
            "cookies": {"a": "S4"},
            "data": {"b": "S5"},
        }
    })  # fmt: skip
    assert event["request"] == {
        "url": "https://[redacted]@shop/x",
        "query_string": "token=[redacted]&page=2",
        "headers": {"Accept": "*/*", "X-Custom": REDACTED, "Referer": "https://a/?password=[redacted]"},
    }


def test_argument_of_a_log_line_goes_when_the_line_shows_a_secret() -> None:
    event = scrub({"logentry": {"message": "password=%s", "params": ["S1"], "formatted": "password=S1"}})
    assert "S1" not in repr(event)
    clean = {"logentry": {"message": "n=%s", "params": ["1"], "formatted": "n=1"}}
    assert scrub(clean) == clean


def test_ids_and_versions_stay_and_an_empty_release_goes() -> None:
    event: Event = {"event_id": "0" * 32, "modules": {"tokenize-rt": "6"}, "sdk": {"name": "x"}}
    assert scrub({**event, "release": ""}) == event


def test_applications_before_send_runs_first_and_may_drop() -> None:
    def add(event: Event, _: dict[str, Any]) -> Event | None:
        return None if event.get("drop") else {**event, "extra": {"password": "S1"}}

    before_send = scrubber(add)
    assert before_send({}, {}) == {"extra": {"password": REDACTED}}
    assert before_send({"drop": True}, {}) is None
