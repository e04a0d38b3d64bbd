"""structlog, as applications configure it."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry._logs.severity import SeverityNumber

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    structlog.reset_defaults()
    logger_class = logging.getLoggerClass()
    yield
    structlog.reset_defaults()
    logging.setLoggerClass(logger_class)
    instrumentation.uninstall()
    instrumentation.install()


def printing(stream: io.StringIO, *processors: Any) -> None:
    structlog.configure(
        processors=[structlog.processors.add_log_level, *processors, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )


def test_event_leaves_with_its_fields_and_trace_and_is_printed_as_it_was(captured: Captured) -> None:
    stream = io.StringIO()
    printing(stream)
    with trace.get_tracer("test").start_as_current_span("request") as span:
        structlog.get_logger().bind(order="A7").warning("late", days=3, nested={"not": "simple"})
    assert json.loads(stream.getvalue()) == {
        "event": "late",
        "level": "warning",
        "order": "A7",
        "days": 3,
        "nested": {"not": "simple"},
    }
    [record] = captured.logs()
    assert (record.body, record.severity_text, record.severity_number) == (
        "late",
        "WARNING",
        SeverityNumber.WARN,
    )
    assert record.attributes == {"order": "A7", "days": 3}
    assert record.trace_id == span.get_span_context().trace_id
    assert captured.scopes() == ["structlog"]


def test_logger_made_before_is_seen_too(captured: Captured) -> None:
    instrumentation.uninstall()
    stream = io.StringIO()
    printing(stream)
    logger = structlog.get_logger().bind(a=1)
    instrumentation.install()
    logger.info("x")
    logger.bind(b=2).info("y")
    assert [(record.body, record.attributes) for record in captured.logs()] == [
        ("x", {"a": 1}),
        ("y", {"a": 1, "b": 2}),
    ]


def test_what_a_processor_drops_or_takes_out_stays_at_home(captured: Captured) -> None:
    def mask(_logger: Any, _method: str, event: Any) -> Any:
        if event["event"] == "dropped":
            raise structlog.DropEvent
        event["iban"] = "***"
        return event

    printing(io.StringIO(), mask)
    structlog.get_logger().info("dropped")
    structlog.get_logger().info("kept", iban="DE02")
    assert [(record.body, record.attributes) for record in captured.logs()] == [("kept", {"iban": "***"})]


def test_exception_leaves_with_type_message_and_stack(captured: Captured) -> None:
    printing(io.StringIO(), structlog.processors.format_exc_info)
    try:
        int("x")
    except ValueError:
        structlog.get_logger().exception("cannot count")
    [record] = captured.logs()
    assert record.attributes["exception.type"] == "ValueError"
    assert record.attributes["exception.message"] == "invalid literal for int() with base 10: 'x'"
    assert "test_exception_leaves" in record.attributes["exception.stacktrace"]
    assert record.severity_text == "ERROR"


@pytest.mark.parametrize("last", ["json", "wrap_for_formatter", "log_kwargs"])
def test_event_through_logging_leaves_once_with_its_fields(captured: Captured, last: str) -> None:
    renderer: Any = {
        "json": structlog.processors.JSONRenderer(),
        "wrap_for_formatter": structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        "log_kwargs": structlog.stdlib.render_to_log_kwargs,
    }[last]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    if last == "wrap_for_formatter":
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer())
        )
    structlog.stdlib.LoggerFactory()  # from here on `logging` finds callers behind structlog
    logger = logging.getLogger(f"test.structlog.{last}")
    logger.addHandler(handler)
    logger.propagate = False
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.add_log_level, renderer],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    try:
        structlog.get_logger(logger.name).info("too quiet")
        structlog.get_logger(logger.name).warning("late", order="A7")
        logger.warning("plain")
    finally:
        logger.removeHandler(handler)
    first, second = captured.logs()
    assert (first.body, first.severity_text) == ("late", "WARNING")
    assert first.attributes["order"] == "A7"
    assert first.attributes["code.function.name"] == "test_event_through_logging_leaves_once_with_its_fields"
    assert second.body == "plain"
    assert "order" not in second.attributes
    assert captured.scopes() == [logger.name, logger.name]
    assert "late" in stream.getvalue()


def test_place_that_structlog_finds_is_the_applications(captured: Captured) -> None:
    stream = io.StringIO()
    printing(stream, structlog.processors.CallsiteParameterAdder())
    structlog.get_logger().info("x")
    assert json.loads(stream.getvalue())["func_name"] == "test_place_that_structlog_finds_is_the_applications"
    assert len(captured.logs()) == 1


@pytest.mark.usefixtures("captured")
def test_place_that_a_formatter_finds_is_the_applications() -> None:
    """It walks the stack from inside of the handler, past `logging`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    place = structlog.processors.CallsiteParameterAdder([structlog.processors.CallsiteParameter.FUNC_NAME])
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[place, structlog.processors.JSONRenderer()])
    )
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logger = logging.getLogger("place")
    logger.addHandler(handler)
    try:
        structlog.get_logger("place").warning("here")
    finally:
        logger.removeHandler(handler)
    assert (
        json.loads(stream.getvalue())["func_name"] == "test_place_that_a_formatter_finds_is_the_applications"
    )


def test_configuration_and_captured_logs_are_as_without_us(captured: Captured) -> None:
    printing(io.StringIO())
    assert len(structlog.get_config()["processors"]) == 2
    logger = structlog.get_logger().bind()
    with structlog.testing.capture_logs() as seen:
        logger.info("x", a=1)
    assert seen == [{"a": 1, "event": "x", "log_level": "info"}]
    assert [record.body for record in captured.logs()] == ["x"]


def test_trace_is_written_into_events_by_setting_only(captured: Captured) -> None:
    instrumentation.uninstall()
    instrumentation.install(options={"structlog": {"correlation": True}})
    stream = io.StringIO()
    printing(stream)
    with trace.get_tracer("test").start_as_current_span("request") as span:
        structlog.get_logger().info("x")
    assert json.loads(stream.getvalue())["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert captured.logs()[0].attributes == {}


async def _say() -> None:
    await structlog.get_logger().ainfo("from a coroutine", n=1)


def test_event_of_a_coroutine_keeps_its_trace(captured: Captured) -> None:
    import asyncio

    printing(io.StringIO())
    with trace.get_tracer("test").start_as_current_span("request") as span:
        asyncio.run(_say())
    [record] = captured.logs()
    assert (record.body, record.attributes) == ("from a coroutine", {"n": 1})
    assert record.trace_id == span.get_span_context().trace_id


def test_hostile_value_costs_neither_the_event_nor_the_application(captured: Captured) -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

        __str__ = __repr__

    stream = io.StringIO()
    structlog.configure(
        processors=[lambda _logger, _method, event: event["event"]],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    structlog.get_logger().info("x", value=Hostile())
    assert stream.getvalue() == "x\n"
    assert [record.attributes for record in captured.logs()] == [{}]


def test_uninstalled_leaves_structlog_as_it_was(captured: Captured) -> None:
    instrumentation.uninstall()
    printing(io.StringIO())
    structlog.get_logger().info("x")
    assert captured.logs() == []
    assert "_processors" not in vars(structlog.BoundLoggerBase)
