"""What a channel holds is bounded, and whatever it loses is counted."""

from __future__ import annotations

import io
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_kpi.sdk.channel import Batch, Channel, Delivery, Signal
from otel_kpi.sdk.condition import DestinationCondition
from otel_kpi.sdk.exporter import ForeignExporter
from otel_kpi.sdk.metrics import MetricChannel
from otel_kpi.sdk.worker import ExportWorker

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCEPTED = Delivery("accepted")
REFUSED = Delivery("retry", "connection refused")


@dataclass
class ScriptedExporter:
    """A receiver that answers by script; the last answer holds."""

    answers: list[Delivery]
    signal: Signal = "traces"
    destination: str = "http://collector.example"
    sent: list[Any] = field(default_factory=list[Any])

    def encode(self, items: Sequence[Any]) -> Batch:
        kept = tuple(item for item in items if item != "broken")
        return Batch(kept, len(kept), len(items) - len(kept))

    def send(self, batch: Batch, deadline: float) -> Delivery:  # noqa: ARG002 - the protocol's
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer.kind == "accepted":
            self.sent += batch.payload
        return answer

    def abandon(self) -> None: ...

    def end(self) -> None: ...


def channel(
    *answers: Delivery, capacity: int = 100, batch_size: int = 10
) -> tuple[Channel, ScriptedExporter]:
    exporter = ScriptedExporter(list(answers))
    condition = DestinationCondition(exporter.destination)
    made = Channel(
        exporter, condition, capacity=capacity, batch_size=batch_size, delay=1.0, wake=lambda: None
    )
    return made, exporter


def test_what_does_not_fit_is_dropped_and_counted() -> None:
    made, exporter = channel(ACCEPTED, capacity=10)
    for number in range(15):
        made.offer(number)
    made.pump(time.monotonic(), 1.0)
    assert exporter.sent == list(range(10))
    assert (made.tally.sent, made.tally.lost) == (10, {"queue_full": 5})


def test_broken_item_costs_itself_and_not_its_batch() -> None:
    made, exporter = channel(ACCEPTED)
    for item in ("a", "broken", "b"):
        made.offer(item)
    made.pump(time.monotonic(), 1.0)
    assert exporter.sent == ["a", "b"]
    assert made.tally.lost == {"invalid": 1}


def test_failed_batch_is_sent_again_and_nothing_is_lost() -> None:
    made, exporter = channel(REFUSED, REFUSED, ACCEPTED)
    for number in range(25):
        made.offer(number)
    now = time.monotonic()
    for _ in range(3):
        made.pump(now, 1.0)
        now = made.next_due + 0.001
    assert exporter.sent == list(range(25))
    assert made.tally.lost == {}


def test_back_off_doubles_and_keeps_to_what_the_receiver_asks() -> None:
    made, _ = channel(REFUSED, REFUSED, Delivery("retry", "429", retry_after=7.0))
    made.offer(1)
    waits: list[float] = []
    now = time.monotonic()
    for _ in range(3):
        made.pump(now, 1.0)
        waits.append(made.next_due - time.monotonic())
        now = made.next_due + 0.001
    assert 0.2 <= waits[0] <= 0.5
    assert 0.45 <= waits[1] <= 1.0
    assert waits[2] == pytest.approx(7.0, abs=0.1)


def test_rejected_batch_is_lost_and_the_next_is_tried() -> None:
    made, exporter = channel(Delivery("rejected", "400 Bad Request"), ACCEPTED)
    for number in range(20):
        made.offer(number)
    made.pump(time.monotonic(), 1.0)
    assert exporter.sent == list(range(10, 20))
    assert made.tally.lost == {"rejected": 10}


def test_partial_success_counts_what_was_refused() -> None:
    made, _ = channel(Delivery("accepted", "too old", refused=3))
    for number in range(10):
        made.offer(number)
    made.pump(time.monotonic(), 1.0)
    assert (made.tally.sent, made.tally.lost) == (7, {"refused": 3})


def test_end_of_the_process_counts_what_could_not_be_sent() -> None:
    made, _ = channel(REFUSED)
    for number in range(42):
        made.offer(number)
    made.drain(time.monotonic() + 2.0, final=True)
    assert made.tally.lost == {"exit": 42}


def test_final_drain_tries_again_for_a_receiver_that_comes_back() -> None:
    made, exporter = channel(REFUSED, REFUSED, ACCEPTED)
    made.offer("late")
    made.drain(time.monotonic() + 2.0, final=True)
    assert exporter.sent == ["late"]


