"""Errors of a Starlette and of a plain ASGI application, started as people start them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.children import RUN, environment, free_port, get, running, stop
from support.receiver import Receiver as Otlp

from tests.unit.sentry_receiver import Receiver, error_text


@pytest.mark.parametrize(("name", "prefix"), [("app", "/rooms/7"), ("plain", "")])
def test_unhandled_error_is_one_event_of_its_trace(name: str, prefix: str) -> None:
    port = free_port()
    server = [
        sys.executable,
        "-m",
        "uvicorn",
        f"sentry_gallery:{name}",
        "--port",
        str(port),
        "--log-level",
        "info",
    ]
    with Receiver() as receiver, Otlp() as otlp:
        variables = environment(otlp.url, SENTRY_DSN=receiver.dsn)
        with running([*RUN, *server], variables, Path(__file__).parent) as process:
            assert get(f"http://127.0.0.1:{port}{prefix}/broken") == 500
            if name == "app":
                assert get(f"http://127.0.0.1:{port}{prefix}/missing") == 404
            (event,) = receiver.wait_for_events(1)
            stop(process)
        otlp.wait_for(lambda r: any(s.item.kind == 2 for s in r.spans))
        (server_span,) = [
            s for s in otlp.spans if s.item.kind == 2 and s.attributes.get("http.response.status_code") != 404
        ]
    assert error_text(event) == "ValueError: the frame is broken"
    assert event["contexts"]["trace"]["trace_id"] == server_span.item.trace_id.hex()
