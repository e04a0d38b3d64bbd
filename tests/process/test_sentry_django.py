"""Errors of a Django project, received over a socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.sentry_receiver import Receiver


def test_unhandled_errors_of_django_are_linked_and_answers_below_500_are_none() -> None:
    script = Path(__file__).with_name("sentry_backoffice.py")
    with Receiver() as receiver:
        done = subprocess.run(
            [sys.executable, str(script), receiver.dsn],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        told = json.loads(done.stdout)
        assert told["statuses"] == [500, 404, 403, 400, 404, 500]
        broken, other = receiver.wait_for_events(2)
        raw = receiver.raw
    assert broken["exception"]["values"][-1]["type"] == "ValueError"
    assert broken["contexts"]["trace"]["trace_id"] == told["traces"]["broken"]
    assert broken["transaction"] == "/broken"
    assert other["contexts"]["trace"]["trace_id"] == told["traces"]["broken-too"]
    assert [crumb["message"] for crumb in other["breadcrumbs"]["values"]] == ["crumb of broken-too"]
    assert [secret for secret in ("S1-", "S2-", "S3-", "S4-") if secret in raw] == []
