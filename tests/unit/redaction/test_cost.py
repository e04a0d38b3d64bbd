"""What redaction costs stays within three times its figures (benchmarks/redaction.py)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from support.pace import slowdown

from benchmarks.redaction import figures


def test_span_costs_microseconds_and_an_error_event_less_than_a_millisecond() -> None:
    measured, slower = figures(), slowdown()
    limits = dict.fromkeys(measured, 18.0) | {"error event": 3_000.0, "span with a secret in it": 48.0}
    assert {name: micros for name, micros in measured.items() if micros > limits[name] * slower} == {}
