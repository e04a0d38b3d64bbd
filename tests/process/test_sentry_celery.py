"""Errors of Celery tasks, received over a socket."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.children import environment, run

from tests.unit.sentry_receiver import Receiver, error_text


def test_failed_task_is_one_event_with_its_task_and_a_retry_is_none() -> None:
    script = Path(__file__).with_name("sentry_tasks.py")
    with Receiver() as receiver:
        done = run([sys.executable, str(script), receiver.dsn], environment(), timeout=60)
        assert done.stdout, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["answers"] == ["ValueError", "ValueError", "int", "KeyError", "ExpectedError", "str"]
        events = receiver.wait_for_events(3)
        raw = receiver.raw
    assert [error_text(event) for event in events] == [
        "ValueError: order 17 is gone",
        "ValueError: order 18 is gone",
        "KeyError: 'k'",
    ]
    first, second, said = events
    for name, event in (("broken", second), ("said", said)):
        assert event["contexts"]["trace"]["trace_id"] == told["traces"][name]
        assert event["extra"]["celery-job"]["task_name"] == name
        assert event["tags"]["celery_task_id"]
    assert first["transaction"] == "broken"
    assert [crumb["message"] for crumb in second["breadcrumbs"]["values"]] == ["crumb of broken"]
    assert "crumb of broken" not in json.dumps(said["breadcrumbs"])
    assert first["fingerprint"] == second["fingerprint"] != said["fingerprint"]
    assert [secret for secret in ("S1-", "S2-") if secret in raw] == []
    # Only what OpenTelemetry propagates travels with a message.
    names = {name for headers in told["headers"] for name in headers}
    assert [name for name in names if "sentry" in name] == []
