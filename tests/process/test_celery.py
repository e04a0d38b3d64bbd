"""Celery workers as a person starts them: every task has its span, its trace and its log, however the worker ends."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("celery")

from support.children import INSTRUMENT, RUN, environment, free_port, run, running, stop
from support.receiver import Received, Receiver

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

PRODUCER, CONSUMER, CLIENT = 4, 5, 3
ERROR = 2
HERE = Path(__file__).parent
WORKER = ("celery", "-A", "celery_shop", "worker", "--loglevel=INFO", "--concurrency=2", "--without-mingle")
PUBLISH = """
import sys
from celery_shop import *
from celery import chain, chord, group
from opentelemetry import trace
with trace.get_tracer("shop").start_as_current_span("order"):
    exec(sys.argv[1])
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


class Shop:
    """A broker, and what may be done to it."""

    def __init__(self, folder: Path, receiver: Receiver, broker: str = "filesystem://") -> None:
        for name in ("queue", "results"):
            (folder / name).mkdir(exist_ok=True)
        shutil.copy(HERE / "celery_shop.py", folder)
        self.folder = folder
        self.receiver = receiver
        self.env = environment(receiver.url, SHOP_FOLDER=str(folder), SHOP_BROKER=broker)

    def publish(self, code: str, launcher: tuple[str, ...] = RUN) -> None:
        """Publish by that code, inside of a span "order"."""
        program = self.folder / "publish.py"
        program.write_text(PUBLISH)
        ended = run([*launcher, sys.executable, str(program), code], self.env, self.folder)
        assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr

    def work(
        self, results: int, *options: str, launcher: tuple[str, ...] = RUN, number: int = signal.SIGTERM
    ) -> str:
        """Run a worker until there are so many results, end it by a signal, and give what it printed."""
        with running([*launcher, *WORKER, *options], self.env, self.folder) as worker:
            self.wait_for_results(results, worker)
            output = stop(worker, number)
        # click's answer to an interrupt is 1, with us and without.
        assert worker.returncode == (1 if number == signal.SIGINT else 0), output
        return output

    def wait_for_results(self, results: int, worker: subprocess.Popen[str], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while len(list((self.folder / "results").iterdir())) < results:
            if worker.poll() is not None or time.monotonic() > deadline:
                worker.kill()
                raise AssertionError(worker.communicate()[0])
            time.sleep(0.02)

    def of_kind(self, kind: int) -> list[Received]:
        return [span for span in self.receiver.spans if span.item.kind == kind]

    def span_of(self, task: str) -> Received:
        [span] = [span for span in self.of_kind(CONSUMER) if span.item.name == f"run/celery_shop.{task}"]
        return span

    def by_id(self) -> dict[bytes, Received]:
        return {span.item.span_id: span for span in self.receiver.spans}


@pytest.fixture
def shop(tmp_path: Path, receiver: Receiver) -> Shop:
    return Shop(tmp_path, receiver)


RECYCLED = ("--max-tasks-per-child=1",)
POOLS = [
    pytest.param(RECYCLED, RUN, signal.SIGTERM, id="recycled"),
    pytest.param((), RUN, signal.SIGTERM, id="lasting", marks=pytest.mark.proof),
    pytest.param(("--pool=solo",), RUN, signal.SIGTERM, id="solo", marks=pytest.mark.proof),
    pytest.param(("--pool=threads",), RUN, signal.SIGTERM, id="threads", marks=pytest.mark.proof),
    pytest.param(("--pool=gevent",), RUN, signal.SIGTERM, id="gevent", marks=pytest.mark.proof),
    pytest.param(RECYCLED, INSTRUMENT, signal.SIGTERM, id="instrument", marks=pytest.mark.proof),
    pytest.param((), RUN, signal.SIGINT, id="interrupted", marks=pytest.mark.proof),
    pytest.param(("--pool=solo",), INSTRUMENT, signal.SIGINT, id="solo interrupted", marks=pytest.mark.proof),
]


@pytest.mark.parametrize(("options", "launcher", "number"), POOLS)
def test_every_task_has_a_consumer_span_in_the_trace_of_its_publisher_and_a_link_to_it(
    shop: Shop, options: tuple[str, ...], launcher: tuple[str, ...], number: int
) -> None:
    shop.publish("for item in range(6): pack.delay(item)", launcher)
    shop.work(6, *options, launcher=launcher, number=number)
    [order] = shop.receiver.named("order")
    published = {span.item.span_id: span for span in shop.of_kind(PRODUCER)}
    executed = shop.of_kind(CONSUMER)
    assert (len(published), len(executed)) == (6, 6)
    assert {span.item.parent_span_id for span in published.values()} == {order.item.span_id}
    assert {span.item.parent_span_id for span in executed} == published.keys()
    for span in executed:
        [link] = span.item.links
        assert link.span_id == span.item.parent_span_id
        publisher = published[link.span_id]
        assert span.item.trace_id == publisher.item.trace_id == order.item.trace_id
        task = span.attributes["messaging.message.id"]
        assert publisher.attributes["messaging.message.id"] == task
        # What was logged in it carries its ids, once: the task's own line, and Celery's about its end.
        logs = [log for log in shop.receiver.logs if log.item.span_id == span.item.span_id]
        assert sorted(log.scope for log in logs) == ["celery.app.trace", "celery_shop"]
    assert len(shop.receiver.spans) == 13, [span.item.name for span in shop.receiver.spans]
    assert sum(shop.receiver.counted("messaging.process.duration")) == 6
    assert sum(shop.receiver.counted("messaging.client.operation.duration")) == 6
    if options == RECYCLED:
        assert len({span.resource["process.pid"] for span in executed}) == 6


def test_spans_say_what_became_of_the_task(shop: Shop, receiver: Receiver) -> None:
    shop.publish(
        "fail.delay(); refuse.delay(); retry.delay(); app.send_task('celery_shop.pack', (1,), countdown=0.2)\n"
        f"work.delay('{receiver.url}/')\n"
        "chain(count.s([1, 2]), pack.si(2)).apply_async(); talk.apply_async((7,), queue='celery')"
    )
    shop.work(8)
    failed = shop.span_of("fail")
    assert failed.item.status.code == ERROR
    assert failed.attributes["error.type"] == "ValueError"
    assert failed.attributes["celery.state"] == "FAILURE"
    assert [event.name for event in failed.item.events] == ["exception"]
    refused = shop.span_of("refuse")
    assert (refused.item.status.code, list(refused.item.events)) == (0, [])

    tries = sorted(
        (span for span in shop.of_kind(CONSUMER) if span.item.name == "run/celery_shop.retry"),
        key=lambda span: span.item.start_time_unix_nano,
    )
    assert [span.attributes["celery.state"] for span in tries] == ["RETRY", "RETRY", "SUCCESS"]
    assert [span.attributes.get("celery.retries", 0) for span in tries] == [0, 1, 2]
    assert "KeyError" in tries[0].attributes["celery.retry.reason"]
    by_id = shop.by_id()
    for first, second in itertools.pairwise(tries):
        assert by_id[second.item.parent_span_id].item.parent_span_id == first.item.span_id

    delayed = [span for span in shop.of_kind(PRODUCER) if "celery.countdown" in span.attributes]
    assert [span.attributes["celery.countdown"] for span in delayed if span.item.name.endswith("pack")] == [
        0.2
    ]
    packed = [span for span in shop.of_kind(CONSUMER) if span.item.name == "run/celery_shop.pack"]
    assert len([span for span in packed if "celery.eta" in span.attributes]) == 1
    chained = [by_id[by_id[span.item.parent_span_id].item.parent_span_id].item.name for span in packed]
    assert sorted(chained) == ["order", "run/celery_shop.count"]

    work = shop.span_of("work")
    calls = [span.item.name for span in shop.of_kind(CLIENT) if span.item.parent_span_id == work.item.span_id]
    assert any("SELECT" in name for name in calls), calls
    talk = shop.span_of("talk")
    assert talk.attributes["messaging.system"] == "filesystem"
    assert talk.attributes["messaging.destination.name"] == "celery"
    assert talk.attributes["messaging.operation.type"] == "process"
    assert talk.attributes["celery.hostname"].startswith("celery@")
    bodies = [log.item.body.string_value for log in receiver.logs if log.item.span_id == talk.item.span_id]
    assert [body for body in bodies if body.endswith(" 7")] == ["task log 7", "plain log 7", "printed 7"]
    [order] = receiver.named("order")
    assert {span.item.trace_id for span in receiver.spans} == {order.item.trace_id}


@pytest.mark.proof
def test_nothing_is_added_to_the_workers_output(shop: Shop) -> None:
    """Nor taken from it: lines are compared without their times and ids."""
    outputs: list[list[str]] = []
    for launcher in ((), RUN):
        for result in (shop.folder / "results").iterdir():
            result.unlink()
        shop.publish("talk.delay(1); fail.delay(); talk.delay(2)")
        outputs.append(_comparable(shop.work(3, "--pool=solo", launcher=launcher)))
    bare, ours = outputs
    # Kombu's folder does not keep the order of what was published within a millisecond.
    assert sorted(ours) == sorted(bare)
    assert any("printed 2" in line for line in bare)


@pytest.mark.proof
def test_worker_that_logs_everything_logs_nothing_of_telemetry(shop: Shop) -> None:
    shop.publish("pack.delay(1)")
    output = shop.work(1, "--loglevel=DEBUG", *RECYCLED)
    lines = [line for line in output.splitlines() if "message" not in line and "TaskPool: Apply" not in line]
    assert not [
        line
        for line in lines
        if re.search(
            "otel|opentelemetry|signal start", line.replace(str(shop.folder), "").replace(sys.prefix, "")
        )
    ]


def _comparable(output: str) -> list[str]:
    varying = (
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(,\d{3})?|[0-9a-f]{8}-[0-9a-f-]{27}|\d+\.\d+(e-\d+)?s|0x[0-9a-f]+"
    )
    return [re.sub(varying, "#", line) for line in output.splitlines() if line.strip()]


@pytest.mark.proof
@pytest.mark.parametrize("hijack", ["0", "1"])
@pytest.mark.parametrize("options", [RECYCLED, ("--pool=threads",)], ids=["recycled", "threads"])
def test_logs_of_tasks_go_out_once_whoever_has_the_root_logger(
    shop: Shop, hijack: str, options: tuple[str, ...]
) -> None:
    shop.env["SHOP_HIJACK"] = hijack
    shop.publish("for item in range(4): talk.delay(item)")
    output = shop.work(4, *options)
    assert "detected recursive" not in output
    spans = {span.item.span_id for span in shop.of_kind(CONSUMER)}
    for text in ("task log", "plain log", "printed"):
        for item in range(4):
            [log] = [log for log in shop.receiver.logs if log.item.body.string_value == f"{text} {item}"]
            assert log.item.span_id in spans


@pytest.mark.proof
def test_members_of_a_group_over_redis_are_in_the_trace_of_their_publication(shop: Shop) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    with running(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
        environment(),
    ):
        shop.env |= {"SHOP_BROKER": f"redis://127.0.0.1:{port}/0"}
        shop.publish(
            "app.conf.result_backend\nfor item in range(3): pack.delay(item)\n"
            "group(pack.s(4), pack.s(5)).apply_async()"
        )
        shop.work(5, *RECYCLED)
    [order] = shop.receiver.named("order")
    executed = shop.of_kind(CONSUMER)
    assert len(executed) == 5
    assert {span.item.trace_id for span in executed} == {order.item.trace_id}
    assert executed[0].attributes["messaging.system"] == "redis"
    assert executed[0].attributes["server.port"] == port
    grouped = [span for span in executed if "celery.group" in span.attributes]
    assert len(grouped) == 2
    # The worker's own traffic with its broker is in no trace of the application, and makes none of its own.
    roots = [span.item.name for span in shop.receiver.spans if not span.item.parent_span_id]
    assert roots == ["order"]


@pytest.mark.proof
@pytest.mark.parametrize("task", ["sleep", "die"])
def test_task_whose_child_is_killed_has_a_span_that_says_so(shop: Shop, task: str) -> None:
    shop.publish(f"{task}.delay()")
    shop.work(1)
    [publisher] = shop.of_kind(PRODUCER)
    span = shop.span_of(task)
    assert span.item.parent_span_id == publisher.item.span_id
    assert span.item.status.code == ERROR
    assert span.attributes["error.type"].rpartition(".")[2] in {"TimeLimitExceeded", "WorkerLostError"}


@pytest.mark.proof
def test_what_beat_publishes_is_a_trace_of_its_own(shop: Shop) -> None:
    with running(
        [*RUN, "celery", "-A", "celery_shop", "beat", "--loglevel=INFO"], shop.env, shop.folder
    ) as beat:
        shop.receiver.wait_for(lambda _: len(shop.of_kind(PRODUCER)) >= 3, 20)
        stop(beat)
    published = shop.of_kind(PRODUCER)
    assert len({span.item.trace_id for span in published}) == len(published)
    # From Python 3.13 on, its file of schedules is a SQLite database.
    others = [span for span in shop.receiver.spans if "db.system.name" not in span.attributes]
    assert {span.item.name for span in others} == {"apply_async/celery_shop.pack"}


@pytest.mark.proof
def test_disabled_celery_has_no_span_and_loses_none_of_the_applications(shop: Shop) -> None:
    shop.env["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = "celery"
    shop.publish(f"work.delay('{shop.receiver.url}/')")
    shop.work(1, *RECYCLED)
    assert not shop.of_kind(PRODUCER)
    assert not shop.of_kind(CONSUMER)
    assert any("SELECT" in span.item.name for span in shop.of_kind(CLIENT))


@pytest.mark.parametrize(
    "first",
    [
        "from celery import chain",
        *(
            pytest.param(each, marks=pytest.mark.proof)
            for each in ("import celery.app.task", "import celery.result", "import celery.worker.request")
        ),
    ],
)
def test_whatever_of_celery_is_imported_first_it_is_instrumented(shop: Shop, first: str) -> None:
    state = "print(*(row.state for row in instrumentation.report() if row.name == 'celery'))"
    code = f"{first}\nfrom otel_kpi import instrumentation\n{state}"
    ended = run([*RUN, sys.executable, "-c", code], shop.env, shop.folder)
    assert (ended.stdout.strip(), ended.stderr) == ("loaded", "")
