from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import pickle
import queue
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry._logs.severity import SeverityNumber
from opentelemetry.sdk._logs import LogRecordProcessor

from otel_kpi.instrumentation.logs.log_records import EMITTER, severity
from otel_kpi.instrumentation.logs.logging import translate, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.captured import Captured


@pytest.fixture
def root() -> logging.Logger:
    """The root logger as Python starts with it: no handler, WARNING (see `pytest_pyfunc_call`)."""
    return logging.getLogger()


def test_record_leaves_with_trace_place_and_extra_fields(captured: Captured, root: logging.Logger) -> None:
    root.setLevel(logging.INFO)
    with trace.get_tracer("test").start_as_current_span("request") as span:
        logging.getLogger("shop.orders").info("order %s of %d", "A7", 3, extra={"order_id": "A7", "rows": 3})
    [record] = captured.logs()
    assert record.body == "order A7 of 3"
    assert record.trace_id == span.get_span_context().trace_id
    assert record.span_id == span.get_span_context().span_id
    assert (record.severity_number, record.severity_text) == (SeverityNumber.INFO, "INFO")
    assert captured.scopes() == ["shop.orders"]
    assert record.attributes["order_id"] == "A7"
    assert record.attributes["rows"] == 3
    assert record.attributes["code.file.path"] == __file__
    assert record.attributes["code.function.name"] == ("test_record_leaves_with_trace_place_and_extra_fields")
    assert set(record.attributes) == {
        "order_id",
        "rows",
        "code.file.path",
        "code.line.number",
        "code.function.name",
    }


def test_record_of_a_level_that_its_logger_refuses_does_not_leave(
    captured: Captured, root: logging.Logger
) -> None:
    assert root.level == logging.WARNING
    logging.getLogger("shop").info("too quiet")
    assert captured.logs() == []


def test_record_of_a_logger_that_does_not_propagate_leaves_once(
    captured: Captured, root: logging.Logger
) -> None:
    assert root.handlers == []
    access = logging.getLogger("test.access")
    access.propagate = False
    access.addHandler(logging.NullHandler())
    access.addHandler(logging.NullHandler())
    access.warning("GET /")
    assert [record.body for record in captured.logs()] == ["GET /"]


def test_basic_config_still_works_after_us(captured: Captured, root: logging.Logger) -> None:
    stream = io.StringIO()
    logging.basicConfig(stream=stream, level=logging.INFO, format="%(levelname)s %(message)s %(otelTraceID)s")
    assert len(root.handlers) == 1
    logging.getLogger("shop").info("hello")
    assert stream.getvalue() == "INFO hello 0\n"
    assert len(captured.logs()) == 1


def test_last_resort_still_prints_warnings(
    captured: Captured, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.handlers == []
    logging.getLogger("shop").warning("careful")
    assert capsys.readouterr().err == "careful\n"
    assert len(captured.logs()) == 1


def test_dict_config_that_replaces_every_handler_changes_nothing(
    captured: Captured, root: logging.Logger
) -> None:
    before = logging.getLogger("test.before")
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"null": {"class": "logging.NullHandler"}},
            "root": {"handlers": ["null"], "level": "INFO"},
        }
    )
    before.info("still here")
    assert [record.body for record in captured.logs()] == ["still here"]
    assert len(root.handlers) == 1


def test_logger_that_dict_config_disabled_is_silent_here_too(
    captured: Captured, root: logging.Logger
) -> None:
    old = logging.getLogger("test.old")
    others = {
        name: logger.disabled
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    try:
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": True})
        old.error("disabled by the application")
    finally:
        for name, disabled in others.items():
            logging.getLogger(name).disabled = disabled
    assert root.handlers == []
    assert captured.logs() == []


def test_trace_ids_are_on_the_record_for_the_applications_format(
    captured: Captured, root: logging.Logger
) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.Formatter("%(otelTraceID)s %(otelSpanID)s %(otelTraceSampled)s %(otelServiceName)s")
    )
    root.addHandler(handler)
    with trace.get_tracer("test").start_as_current_span("request") as span:
        logging.getLogger("shop").warning("x")
    identity = span.get_span_context()
    assert stream.getvalue().split() == [
        f"{identity.trace_id:032x}",
        f"{identity.span_id:016x}",
        "True",
        "shop",
    ]
    assert len(captured.logs()) == 1