def test_one_line_when_a_destination_fails_and_one_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    made, _ = channel(REFUSED, REFUSED, REFUSED, ACCEPTED)
    made.offer(1)
    for _ in range(4):
        made.pump(made.next_due + 60.0, 1.0)
    made.offer(2)
    made.pump(made.next_due + 60.0, 1.0)
    assert [record.getMessage() for record in caplog.records] == [
        (
            "http://collector.example does not take telemetry (connection refused); the application goes on, "
            "what fits in the queues is sent later"
        ),
        "http://collector.example takes telemetry again; nothing was lost",
    ]


def test_two_signals_of_one_destination_fail_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    condition = DestinationCondition("http://collector.example")
    signals: tuple[Signal, ...] = ("traces", "logs")
    made = [
        Channel(
            ScriptedExporter([REFUSED, ACCEPTED], signal=signal),
            condition,
            capacity=5,
            batch_size=5,
            delay=1.0,
            wake=lambda: None,
        )
        for signal in signals
    ]
    for _ in range(2):
        for each in made:
            each.offer(1)
            each.pump(each.next_due + 60.0, 1.0)
    assert len(caplog.records) == 2


def test_same_refusal_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    made, _ = channel(Delivery("rejected", "401 Unauthorized"))
    for number in range(50):
        made.offer(number)
    made.pump(time.monotonic(), 1.0)
    assert len(caplog.records) == 1
    assert "401 Unauthorized" in caplog.text
    assert made.tally.lost == {"rejected": 50}


def test_item_waits_no_longer_than_the_delay_and_a_full_batch_not_at_all() -> None:
    exporter = ScriptedExporter([ACCEPTED])
    condition = DestinationCondition(exporter.destination)
    worker = ExportWorker(condition, 1.0)
    made = Channel(exporter, condition, capacity=100, batch_size=5, delay=30.0, wake=worker.wake)
    worker.add(made)
    worker.start()
    for number in range(5):
        made.offer(number)
    deadline = time.monotonic() + 5.0
    while len(exporter.sent) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert exporter.sent == list(range(5))
    made.offer("rest")
    assert worker.drain(time.monotonic() + 5.0, final=True)
    assert exporter.sent[-1] == "rest"


def test_receiver_that_is_back_but_refuses_is_no_longer_said_to_be_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, _ = channel(REFUSED, Delivery("rejected", "404 Not Found"))
    for number in range(30):
        made.offer(number)
    for _ in range(2):
        made.pump(made.next_due + 60.0, 1.0)
    down, refuses, up = sorted(record.getMessage() for record in caplog.records)
    assert "does not take telemetry (connection refused)" in down
    assert "refuses spans (404 Not Found)" in refuses
    assert "takes telemetry again" in up


def test_signal_that_is_refused_keeps_no_other_from_its_lines(caplog: pytest.LogCaptureFixture) -> None:
    condition = DestinationCondition("http://collector.example")

    def of(signal: Signal, *answers: Delivery) -> Channel:
        exporter = ScriptedExporter(list(answers), signal=signal)
        return Channel(exporter, condition, capacity=9, batch_size=9, delay=1.0, wake=lambda: None)

    traces, logs = of("traces", ACCEPTED), of("logs", Delivery("rejected", "404 Not Found"))
    for _ in range(5):
        for each in (traces, logs):
            each.offer(1)
            each.pump(each.next_due + 60.0, 1.0)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "refuses log records (404 Not Found)" in line
    assert (traces.tally.sent, logs.tally.lost) == (5, {"rejected": 5})


def test_child_says_itself_that_its_destination_is_down(caplog: pytest.LogCaptureFixture) -> None:
    made, _ = channel(REFUSED)
    condition = made._condition
    assert isinstance(condition, DestinationCondition)
    condition.failed(made, REFUSED)
    condition._lock.acquire()  # as a thread of the parent may have done at the fork
    condition.forget()
    made.forget()
    condition.failed(made, REFUSED)
    assert len(caplog.records) == 2


