"""loguru, as applications configure it."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from opentelemetry import trace
from opentelemetry._logs.severity import SeverityNumber

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """One sink and nothing else."""
    logger.remove()
    made = io.StringIO()
    logger.add(made, format="{level} {message} {extra}")
    yield made
    logger.remove()
    instrumentation.uninstall()
    instrumentation.install()


def test_record_leaves_once_with_its_fields_and_trace(captured: Captured, stream: io.StringIO) -> None:
    logger.add(io.StringIO())
    with trace.get_tracer("test").start_as_current_span("request") as span:
        logger.bind(order="A7").warning("late by {days} days", days=3)
    assert stream.getvalue() == "WARNING late by 3 days {'order': 'A7', 'days': 3}\n"
    [record] = captured.logs()
    assert (record.body, record.severity_text, record.severity_number) == (
        "late by 3 days",
        "WARNING",
        SeverityNumber.WARN,
    )
    assert record.trace_id == span.get_span_context().trace_id
    assert (record.attributes["order"], record.attributes["days"]) == ("A7", 3)
    assert record.attributes["code.function.name"] == "test_record_leaves_once_with_its_fields_and_trace"
    assert captured.scopes() == [__name__]


def test_record_that_no_sink_takes_does_not_leave(captured: Captured, stream: io.StringIO) -> None:
    logger.remove()
    logger.error("nobody listens")
    logger.add(stream, level="ERROR")
    logger.warning("too quiet")
    assert captured.logs() == []


def test_exception_leaves_with_type_message_and_stack(captured: Captured, stream: io.StringIO) -> None:
    try:
        int("x")
    except ValueError:
        logger.exception("cannot count")
    [record] = captured.logs()
    assert record.attributes["exception.type"] == "ValueError"
    assert "test_exception_leaves" in record.attributes["exception.stacktrace"]
    assert "ERROR cannot count" in stream.getvalue()


def test_record_of_logging_that_is_intercepted_leaves_once(captured: Captured, stream: io.StringIO) -> None:
    """The recipe of loguru's documentation."""

    class InterceptHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())

    source = logging.getLogger("test.intercepted")
    source.propagate = False
    source.addHandler(handler := InterceptHandler())
    try:
        source.warning("order %s", "A7")
    finally:
        source.removeHandler(handler)
    assert stream.getvalue() == "WARNING order A7 {}\n"
    assert [record.body for record in captured.logs()] == ["order A7"]
    assert captured.scopes() == ["test.intercepted"]


def test_record_that_is_propagated_to_logging_leaves_once(captured: Captured, stream: io.StringIO) -> None:
    class PropagateHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("test.propagated").handle(record)

    logger.add(PropagateHandler(), format="{message}")
    logger.warning("order {}", "A7")
    logger.add(lambda _message: logging.getLogger("test.other").warning("something else"))
    logger.warning("second")
    assert stream.getvalue() == "WARNING order A7 {}\nWARNING second {}\n"
    assert sorted(str(record.body) for record in captured.logs()) == ["order A7", "second", "something else"]


def test_sink_in_another_thread_or_process_gets_its_record(
    captured: Captured, stream: io.StringIO, tmp_path: Any
) -> None:
    logger.add(tmp_path / "log.jsonl", enqueue=True, serialize=True)
    logger.warning("x")
    logger.complete()
    logger.remove()
    written = json.loads((tmp_path / "log.jsonl").read_text())
    assert written["record"]["extra"] == {}
    assert stream.getvalue() == "WARNING x {}\n"
    assert len(captured.logs()) == 1


def test_trace_is_written_into_extra_by_setting_only(captured: Captured, stream: io.StringIO) -> None:
    instrumentation.uninstall()
    instrumentation.install(options={"loguru": {"correlation": True}})
    with trace.get_tracer("test").start_as_current_span("request") as span:
        logger.warning("x")
    ids = span.get_span_context()
    assert f"'trace_id': '{ids.trace_id:032x}', 'span_id': '{ids.span_id:016x}'" in stream.getvalue()
    assert not {"trace_id", "span_id"} & set(captured.logs()[0].attributes)


def test_sink_that_raises_is_reported_as_without_us(
    captured: Captured, stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_message: Any) -> None:
        raise ZeroDivisionError

    logger.add(broken)
    logger.warning("x")
    assert "Logging error in Loguru Handler" in capsys.readouterr().err
    assert stream.getvalue() == "WARNING x {}\n"
    assert len(captured.logs()) == 1
