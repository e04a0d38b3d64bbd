"""What a thread does after the span that started it is a trace of its own, with a link back; Sentry changes nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


PROGRAM = """
import threading
{before}
from opentelemetry import trace
tracer = trace.get_tracer("program")
{after}
over = threading.Event()
class Upload(threading.Thread):
    def run(self):
        with tracer.start_as_current_span("at once"):
            began.set()
        over.wait(10)
        for name in ("later", "last"):
            with tracer.start_as_current_span(name):
                pass
began = threading.Event()
upload = Upload()
with tracer.start_as_current_span("request"):
    upload.start()
    began.wait(10)
over.set()
upload.join()
"""

SENTRY = """
import sentry_sdk
from sentry_sdk.integrations.threading import ThreadingIntegration
sentry_sdk.init("http://key@127.0.0.1:1/1", default_integrations=False, integrations=[ThreadingIntegration()])
"""


@pytest.mark.parametrize(("before", "after"), [("", ""), (SENTRY, ""), ("", SENTRY)])
def test_first_trace_of_a_thread_is_linked_to_the_span_that_started_it(
    tmp_path: Path, receiver: Receiver, before: str, after: str
) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format(before=before, after=after))
    ended = run([*RUN, sys.executable, str(path)], environment(receiver.url))
    assert (ended.returncode, ended.stderr) == (0, "")
    [request], [once], [later], [last] = (
        receiver.named(name) for name in ("request", "at once", "later", "last")
    )
    assert once.item.parent_span_id == request.item.span_id
    assert later.item.trace_id != request.item.trace_id
    assert later.item.parent_span_id == b""
    assert [(link.trace_id, link.span_id) for link in later.item.links] == [
        (request.item.trace_id, request.item.span_id)
    ]
    assert last.item.parent_span_id == b""
    assert not last.item.links


POOL = """
from concurrent.futures import ThreadPoolExecutor
from opentelemetry import trace
tracer = trace.get_tracer("program")
def work(name):
    with tracer.start_as_current_span(name):
        pass
with ThreadPoolExecutor(1) as pool:
    with tracer.start_as_current_span("request"):
        pool.submit(work, "task").result()
    pool.submit(work, "alone").result()
"""


@pytest.mark.parametrize("disabled", ["", "threading"])
def test_pool_works_for_who_submits_unless_threading_is_off(
    tmp_path: Path, receiver: Receiver, disabled: str
) -> None:
    path = tmp_path / "program.py"
    path.write_text(POOL)
    env = environment(receiver.url, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled)
    ended = run([*RUN, sys.executable, str(path)], env)
    assert (ended.returncode, ended.stderr) == (0, "")
    [task], [request], [alone] = (receiver.named(name) for name in ("task", "request", "alone"))
    assert (task.item.parent_span_id == request.item.span_id) is not bool(disabled)
    assert alone.item.parent_span_id == b""
    assert not alone.item.links
