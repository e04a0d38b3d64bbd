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


OWN = """
    import logging, sys
    logging.basicConfig(format="%(name)s %(message)s")
    import sentry_sdk, sentry_sdk.logger, sentry_sdk.metrics
    from otel_kpi import sentry
    def before_send(event, hint):
        event["tags"] = {**event.get("tags", {}), "own": "yes"}
        return event
    def own():
        sentry_sdk.init(sys.argv[1], release="own@1", auto_enabling_integrations=False, enable_logs=True,
                        traces_sample_rate=1.0, before_send=before_send, auto_session_tracking=False)
    if sys.argv[2] == "first":
        own()
    choices = sentry.Choices(scrub_application=sys.argv[3] == "scrub")
    sentry.start(dsn="http://public@127.0.0.1:9/7", release="ours@1", environment=None, choices=choices)
    if sys.argv[2] == "later":
        own()
    sentry_sdk.set_extra("deep", {"settings": {"db": "postgresql://shop:S1SECRET@db.internal/shop"}})
    sentry_sdk.set_context("vault", {"api_key": "S2SECRET", "kept": "value"})
    with sentry_sdk.start_transaction(name="GET /?token=S3SECRET&page=1", op="http"):
        with sentry_sdk.start_span(name="POST https://bob:S4SECRET@pay.example/"):
            pass
    sentry_sdk.logger.info("Authorization: Bearer S5SECRET", attributes={"api_key": "S6SECRET"})
    sentry_sdk.metrics.count("logins", 1, attributes={"password": "S7SECRET"})
    sentry_sdk.capture_message("password=S8SECRET")
    sentry.flush(5.0)
"""


@pytest.mark.parametrize("order", ["first", "later"])
def test_nothing_secret_leaves_by_a_client_of_the_application(order: str) -> None:
    with Receiver() as receiver:
        done = run(OWN, receiver.dsn, order, "scrub")
        (event,) = receiver.wait_for_events(1)
        raw = receiver.raw
        assert {"event", "transaction", "log", "trace_metric"} <= {kind for kind, _ in receiver.items}
    assert [f"S{number}" for number in range(1, 9) if f"S{number}SECRET" in raw] == []
    assert (event["tags"]["own"], event["release"], event["contexts"]["vault"]["kept"]) == (
        "yes",
        "own@1",
        "value",
    )
    (line,) = [line for line in done.stderr.splitlines() if "otel_kpi" in line]
    assert "traces_sample_rate" in line


@pytest.mark.proof
def test_application_may_keep_its_events_as_they_are() -> None:
    with Receiver() as receiver:
        run(OWN, receiver.dsn, "first", "leave")
        receiver.wait_for_events(1)
        assert "S8SECRET" in receiver.raw


@pytest.mark.parametrize(
    ("level", "messages"),
    [
        ("warning", ["low", "gone", "down"]),
        pytest.param("error", ["gone", "down"], marks=pytest.mark.proof),
        pytest.param("critical", ["down"], marks=pytest.mark.proof),
        ("none", []),
    ],
)
def test_log_records_from_the_chosen_level_on_are_events(level: str, messages: list[str]) -> None:
    code = """
        import logging, sys
        from otel_kpi import sentry
        choices = sentry.Choices(log_level=sys.argv[2])
        sentry.start(dsn=sys.argv[1], release=None, environment=None, choices=choices)
        log = logging.getLogger("shop")
        log.warning("low"); log.error("gone"); log.critical("down")
        sentry.capture_message("last")
        sentry.flush(5.0)
    """
    with Receiver() as receiver:
        run(code, receiver.dsn, level)
        events = receiver.wait_for_events(len(messages) + 1)
    assert [event["logentry"]["formatted"] for event in events[:-1]] == messages
    assert events[-1]["message"] == "last"


