"""A thread works for the span that started it while that is open; what it does later is a trace of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context, trace

from otel_kpi.instrumentation import report
from otel_kpi.sdk.lent_context import LentContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

pytestmark = pytest.mark.usefixtures("captured")


def tracer() -> trace.Tracer:
    return trace.get_tracer("test")


def work(name: str = "work") -> None:
    with tracer().start_as_current_span(name):
        pass


def by_name(captured: Captured, name: str) -> ReadableSpan:
    [found] = [span for span in captured.spans() if span.name == name]
    return found


def is_child(captured: Captured, child: str, parent: str) -> bool:
    """Whether one span is the child of another; a root otherwise."""
    span, over = by_name(captured, child), by_name(captured, parent)
    assert span.context
    assert over.context
    if span.parent is None:
        assert span.context.trace_id != over.context.trace_id
        return False
    return span.parent.span_id == over.context.span_id


class Worker(threading.Thread):
    """A thread that lives on and works for whoever brings something, as a consumer or a scheduler."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.done = threading.Semaphore(0)

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            job()
            self.done.release()

    def do(self, job: Callable[[], None]) -> None:
        self.jobs.put(job)
        assert self.done.acquire(timeout=10)

    def stop(self) -> None:
        self.jobs.put(None)
        self.join(10)


def test_row_is_loaded() -> None:
    assert [row.state for row in report() if row.name == "threading"] == ["loaded"]


# --- threads


def test_work_of_a_thread_is_a_child_of_the_span_that_started_it(captured: Captured) -> None:
    with tracer().start_as_current_span("request"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert is_child(captured, "work", "request")


def test_subclass_with_a_run_of_its_own_works_for_the_span_too(captured: Captured) -> None:
    worker = Worker()
    with tracer().start_as_current_span("request"):
        worker.start()
        worker.do(work)
    worker.stop()
    assert is_child(captured, "work", "request")


def test_timer_works_for_the_span_that_started_it_while_that_is_open(captured: Captured) -> None:
    with tracer().start_as_current_span("request"):
        early = threading.Timer(0.01, work, ["early"])
        early.start()
        early.join()
        late = threading.Timer(0.05, work, ["late"])
        late.start()
    late.join()
    assert is_child(captured, "early", "request")
    assert not is_child(captured, "late", "request")


def test_thread_that_lives_on_puts_no_later_span_in_the_trace_of_the_request_that_started_it(
    captured: Captured,
) -> None:
    worker = Worker()
    with tracer().start_as_current_span("first request"):
        token = context.attach(baggage.set_baggage("user", "anna"))
        worker.start()
        worker.do(lambda: work("first"))
        context.detach(token)
    seen: list[Any] = []
    with tracer().start_as_current_span("second request"):
        worker.do(lambda: work("second"))
        worker.do(lambda: seen.append((baggage.get_all(), trace.get_current_span(), context.get_current())))
    worker.do(lambda: work("third"))
    worker.stop()
    assert is_child(captured, "first", "first request")
    for name in ("second", "third"):
        assert by_name(captured, name).parent is None
    assert len({span.context.trace_id for span in captured.spans() if span.context}) == 4
    assert seen == [({}, trace.INVALID_SPAN, {})]


def test_span_that_the_thread_opened_itself_goes_on_past_the_end_of_the_request(captured: Captured) -> None:
    worker = Worker()
    opened: list[Any] = []
    with tracer().start_as_current_span("request"):
        worker.start()
        worker.do(lambda: opened.append(tracer().start_as_current_span("upload")) or opened[0].__enter__())
    worker.do(work)
    worker.do(lambda: opened[0].__exit__(None, None, None))
    worker.do(lambda: work("later"))
    worker.stop()
    assert is_child(captured, "upload", "request")
    assert is_child(captured, "work", "upload")
    assert by_name(captured, "later").parent is None


def test_thread_of_a_thread_works_for_the_same_span(captured: Captured) -> None:
    def start_another() -> None:
        inner = threading.Thread(target=work)
        inner.start()
        inner.join()

    worker = Worker()
    with tracer().start_as_current_span("request"):
        worker.start()
        worker.do(start_another)
    worker.do(start_another)
    worker.stop()
    children = [span for span in captured.spans() if span.name == "work"]
    assert [span.parent is None for span in children] == [False, True]


def test_thread_that_nobody_lends_anything_is_untouched() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    assert "run" not in vars(thread)
    thread.join()


def test_thread_keeps_neither_itself_nor_the_span_that_started_it_alive(captured: Captured) -> None:
    worker = Worker()
    with tracer().start_as_current_span("request") as span:
        worker.start()
        ended = weakref.ref(span)
    del span
    captured.span_exporter.clear()
    worker.do(lambda: work("after"))
    captured.span_exporter.clear()
    gc.collect()
    assert ended() is None
    with tracer().start_as_current_span("request"):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    gc.disable()
    try:
        gone = weakref.ref(thread)
        del thread
        assert gone() is None
    finally:
        gc.enable()
    worker.stop()


def test_error_of_start_is_the_applications_and_leaves_nothing_behind() -> None:
    thread = threading.Thread(target=lambda: None)
    with tracer().start_as_current_span("request"):
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            thread.start()
    assert "run" not in vars(thread)


def test_exception_of_a_thread_is_reported_as_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: seen.append((args.exc_type, args.thread)))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType] - as the standard library has it
    thread = threading.Thread(target=lambda: 1 / 0)
    with tracer().start_as_current_span("request"):
        thread.start()
        thread.join()
    assert seen == [(ZeroDivisionError, thread)]


