"""A header of one's own may be a key under any name: only known ones leave, wherever an event has them."""

from __future__ import annotations

from typing import Any

import pytest

from otel_kpi.redaction import REDACTED
from otel_kpi.sentry import headers
from otel_kpi.sentry.scrubbing import redact, scrub

ASGI = [["b'host'", "b'shop'"], ["b'x-custom'", "b'planted'"], ["b'X-Request-Id'", "b'17'"]]


def event(variables: Any) -> dict[str, Any]:
    frame = {"function": "buy", "filename": "shop.py", "in_app": True, "vars": variables}
    return {
        "exception": {"values": [{"type": "ValueError", "value": "no", "stacktrace": {"frames": [frame]}}]}
    }


def variables_of(sent: dict[str, Any]) -> Any:
    return sent["exception"]["values"][0]["stacktrace"]["frames"][0]["vars"]


@pytest.mark.parametrize(
    "variables",
    [
        {"request": {"type": "'http'", "headers": ASGI, "method": "'POST'"}},  # uvicorn with httptools
        {"scope": {"method": "'POST'", "headers": [["x-custom", "planted"]]}},
        {"headers": {"host": "'shop'", "x-custom": "'planted'"}},
        {"self": {"_request_headers": {"X-Custom": "planted"}}},
        {"environ": {"HTTP_X_CUSTOM": "'planted'", "HTTP_HOST": "'shop'"}},
        {"headers": "EnvironHeaders([('X-Custom', 'planted')])"},
        {"calls": [{"headers": ["planted"]}, {"raw_headers": [["x-custom", ["planted"]]]}]},
    ],
)
def test_headers_of_ones_own_are_withheld_from_local_variables(variables: Any) -> None:
    sent = variables_of(scrub(event(variables), lambda user: user))
    assert "planted" not in str(sent)
    assert REDACTED in str(sent)


def test_known_headers_and_other_variables_stay() -> None:
    sent = variables_of(
        scrub(event({"scope": {"headers": ASGI, "path": "'/buy'"}, "count": "3"}), lambda user: user)
    )
    assert sent["scope"]["headers"] == [
        ["b'host'", "b'shop'"],
        ["b'x-custom'", REDACTED],
        ["b'X-Request-Id'", "b'17'"],
    ]
    assert (sent["scope"]["path"], sent["count"]) == ("'/buy'", "3")


def test_what_has_no_headers_is_the_same_object() -> None:
    variables = {"count": 3, "rows": [{"name": "a"}], 7: None, "headers": None}
    assert headers.known_in(variables) is variables


def test_a_client_of_the_applications_keeps_what_that_sends() -> None:
    sent = variables_of(redact(event({"headers": {"x-custom": "mine", "authorization": "Bearer planted"}})))
    assert sent["headers"] == {"x-custom": "mine", "authorization": REDACTED}
