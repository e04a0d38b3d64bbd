"""Errors of Celery tasks, received over a socket."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from support.children import RUN, environment, run, running, stop
from support.receiver import Receiver as Otlp

from tests.unit.sentry_receiver import Receiver, error_text, trace_of


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


@pytest.mark.proof
def test_failures_in_recycled_children_of_a_real_worker_arrive_once(tmp_path: Path) -> None:
    for name in ("queue", "results", "control"):
        (tmp_path / name).mkdir()
    shutil.copy(Path(__file__).with_name("celery_shop.py"), tmp_path)
    publish = "from celery_shop import *; [fail.delay() for _ in range(3)]; refuse.delay(); pack.delay(1)"
    worker = ["celery", "-A", "celery_shop", "worker", "--loglevel=INFO", "--concurrency=2", "--without-mingle",
              "--max-tasks-per-child=1"]  # fmt: skip
    with Receiver() as receiver, Otlp() as otlp:
        variables = environment(
            otlp.url, SENTRY_DSN=receiver.dsn, SHOP_FOLDER=str(tmp_path), SHOP_BROKER="filesystem://"
        )
        published = run([*RUN, sys.executable, "-c", publish], variables, tmp_path)
        assert published.returncode == 0, published.stderr
        with running([*RUN, *worker], variables, tmp_path) as process:
            receiver.wait(lambda r: len(r.events) >= 3, 40)
            otlp.wait_for(lambda r: len(r.named("run/celery_shop.pack")) == 1, 20)
            stop(process)
        events = receiver.wait_for_events(3)
        assert {error_text(event) for event in events} == {"ValueError: no stock"}
        assert len({event["fingerprint"][2] for event in events}) == 1
        spans = {trace_of(event) for event in events}
        told = {(s.item.trace_id.hex(), s.item.span_id.hex()) for s in otlp.named("run/celery_shop.fail")}
        assert spans == told
        assert {s.attributes["sentry.event_id"] for s in otlp.named("run/celery_shop.fail")} == {
            event["event_id"] for event in events
        }