def test_unsampled_request_stays_unsampled_in_its_threads(captured: Captured) -> None:
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
    with trace.use_span(unsampled):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert captured.spans() == []


# --- pools


def test_task_is_a_child_of_the_span_that_submitted_it_and_the_pools_thread_of_none(
    captured: Captured,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with tracer().start_as_current_span("first request"):
            pool.submit(work, "first").result()
        with tracer().start_as_current_span("second request"):
            pool.submit(work, "second").result()
        pool.submit(work, "third").result()
    assert is_child(captured, "first", "first request")
    assert is_child(captured, "second", "second request")
    assert by_name(captured, "third").parent is None


def test_task_that_begins_when_its_request_was_answered_is_in_its_trace(captured: Captured) -> None:
    go = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with tracer().start_as_current_span("request"):
            pool.submit(go.wait, 10)
            queued = pool.submit(work)
        go.set()
        queued.result()
    assert is_child(captured, "work", "request")


def test_map_lends_to_each_task(captured: Captured) -> None:
    with ThreadPoolExecutor(2) as pool, tracer().start_as_current_span("request"):
        list(pool.map(work, ["a", "b", "c"]))
    assert all(is_child(captured, name, "request") for name in ("a", "b", "c"))


def test_loop_that_is_submitted_for_good_does_not_work_for_the_request_for_ever(captured: Captured) -> None:
    with tracer().start_as_current_span("request") as span:
        lent = LentContext(context.get_current(), grace=0.05)
    token = context.attach(lent)
    try:
        work("soon")
        while lent.is_open():
            time.sleep(0.01)  # a grace has no event that tells its end
        work("later")
    finally:
        context.detach(token)
    assert is_child(captured, "soon", "request")
    assert by_name(captured, "later").parent is None
    assert lent.take_origin() == span.get_span_context()
    assert lent.take_origin() is None


def test_result_exception_and_arguments_of_a_task_are_the_applications() -> None:
    def task(*args: Any, **kwargs: Any) -> Any:
        if not args:
            raise ValueError(kwargs)
        return args, kwargs

    with ThreadPoolExecutor(1) as pool, tracer().start_as_current_span("request"):
        assert pool.submit(task, 1, a=2).result() == ((1,), {"a": 2})
        with pytest.raises(ValueError, match="'fn': 3"):
            pool.submit(task, fn=3).result()
        with pytest.raises(TypeError):
            pool.submit()  # pyright: ignore[reportCallIssue] - wrong on purpose


def test_asyncio_carries_the_context_into_its_threads(captured: Captured) -> None:
    async def main() -> None:
        with tracer().start_as_current_span("request"):
            await asyncio.to_thread(work, "to_thread")
            await asyncio.get_running_loop().run_in_executor(None, work, "executor")
        await asyncio.to_thread(work, "alone")

    asyncio.run(main())
    assert is_child(captured, "to_thread", "request")
    assert is_child(captured, "executor", "request")
    assert by_name(captured, "alone").parent is None


def test_threads_of_starlette_and_django_work_for_their_own_request(captured: Captured) -> None:
    import anyio
    import anyio.to_thread
    from asgiref.sync import sync_to_async

    async def main() -> None:
        for name in ("first", "second"):
            with tracer().start_as_current_span(f"{name} request"):
                await anyio.to_thread.run_sync(work, f"{name} anyio")
                await sync_to_async(work)(f"{name} asgiref")

    anyio.run(main)
    for name in ("first", "second"):
        assert is_child(captured, f"{name} anyio", f"{name} request")
        assert is_child(captured, f"{name} asgiref", f"{name} request")
