"""Errors of a FastAPI application under uvicorn, received over a socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.unit.sentry_receiver import Receiver, error_text, trace_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "tenant=acme"}


@dataclass
class Shop:
    receiver: Receiver
    client: httpx.Client
    spans_file: Path
    process: subprocess.Popen[str]

    def spans(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.spans_file.read_text().splitlines()]

    def get(self, path: str, **headers: str) -> httpx.Response:
        # A connection of its own: uvicorn closes one after an error, now and then under the next request.
        return self.client.get(path, headers={**PARENT, "Connection": "close", **headers})


@pytest.fixture(scope="module")
def running_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    spans = tmp_path_factory.mktemp("shop") / "spans"
    spans.touch()
    script = Path(__file__).with_name("sentry_storefront.py")
    with Receiver() as receiver:
        process = subprocess.Popen(
            [sys.executable, str(script), receiver.dsn, str(spans)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                yield Shop(receiver, client, spans, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture
def shop(running_shop: Shop) -> Shop:
    """The running application, of which nothing is left from the test before."""
    # A span ends after its answer; this one ends after all that were there before.
    running_shop.get("/ready")
    deadline = time.monotonic() + 10
    while not any("GET /ready" in span["name"] for span in running_shop.spans()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running_shop.spans_file.write_text("")
    running_shop.receiver.forget()
    return running_shop


def test_unhandled_error_is_one_event_of_the_callers_trace(shop: Shop) -> None:
    assert shop.get("/unhandled").status_code == 500
    (event,) = shop.receiver.wait_for_events(1)
    assert error_text(event) == "ValueError: card declined"
    assert event["contexts"]["trace"]["trace_id"] == TRACE
    assert event["tags"]["otel.sampled"] == "true"
    assert (event["release"], event["environment"]) == ("shop@1.2.3", "test")
    assert event["transaction"] == "/unhandled"
    server = next(span for span in shop.spans() if span["name"] == "GET /unhandled")
    assert trace_of(event) == (TRACE, server["span_id"])


def test_unhandled_error_of_an_unsampled_trace_is_linked_and_says_so(shop: Shop) -> None:
    shop.get("/unhandled", traceparent=PARENT["traceparent"][:-1] + "0")
    (event,) = shop.receiver.wait_for_events(1)
    assert event["contexts"]["trace"]["trace_id"] == TRACE
    assert event["tags"]["otel.sampled"] == "false"
    assert shop.spans() == []


def test_error_is_linked_to_the_innermost_span_that_recorded_it(shop: Shop) -> None:
    shop.get("/inner")
    (event,) = shop.receiver.wait_for_events(1)
    charge = next(span for span in shop.spans() if span["name"] == "charge")
    assert trace_of(event) == (TRACE, charge["span_id"])


def test_error_that_is_logged_and_raised_in_a_thread_pool_is_one_event(shop: Shop) -> None:
    assert shop.get("/unhandled-in-thread-pool").status_code == 500
    (event,) = shop.receiver.wait_for_events(1)
    assert error_text(event) == "KeyError: 'k'"
    assert event["contexts"]["trace"]["trace_id"] == TRACE


def test_chained_exceptions_are_one_event(shop: Shop) -> None:
    shop.get("/chained")
    (event,) = shop.receiver.wait_for_events(1)
    assert [value["type"] for value in event["exception"]["values"]] == ["KeyError", "RuntimeError"]
    assert event["contexts"]["trace"]["trace_id"] == TRACE


@pytest.mark.parametrize(
    ("path", "types"),
    [
        ("/logged-cause", ["KeyError", "RuntimeError"]),
        ("/logged-member", ["KeyError", "KeyError", "KeyError", "ExceptionGroup"]),
    ],
)
def test_exception_that_is_logged_and_raised_as_another_is_one_event(
    shop: Shop, path: str, types: list[str]
) -> None:
    assert shop.get(path).status_code == 500
    (event,) = shop.receiver.wait_for_events(1)
    assert [value["type"] for value in event["exception"]["values"]] == types
    assert event["exception"]["values"][-1]["mechanism"]["handled"] is False
    assert event["contexts"]["trace"]["trace_id"] == TRACE
    told = {span["event"] for span in shop.spans()} - {None}
    assert told <= {event["event_id"]}


def test_event_leads_to_its_trace_and_the_open_span_to_its_event(shop: Shop) -> None:
    shop.get("/noted")
    (event,) = shop.receiver.wait_for_events(1)
    assert event["contexts"]["opentelemetry"]["trace_url"] == f"http://jaeger.example:16686/trace/{TRACE}"
    (open_span,) = [span for span in shop.spans() if span["event"] is not None]
    assert (open_span["span_id"], open_span["event"]) == (trace_of(event)[1], event["event_id"])


def test_calls_and_statements_of_the_request_are_breadcrumbs_without_secrets(shop: Shop) -> None:
    shop.get("/headers")
    shop.get("/calls")
    (event,) = shop.receiver.wait_for_events(1)
    crumbs = event["breadcrumbs"]["values"]
    assert [crumb["category"] for crumb in crumbs] == ["http", "query"]
    http, query = crumbs
    assert (http["data"]["method"], http["data"]["status_code"]) == ("GET", 200)
    assert http["data"]["url"].endswith("/headers?token=[redacted]&page=3")
    assert query["message"].startswith("SELECT name FROM users WHERE password=")
    assert "S22" not in query["message"]
    assert "S21" not in shop.receiver.raw
    assert "otel_kpi_trace" not in shop.receiver.raw


def test_user_is_a_hash(shop: Shop) -> None:
    shop.get("/user")
    shop.get("/unhandled")
    first, second = shop.receiver.wait_for_events(2)
    assert list(first["user"]) == ["id"]
    assert len(first["user"]["id"]) == 12
    assert "user" not in second
    assert [word for word in ("bob", "203.0.113.7") if word in shop.receiver.raw] == []


def test_answers_below_500_are_not_errors_and_a_503_is_one(shop: Shop) -> None:
    for status in (400, 401, 403, 404, 422, 503):
        assert shop.get(f"/status/{status}").status_code == status
    assert shop.get("/nowhere").status_code == 404
    (event,) = shop.receiver.wait_for_events(1)
    assert event["exception"]["values"][-1]["type"] == "HTTPException"
    assert event["contexts"]["trace"]["trace_id"] == TRACE


@pytest.mark.parametrize(
    ("path", "expected"), [("/background", "LookupError"), ("/thread", "ArithmeticError")]
)
def test_error_outside_the_endpoint_is_linked(shop: Shop, path: str, expected: str) -> None:
    shop.get(path)
    (event,) = shop.receiver.wait_for_events(1)
    assert event["exception"]["values"][-1]["type"] == expected
    assert event["contexts"]["trace"]["trace_id"] == TRACE


def test_logged_error_is_one_linked_event_and_exporters_complaints_are_none(shop: Shop) -> None:
    shop.get("/logged")
    (event,) = shop.receiver.wait_for_events(1)
    assert event["logentry"]["formatted"] == "stock is low"
    assert event["contexts"]["trace"]["trace_id"] == TRACE


def test_what_is_captured_by_hand_is_linked(shop: Shop) -> None:
    shop.get("/handled")
    error, message = shop.receiver.wait_for_events(2)
    assert error_text(error) == "ConnectionError: handled by hand"
    assert (message["message"], message["level"]) == ("a message", "warning")
    assert {error["contexts"]["trace"]["trace_id"], message["contexts"]["trace"]["trace_id"]} == {TRACE}


def test_breadcrumbs_stay_with_their_request(shop: Shop) -> None:
    for number in (1, 2, 3):
        shop.get(f"/crumb/{number}")
    events = shop.receiver.wait_for_events(3)
    crumbs = [[crumb["message"] for crumb in event["breadcrumbs"]["values"]] for event in events]
    assert crumbs == [["crumb 1"], ["crumb 2"], ["crumb 3"]]


def test_outgoing_headers_are_w3c_only(shop: Shop) -> None:
    received = shop.get("/outgoing").json()
    assert received["traceparent"].split("-")[1] == TRACE
    assert received["baggage"] == "tenant=acme"
    assert "sentry-trace" not in received


def test_sending_to_sentry_leaves_no_span(shop: Shop) -> None:
    shop.get("/unhandled")
    shop.receiver.wait_for_events(1)
    shop.get("/headers")
    assert {span["scope"] for span in shop.spans()} == {"fastapi"}


SECRETS = {
    "a": "S01-local", "b": "S02-nested", "c": "S03-address", "d": "S04-tag", "e": "S05-context", "f": "S06-extra",
    "g": "S07-crumb", "h": "S08-crumbquery", "i": "S10-logparam", "card": "4242424242424242",
}  # fmt: skip
HEADERS = {
    "Authorization": "Bearer S11-authorization",
    "Cookie": "sessionid=S12-cookie",
    "X-Api-Key": "S14-apikey",
    "X-Custom": "S15-custom",
    "X-Forwarded-For": "203.0.113.77",
}


def test_no_planted_secret_is_in_the_bytes_received(shop: Shop) -> None:
    shop.client.post("/secrets?token=S16-query&page=3", json=SECRETS, headers=HEADERS)
    shop.receiver.wait_for_events(2)
    raw = shop.receiver.raw
    planted = [*SECRETS.values(), "S09-repr", "S13-bearer-text", "S11-", "S12-", "S14-", "S15-", "S16-"]
    assert [secret for secret in planted if secret in raw] == []
    request = shop.receiver.events[-1]["request"]
    assert request["headers"]["x-forwarded-for"] == "[redacted]"
    assert not {"data", "cookies"} & set(request)
    # What helps to find the error is still there.
    assert "page=3" in raw
    assert "db.internal" in raw
    assert "retries=3" in raw


def test_hostile_values_neither_hold_up_an_event_nor_give_a_secret_away(shop: Shop) -> None:
    planted = {name: f"S{number}PLANTED" for number, name in enumerate("abcdefghijk", 31)}
    shop.client.post("/hostile", json=planted)
    (event,) = shop.receiver.wait_for_events(1)
    assert error_text(event) == "ValueError: hostile"
    raw = shop.receiver.raw
    assert [secret for secret in planted.values() if secret in raw] == []
    assert "carol@example.com" not in raw
    assert len(raw) < 300_000
    seen = [frame.get("vars", {}) for frame in event["exception"]["values"][-1]["stacktrace"]["frames"][-2:]]
    assert [sorted(variables) for variables in seen] == [
        ["binary", "broken", "cyclic", "deep", "enormous", "keyed", "lying", "passwords", "raising"],
        ["escaped", "long", "pair", "session"],
    ]
