"""Whatever is wrong with settings, receiver or values: one clear line, the program unharmed, the loss counted."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, free_port, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM = """
import time
from opentelemetry import trace
tracer = trace.get_tracer("program")
for number in range(100):
    with tracer.start_as_current_span("work"):
        pass
{more}
print("done")
"""


def program(more: str = "") -> list[str]:
    return [*RUN, sys.executable, "-c", PROGRAM.format(more=more)]


def refused_at_first(came: Callable[[], object], variables: dict[str, str], said: Path) -> list[str]:
    """The lines of a program whose receiver came as soon as the program had said that there is none."""
    with said.open("w", encoding="utf-8") as errors:
        started = subprocess.Popen(
            program("time.sleep(4)"), env=variables, stdout=subprocess.DEVNULL, stderr=errors
        )
        try:
            give_up = time.monotonic() + 60
            while not said.read_text(encoding="utf-8").endswith("\n") and time.monotonic() < give_up:
                time.sleep(0.02)  # asked again until there is a line
            came()
            assert started.wait(60) == 0
        finally:
            started.kill()
    return said.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "sometimes"),
        ("OTEL_TRACES_SAMPLER", "coin"),
        ("OTEL_TRACES_EXPORTER", "pigeon,otlp"),
        ("OTEL_PROPAGATORS", "smoke,tracecontext"),
        ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=c"),
        ("OTEL_KPI_NONSENSE", "1"),
        ("OTEL_PYTHON_ID_GENERATOR", "dice"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "crystal"),
    ],
)
def test_malformed_setting_is_one_line_and_the_program_is_seen(variable: str, value: str) -> None:
    with Receiver() as receiver:
        ended = run(program(), environment(receiver.url, **{variable: value}))
        assert len(receiver.named("work")) == 100
    assert ended.stdout == "done\n"
    (line,) = ended.stderr.splitlines()
    assert variable in line or value.partition(",")[0] in line


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 500])
def test_refusal_is_said_once_and_counted(status: int) -> None:
    with Receiver(status=status) as receiver:
        ended = run(program(), environment(receiver.url, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10"))
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    lines = [line for line in ended.stderr.splitlines() if "spans" in line]
    assert len(lines) == 1
    assert str(status) in lines[0]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_receiver_that_recovers_gets_everything(status: int, tmp_path: Path) -> None:
    with Receiver(status=status) as receiver:
        variables = environment(receiver.url, OTEL_BSP_SCHEDULE_DELAY="100")
        down, up = refused_at_first(lambda: setattr(receiver, "status", 200), variables, tmp_path / "stderr")
        assert len(receiver.named("work")) == 100
    assert str(status) in down
    assert up.endswith("takes telemetry again; nothing was lost")


def test_collector_that_starts_late_gets_everything(tmp_path: Path) -> None:
    port = free_port()
    receiver = Receiver()
    variables = environment(f"http://127.0.0.1:{port}", OTEL_BSP_SCHEDULE_DELAY="100")
    down, up = refused_at_first(lambda: receiver.start(port), variables, tmp_path / "stderr")
    receiver.stop()
    assert len(receiver.named("work")) == 100
    assert "connection refused" in down.lower()
    assert up.endswith("takes telemetry again; nothing was lost")


def test_half_open_connection_blocks_nothing() -> None:
    """The receiver accepts, reads and closes in the middle of its answer, again and again."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20.0)

        def half_answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.")

        threading.Thread(target=half_answer, daemon=True).start()
        started = time.monotonic()
        ended = run(program(), environment(f"http://127.0.0.1:{listener.getsockname()[1]}"))
    assert time.monotonic() - started < 6.0  # the figure is 2 s
    assert ended.stdout == "done\n"
    assert "100 spans" in ended.stderr


def test_odd_attributes_leave_as_text_and_harm_nobody() -> None:
    more = r"""
class Odd:
    def __str__(self): raise RuntimeError("odd")
with tracer.start_as_current_span("odd \ud800") as span:
    span.set_attribute("object", Odd())
    span.set_attribute("surrogate", "a\ud800b")
    span.set_attribute("bytes", b"\xff\xfe")
    span.set_attribute("big", "x" * 1_000_000)
    span.set_attribute("huge", 2 ** 80)
    span.set_attribute("mixed", [1, "two", None, 3.0])
    span.set_attribute("", "no name")
    span.set_attribute("fine", "yes")
    span.add_event("event", {"object": Odd()})
"""
    with Receiver() as receiver:
        ended = run(program(more), environment(receiver.url, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="1000"))
        assert ended.stdout == "done\n"
        assert len(receiver.spans) == 101
        (odd,) = (span for span in receiver.spans if span.item.name.startswith("odd"))
    assert odd.attributes["fine"] == "yes"
    assert len(odd.attributes["big"]) == 1000


def test_full_queue_loses_the_newest_and_counts_them(tmp_path: Path) -> None:
    settings = {"OTEL_BSP_MAX_QUEUE_SIZE": "60", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "60"}
    port = free_port()
    receiver = Receiver()
    variables = environment(f"http://127.0.0.1:{port}", **settings)
    lines = refused_at_first(lambda: receiver.start(port), variables, tmp_path / "stderr")
    receiver.stop()
    assert len(receiver.named("work")) < 100
    dropped = sum(receiver.counted("otel.sdk.processor.span.processed"))
    assert len(receiver.named("work")) + dropped == 100
    assert f"{dropped} items were lost meanwhile" in "\n".join(lines)


def test_end_without_a_receiver_counts_also_what_found_no_place() -> None:
    settings = {"OTEL_BSP_MAX_QUEUE_SIZE": "60", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "60"}
    ended = run(program(), environment(f"http://127.0.0.1:{free_port()}", **settings))
    assert "did not take 100 spans" in ended.stderr


def test_grpc_receiver_that_starts_late_gets_everything_with_a_line_for_each_change(tmp_path: Path) -> None:
    """Left alone, upstream's exporter holds the exit for its own retries, writes lines and drops the batch."""
    grpc = pytest.importorskip("grpc")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
    )

    spans: list[str] = []

    def export(request: ExportTraceServiceRequest, _: object) -> ExportTraceServiceResponse:
        spans.extend(
            span.name
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )
        return ExportTraceServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    port = free_port()
    settings = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }

    def start() -> None:
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()

    variables = environment(f"http://127.0.0.1:{port}", **settings)
    down, up = refused_at_first(start, variables, tmp_path / "stderr")
    server.stop(None).wait()
    assert spans == ["work"] * 100
    assert "does not take telemetry (UNAVAILABLE: " in down
    assert up.endswith("takes telemetry again; nothing was lost")


def test_absent_grpc_receiver_holds_the_exit_no_longer_than_the_budget() -> None:
    pytest.importorskip("grpc")
    started = time.monotonic()
    ended = run(program(), environment(f"http://127.0.0.1:{free_port()}", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"))
    assert time.monotonic() - started < 6.0  # the figure is 2 s
    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert "did not take 100 spans" in ended.stderr.splitlines()[-1]
    assert len(ended.stderr.splitlines()) <= 2