def test_exception_leaves_with_type_message_and_stack(captured: Captured, root: logging.Logger) -> None:
    assert root.handlers == []
    try:
        int("x")
    except ValueError:
        logging.getLogger("shop").exception("cannot count", stack_info=True)
    [record] = captured.logs()
    assert record.attributes["exception.type"] == "ValueError"
    assert record.attributes["exception.message"] == "invalid literal for int() with base 10: 'x'"
    assert record.attributes["exception.stacktrace"].endswith(
        "ValueError: invalid literal for int() with base 10: 'x'\n"
    )
    assert "test_exception_leaves" in record.attributes["code.stacktrace"]


@pytest.mark.parametrize("raise_exceptions", [True, False])
def test_record_that_cannot_be_formatted_leaves_as_template(
    captured: Captured,
    root: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    raise_exceptions: bool,
) -> None:
    """What the application's own handlers say of it stays as it is."""
    monkeypatch.setattr(logging, "raiseExceptions", raise_exceptions)
    root.addHandler(logging.StreamHandler())
    logging.getLogger("shop").warning("%d of %d", 1)  # noqa: PLE1206 -- the application's mistake
    assert [record.body for record in captured.logs()] == ["%d of %d"]
    assert ("--- Logging error ---" in capsys.readouterr().err) is raise_exceptions


def test_argument_is_formatted_by_us_once(captured: Captured, root: logging.Logger) -> None:
    class Costly:
        calls = 0

        def __str__(self) -> str:
            self.calls += 1
            return "costly"

    assert root.handlers == []
    root.addHandler(logging.NullHandler())
    costly = Costly()
    logging.getLogger("shop").warning("%s", costly)
    assert costly.calls == 1
    assert [record.body for record in captured.logs()] == ["costly"]


def test_text_that_a_handler_made_is_not_made_again(captured: Captured, root: logging.Logger) -> None:
    class Costly:
        calls = 0

        def __str__(self) -> str:
            self.calls += 1
            return "costly"

    stream = io.StringIO()
    root.addHandler(logging.StreamHandler(stream))
    costly = Costly()
    logging.getLogger("shop").warning("%s", costly)
    assert (costly.calls, stream.getvalue()) == (1, "costly\n")
    assert [record.body for record in captured.logs()] == ["costly"]


def test_what_a_handlers_filter_takes_out_stays_out(captured: Captured, root: logging.Logger) -> None:
    def mask(record: logging.LogRecord) -> bool:
        record.msg, record.args = "customer ***", None
        return True

    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(mask)
    root.addHandler(handler)
    logging.getLogger("shop").warning("customer %s", "Miller")
    assert [record.body for record in captured.logs()] == ["customer ***"]


