"""One pipeline in memory per test process: the global providers can be set only once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs, context, metrics, propagate, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support import servers
from support.captured import Captured
from support.faults import Faults

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Give a test that asks for `root` the root logger without the handlers that pytest adds for the call."""
    if "root" not in pyfuncitem.fixturenames:
        return (yield)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    try:
        return (yield)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture(scope="session")
def _pipeline() -> Captured:
    captured = Captured()
    resource = Resource.create({"service.name": "shop"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(captured.span_exporter))
    trace.set_tracer_provider(tracers)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(captured.log_exporter))
    _logs.set_logger_provider(loggers)
    metrics.set_meter_provider(MeterProvider(metric_readers=[captured.reader], resource=resource))
    return captured


@pytest.fixture
def captured(_pipeline: Captured) -> Iterator[Captured]:
    """The pipeline, empty, with every instrumentor of the table armed."""
    instrumentation.install()
    _pipeline.span_exporter.clear()
    _pipeline.log_exporter.clear()
    try:
        yield _pipeline
    finally:
        instrumentation.uninstall()


# --- telemetry that is broken on purpose


@pytest.fixture(scope="module")
def broken(_pipeline: Captured) -> Iterator[Faults]:
    """The pipeline of this process with parts that can be told to raise."""
    propagator = propagate.get_global_textmap()
    faults = Faults(propagator)
    provider: Any = trace.get_tracer_provider()
    sampler, provider.sampler = provider.sampler, faults
    # Tracers that an earlier test asked for are remembered with the sampler of then.
    for tracer in provider._tracers.values():
        tracer.sampler = faults
    provider.add_span_processor(faults)
    propagate.set_global_textmap(faults)  # type: ignore[arg-type] # it has what a propagator has
    yield faults
    faults.armed = ""
    provider.sampler = sampler
    for tracer in provider._tracers.values():
        tracer.sampler = sampler
    propagate.set_global_textmap(propagator)


@pytest.fixture
def faults(broken: Faults) -> Iterator[Faults]:
    """Nothing is broken yet, and no instrumentor is there."""
    broken.armed, broken.raised = "", 0
    before = context.get_current()
    yield broken
    broken.armed = ""
    instrumentation.uninstall()
    assert context.get_current() is before, "a context is left behind"


# --- real servers, once per session


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Server]:
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.Server]:
    with servers.mariadb() as server:
        yield server
