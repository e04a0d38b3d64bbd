"""Errors of a Flask application, received over a socket."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.children import environment, run

from tests.unit.sentry_receiver import Receiver, error_text


def test_unhandled_errors_of_flask_are_one_event_each_and_answers_below_500_are_none() -> None:
    script = Path(__file__).with_name("sentry_desk.py")
    with Receiver() as receiver:
        done = run([sys.executable, str(script), receiver.dsn], environment())
        told = json.loads(done.stdout)
        assert told["answers"] == [400, 401, 404, 429, 500, 500, 500]
        first, second, said = receiver.wait_for_events(3)
        raw = receiver.raw
    assert error_text(first) == "ValueError: order 1 is gone, 1"
    for number, event in (("1", first), ("2", second)):
        assert event["contexts"]["trace"]["trace_id"] == told["traces"][number]
        assert [crumb["message"] for crumb in event["breadcrumbs"]["values"]] == [f"crumb of {number}"]
    assert first["fingerprint"] == second["fingerprint"]
    assert [value["type"] for value in said["exception"]["values"]] == ["KeyError", "RuntimeError"]
    assert [secret for secret in ("S1-", "S2-") if secret in raw] == []