def test_colours_of_a_console_stay_in_the_console(captured: Captured, root: logging.Logger) -> None:
    """Formatters are known to paint the record itself."""

    class Painted(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            record.levelname = f"\x1b[33m{record.levelname}\x1b[0m"
            record.msg = f"\x1b[1m{record.msg}\x1b[0m"
            return super().format(record)

    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(Painted())
    root.addHandler(handler)
    logging.getLogger("shop").warning("order %d", 7)
    [record] = captured.logs()
    assert (record.body, record.severity_text) == ("order 7", "WARNING")


def options(**given: Any) -> dict[str, dict[str, Any]]:
    return {"logging": given}


@pytest.fixture
def reinstalled(captured: Captured) -> Iterator[Callable[..., None]]:
    """Arm everything again with options of the row `logging`."""
    from otel_kpi import instrumentation

    def install(**given: Any) -> None:
        instrumentation.uninstall()
        instrumentation.install(options=options(**given))

    yield install
    instrumentation.uninstall()
    instrumentation.install()
    assert captured is not None


FORMAT = "%(otelTraceID)s %(otelServiceName)s %(message)s"


def test_without_the_setting_no_format_is_touched(
    captured: Captured, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.basicConfig()
    with trace.get_tracer("test").start_as_current_span("request"):
        logging.getLogger("shop").warning("x")
    assert capsys.readouterr().err == "WARNING:shop:x\n"
    assert len(captured.logs()) == len(root.handlers) == 1


@pytest.mark.parametrize("configure", [None, logging.basicConfig], ids=["last resort", "basicConfig"])
def test_correlation_is_written_where_the_application_has_no_format(
    reinstalled: Callable[..., None],
    root: logging.Logger,
    capsys: pytest.CaptureFixture[str],
    configure: Callable[[], None] | None,
) -> None:
    reinstalled(correlation=True, text_format=FORMAT)
    if configure is not None:
        configure()
    assert len(root.handlers) == (configure is not None)
    with trace.get_tracer("test").start_as_current_span("request") as span:
        logging.getLogger("shop").warning("x")
    assert capsys.readouterr().err == f"{span.get_span_context().trace_id:032x} shop x\n"


def test_correlation_leaves_the_applications_own_format(
    reinstalled: Callable[..., None], root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    reinstalled(correlation=True, text_format=FORMAT)
    logging.basicConfig(format="%(message)s!")
    assert len(root.handlers) == 1
    logging.getLogger("shop").warning("x")
    assert capsys.readouterr().err == "x!\n"


def test_correlation_stands_for_records_that_pass_no_logger(
    reinstalled: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    reinstalled(correlation=True, text_format=FORMAT)
    logging.StreamHandler().handle(logging.makeLogRecord({"msg": "x"}))
    assert capsys.readouterr().err == "0  x\n"


def test_records_below_the_lowest_level_are_only_printed(
    captured: Captured,
    reinstalled: Callable[..., None],
    root: logging.Logger,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reinstalled(lowest_level="error", root_level="info")
    assert root.level == logging.INFO
    logging.getLogger("shop").warning("printed")
    logging.getLogger("shop").error("sent")
    assert capsys.readouterr().err == "printed\nsent\n"
    assert [record.body for record in captured.logs()] == ["sent"]


def test_values_that_are_not_simple_stay_at_home(captured: Captured, root: logging.Logger) -> None:
    assert root.handlers == []

    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    logging.getLogger("shop").warning(
        "x", extra={"request": Hostile(), "nested": {"a": 1}, "tags": ["a", "b"], "none": None}
    )
    [record] = captured.logs()
    assert record.attributes["tags"] in (["a", "b"], ("a", "b"))
    assert {"request", "nested", "none"}.isdisjoint(record.attributes)


def test_our_own_and_opentelemetrys_records_never_leave(captured: Captured, root: logging.Logger) -> None:
    assert root.handlers == []
    for name in ("opentelemetry", "opentelemetry.sdk.trace", "otel_kpi", "otel_kpi.sdk"):
        logging.getLogger(name).warning("about telemetry")
    logging.getLogger("otel_kpi_customer").warning("about otters")
    assert captured.scopes() == ["otel_kpi_customer"]


def test_exporter_that_logs_while_it_sends_does_not_recurse(captured: Captured, root: logging.Logger) -> None:
    from opentelemetry._logs import get_logger_provider

    class Chatty(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            del log_record
            logging.getLogger("some.transport").warning("sending")

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return timeout_millis >= 0

    stream = io.StringIO()
    root.addHandler(logging.StreamHandler(stream))
    provider: Any = get_logger_provider()
    processors = provider._multi_log_record_processor
    before = processors._log_record_processors
    provider.add_log_record_processor(Chatty())
    try:
        logging.getLogger("shop").warning("order")
    finally:
        processors._log_record_processors = before
    assert [record.body for record in captured.logs()] == ["order"]
    assert stream.getvalue() == "order\nsending\n"


def test_record_that_passes_through_a_queue_leaves_once(captured: Captured, root: logging.Logger) -> None:
    """The cookbook's way: a worker process queues, the main process hands the record to its loggers again."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    root.addHandler(logging.handlers.QueueHandler(records))  # type: ignore[arg-type] # looser than the stub, on purpose
    logging.getLogger("shop").warning("from a worker")
    received = pickle.loads(pickle.dumps(records.get()))
    root.handlers.clear()
    root.addHandler(logging.NullHandler())
    logging.getLogger(received.name).handle(received)
    assert [record.body for record in captured.logs()] == ["from a worker"]


def test_users_own_opentelemetry_handler_is_not_doubled(captured: Captured, root: logging.Logger) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pass

    Handler.__module__ = "opentelemetry.instrumentation.logging.handler"
    root.addHandler(Handler())
    logging.getLogger("shop").warning("x")
    assert captured.logs() == []


def test_record_is_as_it_was_for_who_prints_all_of_it(captured: Captured, root: logging.Logger) -> None:
    """Formatters that write JSON often do."""
    seen: list[set[str]] = []

    class Everything(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            seen.append(set(vars(record)))
            return ""

    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(Everything())
    root.addHandler(handler)
    logging.getLogger("shop").warning("low stock")
    assert seen == [set(vars(logging.makeLogRecord({})))]
    assert [record.body for record in captured.logs()] == ["low stock"]


def test_record_that_goes_to_a_queue_carries_its_trace(captured: Captured, root: logging.Logger) -> None:
    """Who formats it is another thread, where no span is current."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    root.addHandler(logging.handlers.QueueHandler(records))  # type: ignore[arg-type] # looser than the stub, on purpose
    with trace.get_tracer("test").start_as_current_span("request") as span:
        logging.getLogger("shop").warning("low stock")
    text = logging.Formatter("%(otelTraceID)s %(message)s").format(records.get())
    assert text == f"{span.get_span_context().trace_id:032x} low stock"
    assert len(captured.logs()) == 1


def test_record_for_the_users_own_opentelemetry_handler_is_as_it_was(
    captured: Captured, root: logging.Logger
) -> None:
    """It would send what is stamped for formats as attributes of the record."""
    seen: list[dict[str, Any]] = []

    class LoggingHandler(logging.Handler):
        """Stands where upstream's would: what counts is where its class says that it is from."""

        def emit(self, record: logging.LogRecord) -> None:
            seen.append(dict(vars(record)))

    LoggingHandler.__module__ = "opentelemetry.sdk._logs"
    root.addHandler(LoggingHandler())
    logging.getLogger("shop").warning("low stock")
    assert [name for name in seen[0] if name.startswith(("otel", "_otel"))] == []
    assert captured.logs() == []


def test_handler_that_raises_raises_as_without_us(captured: Captured, root: logging.Logger) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ZeroDivisionError(record.name)

    root.addHandler(Broken())
    with pytest.raises(ZeroDivisionError):
        logging.getLogger("shop").warning("x")
    assert len(captured.logs()) == 1


def test_names_made_without_bound_share_one_scope(captured: Captured, root: logging.Logger) -> None:
    assert root.handlers == []
    root.addHandler(logging.NullHandler())
    for number in range(1100):
        record = logging.LogRecord(f"client-{number}", logging.WARNING, __file__, 1, "x", None, None)
        root.handle(record)
    assert len(set(captured.scopes())) <= 1001
    assert captured.scopes()[-1] == "logging"
    EMITTER.forget()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, SeverityNumber.UNSPECIFIED),
        (5, SeverityNumber.TRACE3),
        (10, SeverityNumber.DEBUG),
        (20, SeverityNumber.INFO),
        (25, SeverityNumber.INFO3),
        (30, SeverityNumber.WARN),
        (40, SeverityNumber.ERROR),
        (50, SeverityNumber.FATAL),
        (1000, SeverityNumber.FATAL4),
    ],
)
def test_level_becomes_the_severity_of_its_range(level: int, expected: SeverityNumber) -> None:
    assert severity(level) is expected


def test_time_of_a_record_is_its_own() -> None:
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "x", None, None)
    record.created = 1_700_000_000.25
    assert translate(record, written(record)).timestamp == 1_700_000_000_250_000_000


def test_uninstalled_leaves_logging_as_it_was(captured: Captured) -> None:
    from otel_kpi import instrumentation

    instrumentation.uninstall()
    assert logging.Logger.callHandlers.__module__ == "logging"
    logging.getLogger("shop").warning("x")
    assert captured.logs() == []


def test_users_own_instrumentor_takes_our_place(
    reinstalled: Callable[..., None], captured: Captured, root: logging.Logger
) -> None:
    from opentelemetry.instrumentation.logging import LoggingInstrumentor

    reinstalled()
    assert root.handlers == []
    logging.getLogger("shop").warning("ours")
    LoggingInstrumentor().instrument()
    try:
        assert len(root.handlers) == 1
        logging.getLogger("shop").warning("theirs")
    finally:
        LoggingInstrumentor().uninstrument()
    logging.getLogger("shop").warning("nobody's")
    assert [record.body for record in captured.logs()] == ["ours", "theirs"]
    assert "code.line.number" not in captured.logs()[1].attributes