@pytest.mark.parametrize(
    ("mode", "chunks"), [("off", 0), ("manual", 1), pytest.param("continuous", 1, marks=pytest.mark.proof)]
)
def test_profile_leaves_by_setting_only_and_at_the_end_of_the_process(mode: str, chunks: int) -> None:
    code = """
        import sys, time
        from otel_kpi import sentry
        choices = sentry.Choices(profiling=sys.argv[2])
        sentry.start(dsn=sys.argv[1], release="p@1", environment=None, choices=choices)
        if sys.argv[2] != "continuous":
            sentry.start_profiler()
        def burn():
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                pass
        burn()
        if sys.argv[2] == "manual":
            sentry.stop_profiler()
        sentry.capture_message("last")
        sentry.flush(5.0, final=True)
    """
    with Receiver() as receiver:
        run(code, receiver.dsn, mode)
        receiver.wait_for_events(1)
        profiles = [payload for kind, payload in receiver.items if kind == "profile_chunk"]
    assert len(profiles) == chunks
    for profile in profiles:
        assert "burn" in {frame["function"] for frame in profile["profile"]["frames"]}
        assert profile["release"] == "p@1"


def test_profile_of_a_forked_child_leaves_too() -> None:
    code = """
        import os, sys, time
        from otel_kpi import sentry
        choices = sentry.Choices(profiling="continuous")
        sentry.start(dsn=sys.argv[1], release="p@1", environment=None, choices=choices)
        time.sleep(0.1)
        child = os.fork()
        time.sleep(0.2)
        sentry.flush(5.0, final=True)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    """
    with Receiver() as receiver:
        run(code, receiver.dsn)
        receiver.wait(lambda r: sum(kind == "profile_chunk" for kind, _ in r.items) == 2)


def test_items_that_are_not_errors_stay_behind_with_one_line_each() -> None:
    code = """
        import logging, sys
        logging.basicConfig(format="%(message)s")
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release="a@1", environment=None)
        import sentry_sdk
        from sentry_sdk import metrics
        sentry_sdk.get_isolation_scope().add_attachment(bytes=b"S1SECRET", filename="S2SECRET.txt")
        for number in range(2):
            metrics.count("S3SECRET", 1)
            sentry.capture_message(f"m {number}")
            sentry.flush(5.0)
    """
    with Receiver() as receiver:
        done = run(code, receiver.dsn)
        receiver.wait_for_events(2)
        assert {kind for kind, _ in receiver.items} <= {"event", "client_report"}
        assert "SECRET" not in receiver.raw
    assert sorted("attachment" in line or "trace_metric" in line for line in done.stderr.splitlines()) == [
        True,
        True,
    ]


def test_handler_that_logs_and_raises_without_a_span_is_one_event() -> None:
    code = """
        import atexit, logging, sys
        from otel_kpi import sentry
        sentry.start(dsn=sys.argv[1], release=None, environment=None)
        atexit.register(sentry.flush, 5.0)
        try:
            {}["k"]
        except KeyError as error:
            logging.exception("no key")
            raise RuntimeError("effect") from error
    """
    with Receiver() as receiver:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), receiver.dsn], capture_output=True, check=False
        )
        (event,) = receiver.wait_for_events(1)
    assert [value["type"] for value in event["exception"]["values"]] == ["KeyError", "RuntimeError"]


def test_applications_hook_sees_each_breadcrumb_and_a_client_of_its_own_gets_none_of_ours() -> None:
    code = """
        import sys
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from otel_kpi import sentry
        trace.set_tracer_provider(TracerProvider())
        def before(crumb, hint):
            return None if crumb.get("message") == "drop" else {**crumb, "level": "debug"}
        sentry.start(dsn=sys.argv[1], release=None, environment=None, before_breadcrumb=before, max_breadcrumbs=3)
        tracer = trace.get_tracer("t")
        def call(name):
            tracer.start_span(name, kind=trace.SpanKind.CLIENT).end()
        for name in ("first", "keep", "drop", "last"):
            call(name)
        sentry.capture_message("ours")
        import sentry_sdk
        sentry_sdk.init(sys.argv[1], auto_enabling_integrations=False, default_integrations=False)
        sentry_sdk.get_isolation_scope().clear_breadcrumbs()
        call("of another client")
        sentry.capture_message("theirs")
        sentry.flush(5.0)
    """
    with Receiver() as receiver:
        run(code, receiver.dsn)
        receiver.wait_for_events(2)
        events = {event["message"]: event["breadcrumbs"]["values"] for event in receiver.events}
    assert [(crumb["message"], crumb["level"]) for crumb in events["ours"]] == [
        ("keep", "debug"),
        ("last", "debug"),
    ]
    assert events["theirs"] == []