def delta_channel(*answers: Delivery) -> tuple[MetricChannel, ScriptedExporter]:
    exporter = ScriptedExporter(list(answers), signal="metrics")
    condition = DestinationCondition(exporter.destination)
    made = MetricChannel(exporter, condition, interval=1.0, cumulative=False, wake=lambda: None)
    collected = iter(range(100))
    made.collect = lambda _: made.offer(next(collected))
    return made, exporter


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_no_delta_is_skipped_however_the_receiver_did_before_the_end(failures: int) -> None:
    """A delta that is not sent is in no later collection."""
    made, exporter = delta_channel(*[REFUSED] * failures, ACCEPTED)
    made.pump(time.monotonic(), 1.0)
    assert made.drain(time.monotonic() + 2.0, final=True)
    assert exporter.sent == list(range(2))
    assert made.tally.lost == {}


def test_thread_that_never_stops_keeps_no_other_signal_waiting_at_the_end() -> None:
    made, exporter = channel(ACCEPTED)
    send = exporter.send

    def send_while_more_comes(batch: Batch, deadline: float) -> Delivery:
        made.offer("more")
        return send(batch, deadline)

    exporter.send = send_while_more_comes  # pyright: ignore[reportAttributeAccessIssue]
    for number in range(15):
        made.offer(number)
    assert made.drain(time.monotonic() + 5.0, final=True)
    assert set(range(15)) <= set(exporter.sent)
    assert made.waiting() <= 2


def test_encoder_that_cannot_be_loaded_now_loses_nothing() -> None:
    """It is imported with the first batch, when there may be no file left to open."""
    made, exporter = channel(ACCEPTED)
    encode = exporter.encode
    errors: list[Exception] = [OSError(24, "Too many open files")]

    def encode_later(items: Sequence[Any]) -> Batch:
        if errors:
            raise errors.pop()
        return encode(items)

    exporter.encode = encode_later  # pyright: ignore[reportAttributeAccessIssue]
    for number in range(3):
        made.offer(number)
    with pytest.raises(OSError, match="Too many open files"):
        made.pump(time.monotonic(), 1.0)
    made.pump(time.monotonic(), 1.0)
    assert exporter.sent == [0, 1, 2]


def test_flush_says_whether_the_receiver_took_it() -> None:
    made, _ = channel(REFUSED, ACCEPTED)
    made.offer(1)
    assert not made.drain(time.monotonic() + 1.0, final=False)
    assert made.drain(time.monotonic() + 1.0, final=False)


class HoldingExporter(SpanExporter):
    """Keeps what it is given until it is shut down, as an exporter to a file or an archive may."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.written: list[Any] = []
        self.shutdowns = 0

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        self.held += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.shutdowns += 1
        self.written += self.held


def test_exporter_of_somebody_else_is_shut_down_once_after_its_last_batch() -> None:
    holding = HoldingExporter()
    exporter = ForeignExporter("traces", holding, "exporter holding")
    condition = DestinationCondition(exporter.destination)
    worker = ExportWorker(condition, 1.0)
    made = Channel(exporter, condition, capacity=100, batch_size=5, delay=30.0, wake=worker.wake)
    worker.add(made)
    worker.start()
    made.offer("last")
    for _ in range(2):
        assert worker.drain(time.monotonic() + 5.0, final=True)
    assert (holding.written, holding.shutdowns) == (["last"], 1)


def test_exporter_of_somebody_else_is_given_log_records_as_upstream_gives_them() -> None:
    written = io.StringIO()
    exporter = ForeignExporter("logs", ConsoleLogRecordExporter(out=written), "exporter console")
    record = ReadWriteLogRecord(LogRecord(body="sold"))
    delivery = exporter.send(exporter.encode([record]), time.monotonic() + 1.0)
    assert (delivery.kind, json.loads(written.getvalue())["body"]) == ("accepted", "sold")


def test_metrics_that_nobody_collected_at_the_end_are_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, _ = delta_channel(ACCEPTED)
    condition = DestinationCondition("http://collector.example")
    made.collect = lambda _timeout: None
    made.forfeit()  # what the worker does when the time of the process is over before its thread has answered
    made.forfeit()
    condition.ended([made])
    condition.ended([made])
    assert made.tally.lost == {"last_collection": 1}
    assert caplog.text.count("there was no time to collect its metrics once more") == 1


def test_metrics_that_were_collected_at_the_end_are_not_lost() -> None:
    made, _ = delta_channel(ACCEPTED)
    made.collect = lambda _timeout: None
    assert made.drain(time.monotonic() + 1.0, final=True)
    made.forfeit()
    assert made.tally.lost == {}
