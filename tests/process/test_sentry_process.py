"""What Sentry does to a process: nothing without a DSN, little with one, and the same after a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import pytest

from tests.unit.sentry_receiver import Receiver, error_text


def run(code: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, **environment},
    )


def test_without_a_dsn_nothing_of_sentry_is_imported() -> None:
    done = run("""
        import sys
        from otel_kpi import sentry
        sentry.start(dsn="", release=None, environment=None)
        assert sentry.capture_exception(ValueError()) is None
        assert sentry.capture_message("x") is None
        sentry.add_breadcrumb("x")
        sentry.flush(1.0)
        print([name for name in sys.modules if name.startswith("sentry_sdk")])
    """)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_start_imports_no_framework_that_the_application_has_not_imported() -> None:
    done = run("""
        import sys
        from otel_kpi import sentry
        sentry.start(dsn="http://public@127.0.0.1:9/7", release=None, environment=None)
        frameworks = {"django", "fastapi", "starlette", "flask", "sqlalchemy", "httpx", "celery", "jinja2"}
        print(sorted(frameworks & set(sys.modules)))
        import fastapi
        import sentry_sdk
        print(sorted({"django", "jinja2", "sqlalchemy"} & set(sys.modules)))
        print(sorted(set(sentry_sdk.get_client().integrations) - {"dedupe", "excepthook", "logging"}))
    """)
    assert done.stdout.splitlines() == ["[]", "[]", "['fastapi', 'starlette']"]


@pytest.mark.parametrize(
    "dsn", ["nonsense", "http://127.0.0.1/7", "https://key@host", "ftp://key@host/1", "://"]
)
def test_malformed_dsn_is_one_line_and_the_application_starts(dsn: str) -> None:
    code = """
        import logging, sys
        logging.basicConfig(format="%(name)s %(message)s")
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        assert sentry.capture_message("x") is None
        print("started")
    """
    done = run(code, dsn)
    assert done.stdout.strip() == "started"
    (line,) = done.stderr.splitlines()
    assert "SENTRY_DSN" in line
    assert "https://<public key>@<host>/<project number>" in line


def test_sentry_that_is_away_costs_one_line_and_no_time_beyond_the_budget() -> None:
    code = """
        import logging, sys, time
        logging.basicConfig(format="%(name)s %(message)s")
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        for number in range(5):
            sentry.capture_message(f"m {number}")
        started = time.monotonic()
        sentry.flush(2.0)
        print(time.monotonic() - started < 2.5, dict(sentry.lost_events()))
    """
    done = run(code, "http://public@127.0.0.1:9/7")
    assert done.stdout.strip() == "True {'network_error': 5}"
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "does not take errors" in done.stderr


def test_slow_sentry_does_not_hold_up_the_exit() -> None:
    code = """
        import sys
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        for number in range(5):
            sentry.capture_message(f"m {number}")
        sentry.flush(0.5)
    """
    with Receiver(delay=20.0) as receiver:
        started = time.monotonic()
        done = run(code, receiver.dsn)
        assert time.monotonic() - started < 10
    assert done.stderr == ""


def test_sentry_that_comes_back_is_one_more_line() -> None:
    code = """
        import logging, sys
        logging.basicConfig(format="%(message)s")
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        for number in range(4):
            sentry.capture_message(f"m {number}")
            sentry.flush(5.0)
        print(dict(sentry.lost_events()))
    """
    # The second request is the SDK's report about the event that the first one lost.
    with Receiver(statuses=[503]) as receiver:
        done = run(code, receiver.dsn)
        assert [event["message"] for event in receiver.wait_for_events(3)] == ["m 1", "m 2", "m 3"]
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert done.stdout.strip() == "{'network_error': 1}"


def test_error_of_a_forked_child_arrives_and_the_parents_are_sent_once() -> None:
    code = """
        import os, sys
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        sentry.capture_message("before")
        sentry.capture_message("queued")
        child = os.fork()
        sentry.capture_message("child" if child == 0 else "parent")
        sentry.flush(5.0)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    """
    with Receiver(delay=0.2) as receiver:
        done = run(code, receiver.dsn)
        events = receiver.wait_for_events(4)
        assert sorted(event["message"] for event in events) == ["before", "child", "parent", "queued"]
    assert done.stderr == ""


def test_tracing_that_is_asked_for_is_refused_in_one_line() -> None:
    code = """
        import logging, sys
        logging.basicConfig(format="%(message)s")
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None, traces_sample_rate=1.0, send_default_pii=True)
        import sentry_sdk
        with sentry_sdk.start_transaction(name="t"):
            sentry.capture_message("m")
        sentry.flush(5.0)
    """
    with Receiver() as receiver:
        done = run(code, receiver.dsn, SENTRY_TRACES_SAMPLE_RATE="1.0")
        receiver.wait_for_events(1)
        assert {kind for kind, _ in receiver.items} == {"event"}
    (line,) = done.stderr.splitlines()
    for name in ("traces_sample_rate", "send_default_pii", "SENTRY_TRACES_SAMPLE_RATE"):
        assert name in line


@pytest.mark.parametrize("order", ["first", "later"])
def test_applications_own_init_wins_and_its_errors_are_linked(order: str) -> None:
    code = """
        import sys
        import sentry_sdk
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_kpi import sentry
        dsn, order = sys.argv[1:]
        trace.set_tracer_provider(TracerProvider())
        def own():
            sentry_sdk.init(dsn, release="own@1", auto_enabling_integrations=False)
        if order == "first":
            own()
        sentry.start(dsn="http://public@127.0.0.1:9/7", release="ours@1", environment=None)
        if order == "later":
            own()
        try:
            with trace.get_tracer("t").start_as_current_span("s") as span:
                print(trace.format_trace_id(span.get_span_context().trace_id))
                raise ValueError("after the span")
        except ValueError as error:
            sentry.capture_exception(error)
        sentry.flush(5.0)
    """
    with Receiver() as receiver:
        done = run(code, receiver.dsn, order)
        (event,) = receiver.wait_for_events(1)
    assert error_text(event) == "ValueError: after the span"
    assert event["release"] == "own@1"
    assert event["contexts"]["trace"]["trace_id"] == done.stdout.strip()


def test_interrupt_from_the_keyboard_is_not_an_error() -> None:
    code = """
        import atexit, sys
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        atexit.register(sentry.flush, 5.0)
        sentry.capture_message("last")
        raise KeyboardInterrupt
    """
    with Receiver() as receiver:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), receiver.dsn], capture_output=True, check=False
        )
        (event,) = receiver.wait_for_events(1)
    assert event["message"] == "last"
    assert "release" not in event


def test_crash_of_a_script_arrives_and_is_linked() -> None:
    code = """
        import atexit, sys
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_kpi import sentry
        trace.set_tracer_provider(TracerProvider())
        sentry.start(dsn=sys.argv[1], release="job@1", environment=None)
        sentry.start(dsn=sys.argv[1], release="twice@1", environment=None)
        atexit.register(sentry.flush, 5.0)
        with trace.get_tracer("t").start_as_current_span("s") as span:
            print(trace.format_trace_id(span.get_span_context().trace_id), flush=True)
            raise ValueError("crash")
    """
    with Receiver() as receiver:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), receiver.dsn],
            capture_output=True,
            text=True,
            check=False,
        )
        (event,) = receiver.wait_for_events(1)
    assert done.returncode == 1
    assert "Sentry is attempting" not in done.stderr
    assert event["release"] == "job@1"
    assert event["contexts"]["trace"]["trace_id"] == done.stdout.strip()
