"""Every private part of another library that we touch is still there, and still does what we need of it.

What changes a whole process is called in a process of its own.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from opentelemetry import context
from opentelemetry._logs import LogRecord
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from support.children import environment, run
from support.receiver import Receiver

from otel_kpi import _compat

if TYPE_CHECKING:
    from collections.abc import Callable


def python(text: str, **variables: str) -> str:
    """What a program printed; everything else than status 0 and silence on standard error fails."""
    ended = run([sys.executable, "-W", "error", "-c", text], environment(**variables))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_each_function_is_called_here() -> None:
    here = Path(__file__).read_text()
    public = [
        name
        for name, each in inspect.getmembers(_compat)
        if (inspect.isfunction(each) or inspect.isclass(each)) and not name.startswith("_")
    ]
    assert sorted(public) == sorted(_compat.__all__)
    assert [name for name in public if f"_compat.{name}(" not in here] == []


# --- opentelemetry-sdk: resource and metric state


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader: InMemoryMetricReader) -> MeterProvider:
    return MeterProvider([reader], shutdown_on_exit=False)


def values(reader: InMemoryMetricReader) -> list[Any]:
    data = reader.get_metrics_data()
    return [
        point.value  # pyright: ignore[reportAttributeAccessIssue] - of sums
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def test_resource_of_all_three_providers_changes(meters: MeterProvider, reader: InMemoryMetricReader) -> None:
    traces, logs = TracerProvider(shutdown_on_exit=False), LoggerProvider(shutdown_on_exit=False)
    meters.get_meter("m").create_counter("c").add(1)
    _compat.update_resource(Resource({"who": "child"}), traces, meters, logs)
    data = reader.get_metrics_data()
    assert data is not None
    assert data.resource_metrics[0].resource.attributes["who"] == "child"
    assert traces.resource.attributes["who"] == logs.resource.attributes["who"] == "child"
    span = traces.get_tracer("t").start_span("s")
    assert isinstance(span, ReadableSpan)
    assert span.resource.attributes["who"] == "child"


def test_emptied_sums_begin_at_nothing_and_count_on(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    counter = meters.get_meter("m").create_counter("c")
    counter.add(5)
    _compat.empty_metric_state(meters, reader)
    assert values(reader) == []
    counter.add(2)
    assert values(reader) == [2]


def test_metrics_are_read_without_an_export_and_without_callbacks_that_nobody_wants(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    asked: list[str] = []

    def callback(name: str) -> Callable[[CallbackOptions], list[Observation]]:
        def observe(_options: CallbackOptions) -> list[Observation]:
            asked.append(name)
            return [Observation(1)]

        return observe

    meter = meters.get_meter("m")
    meter.create_counter("c").add(2)
    meter.create_observable_counter("o", [callback("o")])
    meter.create_observable_counter("p", [callback("p")])

    def read(**options: Any) -> list[str]:
        data = _compat.read_metrics(meters, reader, **options)
        assert data is not None
        return [metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics]

    def only_o(scope: str, name: str) -> bool:
        return (scope, name) == ("m", "o")

    assert read(asked=only_o) == ["c", "o"]
    assert asked == ["o"]
    assert sorted(read()) == ["c", "o", "p"]
    consumer: Any = meters._measurement_consumer
    with consumer._lock:  # a callback that hangs
        assert read(asked=only_o, patience=0.01) == ["c"]
        with pytest.raises(TimeoutError):
            read(patience=0.01)
    assert asked == ["o", "o", "p"]
    assert _compat.read_metrics(meters, InMemoryMetricReader()) is None


def test_who_looks_takes_nothing_out_of_an_export_that_is_being_collected(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(_options: CallbackOptions) -> list[Observation]:
        inside.set()
        assert go_on.wait(10)
        return [Observation(2)]

    meter = meters.get_meter("m")
    meter.create_observable_counter("o", [lambda _options: [Observation(1)]])
    meter.create_observable_gauge("g", [slow])
    exported: list[Any] = []
    export = threading.Thread(target=lambda: exported.extend(values(reader)))
    export.start()
    assert inside.wait(10)
    assert _compat.read_metrics(meters, reader, asked=lambda _scope, _name: True, patience=0.01) is None
    go_on.set()
    export.join()
    assert exported == [1, 2]


def test_a_collection_that_was_given_up_is_not_added_to_the_next(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    takes = [0.05]

    def quick(_options: CallbackOptions) -> list[Observation]:
        return [Observation(1)]

    def slow(_options: CallbackOptions) -> list[Observation]:
        time.sleep(takes[0])  # longer than the collection may take
        return [Observation(2)]

    _compat.guard_measurements(meters, lambda _instrument, attributes: attributes)
    meter = meters.get_meter("m")
    meter.create_counter("c").add(4)
    meter.create_observable_counter("o", [quick])
    meter.create_observable_counter("s", [slow])
    meter.create_observable_counter("last", [quick])  # the clock is looked at before each
    with pytest.raises(Exception, match="Timed out"):
        reader.collect(timeout_millis=1)
    takes[0] = 0.0
    assert sorted(values(reader)) == [1, 1, 2, 4]


def test_a_provider_that_has_measured_nothing_says_who_it_is() -> None:
    provider = MeterProvider(resource=Resource({"who": "me"}), shutdown_on_exit=False)
    assert _compat.resource_of_metrics(provider).attributes["who"] == "me"


def test_signal_while_metrics_are_read_is_known_to_hold_a_lock(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    seen: list[bool] = []

    def looking(_scope: str, _name: str) -> bool:
        seen.append(_compat.holds_metric_lock(sys._getframe()))
        return False

    meters.get_meter("m").create_observable_counter("o", [])
    _compat.read_metrics(meters, reader, asked=looking)
    assert seen == [True]


def test_locks_that_a_thread_of_the_parent_held_are_free(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    meter: Any = meters.get_meter("m")
    consumer: Any = meters._measurement_consumer
    held = (consumer._lock, meter._instrument_registration_lock)
    for lock in held:
        lock.acquire()
    _compat.empty_metric_state(meters, reader)
    meter.create_observable_counter("o", [])
    assert values(reader) == []


def test_signal_in_a_measurement_is_known_to_hold_a_lock(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    seen: list[bool] = []

    class Looking(int):
        def __radd__(self, other: int) -> int:
            seen.append(_compat.holds_metric_lock(sys._getframe()))
            return other + int(self)

    counter = meters.get_meter("m").create_counter("c")
    counter.add(1)
    counter.add(Looking(1))
    assert seen == [True]
    assert not _compat.holds_metric_lock(sys._getframe())
    assert not _compat.holds_metric_lock(None)
    assert values(reader) == [2]


def test_what_follows_from_a_measurement_is_recorded_in_another_instrument(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    meter = meters.get_meter("m")
    observed = meter.create_observable_gauge("derived.too")
    followed: list[Any] = []

    class Followers:
        def follow(self, measurement: Any) -> None:
            followed.append(measurement.value)

        def derived(self, measurement: Any) -> list[Any]:
            return [_compat.derived_measurement(measurement, measurement.value + 1, observed, {})]

    _compat.guard_measurements(meters, lambda _instrument, attributes: attributes, followers=Followers())
    meter.create_counter("count").add(3)
    meter.create_observable_gauge("level", [lambda _: [Observation(7)]])
    data: Any = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    assert {each.name: each.data.data_points[0].value for each in metrics} == {
        "count": 3,
        "level": 7,
        "derived.too": 8,
    }
    assert followed == [3]


def test_collectors_of_prometheus_client_are_asked_one_by_one() -> None:
    from prometheus_client import CollectorRegistry, Counter, Gauge

    registry = CollectorRegistry()
    plain, asking = Counter("c", "C.", registry=registry), Gauge("g", "G.", ["x"], registry=registry)
    asking.labels("1").set_function(lambda: 1.0)
    assert _compat.prometheus_collectors(registry) == [plain, asking]
    assert _compat.prometheus_collectors("another registry") == ["another registry"]
    assert not _compat.asks_a_function(plain)
    assert _compat.asks_a_function(asking)
    assert not _compat.asks_a_function(object)


def test_a_series_of_an_observable_instrument_began_when_it_was_not_there_yet(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    _compat.guard_measurements(meters, lambda _instrument, attributes: attributes)
    begun, seen = time.time_ns(), dict[str, int]()
    meters.get_meter("m").create_observable_counter(
        "c", [lambda _: [Observation(value, {"k": key}) for key, value in seen.items()]]
    )
    meters.get_meter("m").create_counter("s").add(1)

    def points() -> dict[str, Any]:
        data: Any = reader.get_metrics_data()
        (scope,) = data.resource_metrics[0].scope_metrics
        return {
            (point.attributes or {}).get("k", "s"): point
            for metric in scope.metrics
            for point in metric.data.data_points
        }

    reader.get_metrics_data()
    empty = time.time_ns()
    seen["a"] = 1
    first = points()
    seen["b"] = 1
    second = points()
    assert begun <= second["a"].start_time_unix_nano <= empty
    assert first["a"].time_unix_nano >= second["b"].start_time_unix_nano >= empty
    assert second["a"].start_time_unix_nano == first["a"].start_time_unix_nano
    assert second["s"].start_time_unix_nano >= begun, "another begins with its first measurement"
    _compat.empty_metric_state(meters, reader)
    forked = time.time_ns()
    assert empty < points()["a"].start_time_unix_nano <= forked


def test_measurement_is_recorded_under_the_attributes_that_the_guard_gives(
    meters: MeterProvider, reader: InMemoryMetricReader
) -> None:
    seen: list[str] = []

    def admit(instrument: Any, attributes: Any) -> Any:
        seen.append(instrument.name)
        return {**attributes, "guarded": True}

    def observe(_: Any) -> list[Observation]:
        return [Observation(3, {"a": 1}), Observation(4)]

    meters.get_meter("m").create_observable_gauge("before", [observe])
    _compat.guard_measurements(meters, admit)
    meters.get_meter("m").create_observable_gauge("after", [observe])
    meters.get_meter("m").create_counter("c").add(1, {"a": 1})
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    found = {
        metric.name: [dict(point.attributes or {}) for point in metric.data.data_points] for metric in metrics
    }
    both = {"a": 1, "guarded": True}
    assert found == {"before": [both, {}], "after": [both, {}], "c": [both]}
    assert sorted(seen) == ["after", "before", "c"]


def test_callbacks_and_processors_that_raise_are_told() -> None:
    failures: list[str] = []

    def failed(_part: Any, error: BaseException) -> None:
        failures.append(str(error))

    class Broken:
        def _raise(self, *_arguments: Any, **_options: Any) -> Any:
            raise ValueError("processor")

        on_start = on_end = on_emit = _raise

    def broken(_options: Any) -> Any:
        raise ValueError("callback")

    spans, logs = _compat.guarded_span_processors(failed), _compat.guarded_log_processors(failed)
    spans.add_span_processor(Broken())
    logs.add_log_record_processor(Broken())
    TracerProvider(active_span_processor=spans, shutdown_on_exit=False).get_tracer("t").start_span("s").end()
    LoggerProvider(shutdown_on_exit=False, multi_log_record_processor=logs).get_logger("l").emit(LogRecord())
    instrument = SimpleNamespace(_callbacks=[broken])
    _compat.quiet_callbacks(instrument, failed)
    assert list(instrument._callbacks[0](None)) == []
    assert failures[:1] + failures[-3:] == ["processor", "processor", "processor", "callback"]


def test_names_that_the_views_of_a_provider_leave_are_known(reader: InMemoryMetricReader) -> None:
    views = [
        View(instrument_name="one", attribute_keys={"a"}),
        View(instrument_name="o*", attribute_keys={"b"}),
        View(instrument_name="other", name="again"),
    ]
    meters = MeterProvider([reader], views=views, shutdown_on_exit=False)
    meter = meters.get_meter("m")
    given = {
        name: _compat.attributes_of_views(meters, meter.create_counter(name))
        for name in ("one", "other", "x")
    }
    assert given == {"one": {"a", "b"}, "other": None, "x": None}


# --- opentelemetry-api and -sdk: values and components


def test_forked_children_detect_who_they_are_without_a_thread() -> None:
    text = """
import os
os.environ["OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"] = "process"
from otel_kpi import _compat
_compat.detect_without_threads()
import concurrent.futures
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
providers = [LoggerProvider(), MeterProvider(), TracerProvider()]
def refused(*_rest, **_more): raise RuntimeError("a pool of threads")
concurrent.futures.ThreadPoolExecutor.submit = refused
if (child := os.fork()) == 0:
    resources = [getattr(each, "_resource", None) or each._sdk_config.resource for each in providers]
    print([each.attributes["process.pid"] == os.getpid() for each in resources], flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert python(text) == "[True, True, True]\n"


def test_value_that_cannot_be_text_becomes_its_type() -> None:
    text = """
import logging
from otel_kpi import _compat
logging.disable()  # upstream says which type it was
_compat.guard_attribute_values(); _compat.guard_attribute_values()
from opentelemetry.attributes import BoundedAttributes
class Odd:
    def __str__(self): raise RuntimeError
print(dict(BoundedAttributes(attributes={"odd": Odd(), "fine": 1}, extended_attributes=True)))
"""
    assert python(text) == "{'odd': '<Odd>', 'fine': 1}\n"


def test_value_that_contains_itself_or_has_no_end_costs_the_application_nothing() -> None:
    text = """
import logging
from otel_kpi import _compat
logging.disable()
_compat.guard_attribute_values()
from opentelemetry.attributes import BoundedAttributes
twice = []; twice += [twice, twice]
family = {"name": "a"}; family["children"] = [{"parent": family} for _ in range(9)]
class Hostile:
    def __getattribute__(self, name): raise RuntimeError
kept = BoundedAttributes(attributes={"hostile": object.__new__(Hostile), "twice": twice, "family": family, "long": range(10**12), "n": ({1: {"": 2, "b": b"3"}},)})
print(kept["hostile"], len(kept["long"]), kept["family"]["name"], kept["n"], len(str(kept["twice"])) < 2_000_000)
"""
    assert python(text) == "<Hostile> 19999 a ({'1': {'b': b'3'}},) True\n"


def test_samplers_and_id_generators_are_found_by_name() -> None:
    assert "0.25" in _compat.sampler_by_name("traceidratio", "0.25").get_description()
    assert "1.0" in _compat.sampler_by_name("parentbased_traceidratio", None).get_description()
    assert _compat.sampler_by_name("always_off", None).get_description() == "AlwaysOffSampler"
    assert _compat.id_generator_by_name("random").generate_trace_id() > 0
    with pytest.raises(LookupError):
        _compat.sampler_by_name("coin", None)
    with pytest.raises(ValueError, match="half"):
        _compat.sampler_by_name("traceidratio", "half")
    with pytest.raises(LookupError):
        _compat.id_generator_by_name("dice")


# --- how modules are imported


def test_hook_waits_for_the_end_of_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_made.py").write_text(
        "import sys\nfrom otel_kpi import _compat\nimporting = _compat.import_ended(__name__)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    modules: list[Any] = []
    _compat.after_import("half_made", modules.append)
    assert not _compat.import_ended("half_made")
    assert _compat.import_ended("half_made", absent=True)
    assert modules == []
    import half_made  # pyright: ignore[reportMissingImports]

    assert modules == [half_made]
    assert half_made.importing is False
    assert _compat.import_ended("half_made")
    _compat.after_import("half_made", modules.append)
    assert len(modules) == 2


def test_thread_in_the_middle_of_an_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_import.py").write_text(
        "import builtins\nbuiltins.inside.set()\nbuiltins.go_on.wait()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    inside, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr("builtins.inside", inside, raising=False)
    monkeypatch.setattr("builtins.go_on", go_on, raising=False)
    thread = threading.Thread(target=__import__, args=("slow_import",))
    assert not _compat.is_importing(thread)
    thread.start()
    assert inside.wait(10)
    assert _compat.is_importing(thread)
    assert not _compat.is_importing(threading.current_thread())
    go_on.set()
    thread.join()
    assert not _compat.is_importing(thread)


def test_refusal_of_a_version_is_told_from_other_errors() -> None:
    from opentelemetry.instrumentation.dependencies import DependencyConflict, DependencyConflictError

    assert _compat.is_dependency_conflict(DependencyConflictError(DependencyConflict("x < 1", "x 2")))
    assert not _compat.is_dependency_conflict(ValueError())


# --- opentelemetry-instrumentation-fastapi and -asgi


def test_a_route_decides_itself_what_it_matches() -> None:
    routing = pytest.importorskip("starlette.routing")

    class Refuses(routing.Route):
        def matches(self, scope: Any) -> Any:
            del scope
            return routing.Match.NONE, {}

    async def answer(_request: Any) -> None:
        """Is not called."""

    assert _compat.match_route(Refuses("/a", answer), {"type": "http", "path": "/a"})[0] is routing.Match.NONE


def test_routes_of_an_included_router_are_matched() -> None:
    fastapi = pytest.importorskip("fastapi")
    from starlette.routing import Match

    router = fastapi.APIRouter()
    router.add_api_route("/items/{number}", lambda number: number)  # pyright: ignore[reportUnknownLambdaType]
    app = fastapi.FastAPI(openapi_url=None)
    app.include_router(router, prefix="/api")
    scope = {"type": "http", "method": "GET", "path": "/api/items/3", "root_path": "", "headers": []}
    matches = {
        _compat.original_route(route).path: _compat.match_route(route, scope)[0]
        for route in _compat.matchable_routes(app.routes)
    }
    assert Match.FULL in matches.values()
    assert any("items/{number}" in path for path in matches)


def test_method_that_the_conventions_do_not_know_is_http() -> None:
    assert (_compat.known_method("GET"), _compat.known_method("BREW")) == ("GET", "HTTP")


# --- sentry-sdk


def test_exception_that_a_span_records_is_seen_as_an_object() -> None:
    text = """
from otel_kpi import _compat
from opentelemetry.sdk.trace import TracerProvider
seen = []
_compat.on_record_exception(lambda span, error: seen.append((span.name, repr(error))))
try:
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s") as span:
        raise ValueError("boom")
except ValueError:
    print(seen, len(span.events))
"""
    assert python(text) == """[('s', "ValueError('boom')")] 1\n"""


def test_context_that_a_thread_was_started_in_is_found() -> None:
    text = """
import threading
from opentelemetry import baggage, context
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from otel_kpi import _compat
ThreadingInstrumentor().instrument()
context.attach(baggage.set_baggage("who", "parent"))
thread = threading.Thread(target=lambda: None)
thread.start(); thread.join()
print(baggage.get_baggage("who", _compat.thread_context(thread)), _compat.thread_context(None))
"""
    assert python(text) == "parent None\n"


def test_sentry_starts_without_django_and_finds_it_later() -> None:
    text = """
import sys, sentry_sdk
from otel_kpi import _compat
with _compat.sentry_without_django():
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False, auto_enabling_integrations=False)
print("django" in sys.modules)
module = _compat.load_without("sentry_sdk.integrations._wsgi_common", "django")
print(module.RawPostDataException, "django" in sys.modules)
"""
    assert python(text) == "False\nNone False\n"


def test_sentrys_transport_tells_outcome_and_loss_and_leaves_no_span() -> None:
    text = """
import sys, sentry_sdk
from otel_kpi import _compat
lost, outcomes = [], []
make = _compat.sentry_transport(lambda reason, count: lost.append((reason, count)), outcomes.append)
with _compat.sentry_without_django():
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=make, default_integrations=False,
                    auto_enabling_integrations=False)
sentry_sdk.capture_message("hello")
sentry_sdk.flush(5)
sentry_sdk.get_client().close(1)
print(lost, {type(outcome).__name__ for outcome in outcomes})
"""
    assert python(text) == "[('network_error', 1)] {'str'}\n"


def test_breadcrumb_is_left_in_the_current_request_and_only_so_many_are_kept() -> None:
    text = """
import datetime, sentry_sdk
from otel_kpi import _compat
events = []
with _compat.sentry_without_django():
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False, auto_enabling_integrations=False,
                    before_send=lambda event, hint: events.append(event))
with sentry_sdk.isolation_scope():
    for number in range(5):
        _compat.add_sentry_breadcrumb({"timestamp": datetime.datetime.now(datetime.UTC), "message": str(number)}, 3)
    sentry_sdk.capture_message("inside")
sentry_sdk.capture_message("outside")
print([[crumb["message"] for crumb in event["breadcrumbs"]["values"]] for event in events])
"""
    assert python(text) == "[['2', '3', '4'], []]\n"


def test_every_client_of_sentry_is_seen_whoever_makes_it() -> None:
    text = """
import sentry_sdk, sentry_sdk.logger
from otel_kpi import _compat
seen = []
def prepared(client, event):
    seen.append(event.get("message"))
    return None if event.get("message") == "drop" else {**event, "extra": {"seen": True}}
def collected(item):
    seen.append(item["body"])
    return item
def send(event, hint):
    seen.append("sent by " + event["message"])
    return event
_compat.sentry_clients(lambda client: seen.append(client.is_active()), prepared, collected)
with _compat.sentry_without_django():
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False, auto_enabling_integrations=False,
                    before_send=send, enable_logs=True)
sentry_sdk.capture_message("keep"), sentry_sdk.capture_message("drop")
sentry_sdk.logger.info("log")
sentry_sdk.get_client().close(0)
print(seen)
"""
    assert python(text) == "[True, 'sent by keep', 'keep', 'sent by drop', 'drop', 'log']\n"


def test_gate_and_tunnel_of_sentrys_transport_are_asked() -> None:
    text = """
import sys, sentry_sdk
from otel_kpi import _compat
class Gate:
    def enter(self, envelope): print("enter"); return True
    def leave(self, envelope): print("leave"); return True
    def hurry(self): print("hurry")
outcomes = []
make = _compat.sentry_transport(lambda *_: None, outcomes.append, Gate(), sys.argv[1])
with _compat.sentry_without_django():
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=make, default_integrations=False,
                    auto_enabling_integrations=False)
sentry_sdk.capture_message("hello")
sentry_sdk.flush(5)
sentry_sdk.get_client().close(0)
print(outcomes)
"""
    with Receiver() as receiver:
        ended = run([sys.executable, "-W", "error", "-c", text, f"{receiver.url}/through"], environment())
        assert receiver.requests == ["/through"]
    *asked, outcomes = ended.stdout.split()
    assert (set(asked), outcomes, ended.stderr) == ({"enter", "hurry", "leave"}, "[None]", "")


def test_sentrys_integrations_come_with_the_framework() -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("django")
    text = """
import sys, sentry_sdk
from otel_kpi import _compat
with _compat.sentry_without_django():
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", default_integrations=False, auto_enabling_integrations=False)
_compat.sentry_frameworks(lambda: True, lambda: None)
names = lambda: sorted(sentry_sdk.get_client().integrations)
print(names())
import fastapi
print(names(), "django" in sys.modules)
import django.conf
django.conf.settings.configure(ALLOWED_HOSTS=["*"])
django.setup()
from django.core.handlers.wsgi import WSGIHandler
WSGIHandler()
print(names())
sentry_sdk.get_client().close(0)
"""
    assert python(text).splitlines() == [
        "[]",
        "['fastapi', 'starlette'] False",
        "['django', 'fastapi', 'starlette']",
    ]


# --- opentelemetry-instrumentation: suppression


def test_silence_for_drivers_is_no_silence_for_the_application() -> None:
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    assert _compat.instrumentation_enabled()
    assert not _compat.suppressed()
    token = context.attach(_compat.suppressed_context(object()))
    assert not _compat.instrumentation_enabled()
    assert not _compat.suppressed()
    context.detach(token)
    with suppress_instrumentation():
        assert _compat.suppressed()
    assert _compat.instrumentation_enabled()


# --- databases


def test_pool_of_sqlalchemy_says_how_far_it_goes_beyond_its_size() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from sqlalchemy.pool import QueuePool

    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=2, max_overflow=3)
    assert _compat.sqlalchemy_overflow(engine.pool) == 3
    entries: list[Any] = []

    def given_back(_: Any, entry: Any) -> None:
        entries.append(entry)

    sqlalchemy.event.listen(engine, "checkin", given_back)
    engine.connect().close()
    assert _compat.sqlalchemy_pool_of(entries[0]) is engine.pool
    engine.dispose()


def test_statement_has_upstreams_name_and_attributes() -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    assert _compat.database_schema_url().startswith("https://opentelemetry.io/schemas/")
    engine = sqlalchemy.create_engine("sqlite://")
    names = _compat.sqlalchemy_names(engine)
    statement = "/* who */ SELECT 1"
    with engine.connect() as connection:
        result = connection.execute(sqlalchemy.text("SELECT 1"))
        name, attributes = _compat.sqlalchemy_name_and_attributes(names, connection, result.cursor, statement)
        assert not _compat.has_upstream_span(result.context)
        result.close()
    engine.dispose()
    assert name.startswith("SELECT")
    assert attributes["db.system.name"] == "sqlite"
    assert attributes["db.query.text"] == statement


def test_upstreams_own_span_of_a_statement_is_seen() -> None:
    pytest.importorskip("sqlalchemy", minversion="1.4")
    execution = type("Execution", (), {"_otel_span": object()})()
    assert _compat.has_upstream_span(execution)
    from opentelemetry.instrumentation.sqlalchemy import engine as upstream

    assert "_otel_span" in inspect.getsource(upstream)


def test_every_call_of_aiosqlite_passes_the_wrapper() -> None:
    aiosqlite = pytest.importorskip("aiosqlite")
    calls: list[str] = []

    def wrapper(wrapped: Any, _: Any, arguments: Any, keywords: Any) -> Any:
        calls.append(getattr(arguments[0], "__name__", ""))
        return wrapped(*arguments, **keywords)

    async def query() -> None:
        async with aiosqlite.connect(":memory:") as connection, connection.execute("SELECT 1") as cursor:
            await cursor.fetchall()

    _compat.wrap_aiosqlite_calls(wrapper)
    try:
        asyncio.run(query())
    finally:
        _compat.unwrap_aiosqlite_calls()
    assert {"execute", "fetchall"} <= set(calls)
    before = len(calls)
    asyncio.run(query())
    assert len(calls) == before


# --- drivers of databases


def test_who_instruments_a_driver_is_seen_without_making_an_instrumentor() -> None:
    path = "opentelemetry.instrumentation.sqlite3:SQLite3Instrumentor"
    assert not _compat.instrumented_by_upstream("")
    assert not _compat.instrumented_by_upstream("not_imported:Instrumentor")
    upstream = pytest.importorskip("opentelemetry.instrumentation.sqlite3").SQLite3Instrumentor()
    assert not _compat.instrumented_by_upstream(path)
    upstream.instrument(skip_dep_check=True)
    try:
        assert _compat.instrumented_by_upstream(path)
    finally:
        upstream.uninstrument()
    assert not _compat.instrumented_by_upstream(path)


@pytest.mark.parametrize(
    ("opt_in", "printed"),
    [("http,database", "(True, False)"), ("http", "(False, True)"), ("database/dup", "(True, True)")],
)
def test_generation_of_database_names_is_the_one_that_was_asked_for(opt_in: str, printed: str) -> None:
    text = "from otel_kpi import _compat; print(_compat.database_names())"
    assert python(text, OTEL_SEMCONV_STABILITY_OPT_IN=opt_in).strip() == printed


def test_methods_of_asyncpg_are_where_they_were() -> None:
    cursor = pytest.importorskip("asyncpg.cursor").BaseCursor
    transaction = pytest.importorskip("asyncpg.transaction").Transaction
    assert all(inspect.iscoroutinefunction(vars(cursor)[name]) for name in _compat.asyncpg_cursor_starts())
    for name in _compat.asyncpg_transaction_methods():
        assert callable(vars(transaction)[name])
    connection = type(
        "Connection", (), {"_params": type("P", (), {"database": "shop"}), "_addr": ("::1", 5432)}
    )
    assert _compat.asyncpg_server(connection) == ("shop", ("::1", 5432))
    assert {"_params", "_addr"} <= set(pytest.importorskip("asyncpg").Connection.__slots__)
    statement = type("Statement", (), {"_connection": connection, "_query": "SELECT 1"})
    assert _compat.asyncpg_statement(statement) == (connection, "SELECT 1")
    assert "_query" in pytest.importorskip("asyncpg.prepared_stmt").PreparedStatement.__slots__


def test_pool_of_asyncpg_has_something_that_can_be_held_weakly() -> None:
    asyncpg = pytest.importorskip("asyncpg")

    async def hold() -> None:
        pool = asyncpg.create_pool(min_size=0, max_size=1)
        assert _compat.asyncpg_pool_anchor(pool) is None
        async with pool:
            anchor = _compat.asyncpg_pool_anchor(pool)
            assert weakref.ref(anchor)() is anchor
            assert _compat.asyncpg_pool_usage(anchor) == (0, 0, 1)
            assert inspect.iscoroutinefunction(getattr(pool, _compat.asyncpg_pool_method()))

    asyncio.run(hold())
    assert "_con" in asyncpg.pool.PoolConnectionProxy.__slots__
    assert _compat.asyncpg_connection(SimpleNamespace(_con="connection")) == "connection"


def test_djangos_transaction_on_sqlite_begins_where_it_did() -> None:
    base = pytest.importorskip("django.db.backends.sqlite3.base")
    assert "BEGIN" in inspect.getsource(vars(base.DatabaseWrapper)[_compat.django_sqlite_begin()])


def test_commands_of_a_pipeline_are_found() -> None:
    redis = pytest.importorskip("redis")
    with redis.Redis() as client, client.pipeline() as pipeline:
        pipeline.set("key", 1)
        assert [command[0] for command in _compat.redis_queue(pipeline)] == [("SET", "key", 1)]
    assert list(_compat.redis_queue(object())) == []


# --- urllib3 and CPython


def test_pool_whose_lock_is_held_can_be_closed_after_it_was_abandoned() -> None:
    with Receiver() as receiver:
        manager = urllib3.PoolManager()
        manager.request("POST", f"{receiver.url}/v1/traces", body=b"")
        pools: Any = manager.pools
        (pool,) = pools._container.values()
        pool.pool.mutex.acquire()
        connection = pool.pool.queue[-1]
        _compat.abandon_pools(manager)
        manager.clear()
        connection.close()


def test_hook_runs_before_another_program_takes_the_place() -> None:
    text = """
import os, sys
from otel_kpi import _compat
_compat.before_exec(lambda: print("flushed", flush=True))
os.execl(sys.executable, sys.executable, "-c", "print('other')")
"""
    assert python(text) == "flushed\nother\n"


def test_program_that_ctrl_c_ended_still_ends_by_it() -> None:
    text = """
import atexit, collections
from otel_kpi import _compat
@atexit.register
def _():
    collections.namedtuple("T", "a")
    _compat.remember_keyboard_interrupt()
raise KeyboardInterrupt
"""
    assert run([sys.executable, "-c", text], environment()).returncode == -2
    without = text.replace("_compat.remember_keyboard_interrupt()", "")
    assert run([sys.executable, "-c", without], environment()).returncode in {1, -2}


# --- opentelemetry-sdk: a finished span


def test_parts_of_a_span_are_what_its_properties_say() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    links = [Link(SpanContext(1, 2, is_remote=True), {"l": 1})]
    with tracer.start_as_current_span("parent"):
        span = tracer.start_span("s", kind=SpanKind.CLIENT, links=links, attributes={"a": 1})
        span.add_event("e", {"n": 2})
        span.end()
    assert isinstance(span, ReadableSpan)
    name, own, parent, kind, status, start, end, attributes, events, found, *dropped = _compat.span_parts(
        span
    )
    assert (name, own, parent, status) == (span.name, span.context, span.parent, span.status)
    assert (kind, start, end) == (span.kind.value, span.start_time, span.end_time)
    assert dict(attributes) == {"a": 1}
    assert [event.name for event in events] == ["e"]
    assert [link.context.trace_id for link in found] == [1]
    assert dropped == [0, 0, 0]


def test_span_of_another_make_is_read_through_its_properties() -> None:
    foreign = ReadableSpan(name="foreign", attributes={"a": 1})
    assert _compat.span_parts(foreign)[0] == "foreign"
    assert dict(_compat.span_parts(foreign)[7]) == {"a": 1}


# --- logging, structlog, loguru


def test_default_log_format_is_set_and_restored() -> None:
    import logging

    record = logging.makeLogRecord({"msg": "x"})
    handler = logging.Handler()
    before = handler.format(record)
    _compat.set_default_log_format("%(otelTraceID)s %(message)s", {"otelTraceID": "0"})
    try:
        assert handler.format(record) == "0 x"
    finally:
        _compat.restore_default_log_format()
    assert handler.format(record) == before == "x"


def test_structlog_renderer_has_a_step_before_and_after_it() -> None:
    import structlog

    seen: list[Any] = []

    def step(_logger: Any, method: str, event: Any) -> Any:
        seen.append((method, event))
        return event

    def render(_logger: Any, _method: str, event: Any) -> str:
        return f"rendered {event['event']}"

    logger = structlog.wrap_logger(structlog.testing.ReturnLogger(), processors=[render])
    _compat.wrap_structlog_renderer(step, step)
    try:
        assert logger.bind(a=1).info("x") == "rendered x"
    finally:
        _compat.unwrap_structlog_renderer()
    assert seen == [("info", {"a": 1, "event": "x"}), ("info", "rendered x")]
    assert logger.info("y") == "rendered y"
    assert len(seen) == 2


def test_loguru_sinks_are_given_records_through_a_wrapper() -> None:
    from loguru import logger

    seen: list[str] = []

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(args[0]["message"])
        return wrapped(*args, **kwargs)

    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    _compat.wrap_loguru_sinks(wrapper)
    try:
        logger.warning("x")
    finally:
        _compat.unwrap_loguru_sinks()
        logger.remove(sink)
    assert "x" in seen
    assert lines == ["x\n"]


def test_generation_of_the_http_conventions_and_what_metrics_are_told() -> None:
    conventions = _compat.http_conventions()
    assert _compat.http_reports(conventions) in {(True, False), (False, True), (True, True)}
    assert _compat.http_schema_url(conventions).startswith("https://opentelemetry.io/schemas/")
    attributes = {"http.request.method": "GET", "http.method": "GET", "url.path": "/x", "http.route": "/x"}
    stable = _compat.duration_attributes(attributes, stable=True)
    assert stable == {"http.request.method": "GET", "http.route": "/x"}
    assert _compat.duration_attributes(attributes, stable=False) == {"http.method": "GET"}
    assert set(_compat.active_attributes(attributes, conventions)) <= {"http.request.method", "http.method"}


def test_upstreams_asgi_middleware_says_of_its_span() -> None:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def pass_over(*_: Any) -> Any:
        return None

    seen: list[Any] = []
    middleware = OpenTelemetryMiddleware(app)

    def note(*found: Any) -> None:
        seen.append(found)

    _compat.on_asgi_span(middleware, note)
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(middleware(scope, pass_over, pass_over))
    [(found, span, attributes)] = seen
    assert found is scope
    assert hasattr(span, "set_attribute")
    assert isinstance(attributes, dict)


def test_upstreams_django_middleware_takes_a_span_that_is_shared() -> None:
    pytest.importorskip("django")
    from opentelemetry import trace
    from opentelemetry.instrumentation.django.middleware import otel_middleware
    from opentelemetry.propagators.textmap import default_getter

    span = trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)
    given: list[str] = []

    def shared(name: str) -> trace.Span | None:
        given.append(name)
        return span if name == "GET shared" else None

    def start(name: str) -> Any:
        start: Any = otel_middleware._start_internal_or_server_span
        return start(
            tracer=trace.NoOpTracer(),
            span_name=name,
            start_time=None,
            context_carrier={},
            context_getter=default_getter,
        )

    _compat.share_django_span(shared)
    try:
        assert start("GET shared") == (span, None)
        other, token = start("GET other")
        assert other is not span
        otel_middleware.detach(token)
    finally:
        _compat.unshare_django_span()
    assert given == ["GET shared", "GET other"]


def test_upstreams_django_middleware_writes_routes_as_they_are_read() -> None:
    pytest.importorskip("django")
    from types import SimpleNamespace

    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware

    request: Any = SimpleNamespace(
        method="GET", META={}, path="/a/7/", resolver_match=SimpleNamespace(route="^a/$")
    )
    _compat.wrap_django_routes(lambda route: route.strip("^$"), lambda wrapper: wrapper)
    try:
        assert _DjangoMiddleware._get_span_name(request) == "GET a/"
    finally:
        _compat.unwrap_django_routes()
    assert _DjangoMiddleware._get_span_name(request) == "GET ^a/$"


def test_upstreams_django_middleware_passes_over_what_it_is_told() -> None:
    pytest.importorskip("django")
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
    from opentelemetry.util.http import parse_excluded_urls

    before = _DjangoMiddleware._excluded_urls
    told = False
    _DjangoMiddleware._excluded_urls = parse_excluded_urls("listed")
    try:
        _compat.exclude_from_django(lambda: told)
        excluded: Any = _DjangoMiddleware._excluded_urls
        assert excluded.url_disabled("http://shop.test/listed")
        assert not excluded.url_disabled("http://shop.test/other")
        told = True
        assert excluded.url_disabled("http://shop.test/other")
    finally:
        _DjangoMiddleware._excluded_urls = before


def test_upstreams_django_middleware_is_given_a_path_where_the_host_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exceptions = pytest.importorskip("django.core.exceptions")
    from types import SimpleNamespace

    from opentelemetry.instrumentation.django.middleware import otel_middleware

    asked: list[str] = []

    def refuse(_location: str = "") -> str:
        raise exceptions.DisallowedHost

    def disabled(url: str) -> bool:
        asked.append(url)
        return True

    cls: Any = otel_middleware._DjangoMiddleware
    middleware = cls.__new__(cls)
    for name in ("process_request", "process_response"):
        # Other tests leave upstream's middleware guarded.
        monkeypatch.setattr(cls, name, inspect.unwrap(cls.__dict__[name]))
    request = SimpleNamespace(get_host=refuse, build_absolute_uri=refuse, scheme="http", path="/a/")
    before = cls._excluded_urls
    cls._excluded_urls = SimpleNamespace(url_disabled=disabled)
    _compat.measure_refused_hosts(lambda wrapper: wrapper)
    try:
        middleware.process_request(request)
        assert middleware.process_response(request, "answer") == "answer"
    finally:
        _compat.unmeasure_refused_hosts()
    assert asked == ["http:///a/"] * 2
    try:
        with pytest.raises(exceptions.DisallowedHost):
            middleware.process_request(request)
    finally:
        cls._excluded_urls = before


def test_django_says_nothing_of_a_response_that_is_left_unlogged(caplog: pytest.LogCaptureFixture) -> None:
    log_response = pytest.importorskip("django.utils.log").log_response
    from types import SimpleNamespace

    response = SimpleNamespace(status_code=503)
    _compat.leave_response_unlogged(response)
    log_response("never said", response=response)
    assert not caplog.records
    log_response("said", response=SimpleNamespace(status_code=503))
    assert [each.message for each in caplog.records] == ["said"]


def test_upstreams_http_clients_measure_what_raises() -> None:
    """tests/unit/instrumentation/test_httpx.py and test_urllib3.py say what is measured; here, what is taken for granted."""
    from opentelemetry.instrumentation import httpx, urllib3
    from opentelemetry.instrumentation.utils import suppress_instrumentation

    errors: list[BaseException] = []
    _compat.record_failures_of_httpx(errors.append)
    _compat.record_failures_of_urllib3(errors.append)
    wrapper: Any = httpx.HTTPXClientInstrumentor._handle_request_wrapper
    instrument = urllib3._instrument
    _compat.record_failures_of_httpx(errors.append)
    _compat.record_failures_of_urllib3(errors.append)
    assert httpx.HTTPX2ClientInstrumentor._handle_request_wrapper is wrapper
    assert inspect.iscoroutinefunction(httpx.HTTPX2ClientInstrumentor._handle_async_request_wrapper)
    assert urllib3._instrument is instrument

    def broken(*_args: Any) -> Any:
        raise TimeoutError

    options = dict.fromkeys(("sem_conv_opt_in_mode", "module", "excluded_urls"))
    handle: Any = functools.partial(
        wrapper, tracer=None, request_hook=None, response_hook=None,
        duration_histogram_old=None, duration_histogram_new=None, **options,
    )  # fmt: skip
    with suppress_instrumentation(), pytest.raises(TimeoutError):
        handle(broken, None, (), {})
    assert errors == []


def test_aiohttps_server_answers_through_what_is_wrapped() -> None:
    from aiohttp import web_protocol

    async def wrapper(*_args: Any) -> Any:
        return "answered"

    _compat.wrap_aiohttp_requests(wrapper)
    try:
        answer: Any = web_protocol.RequestHandler._handle_request
        assert asyncio.run(answer(None, None, None)) == "answered"
    finally:
        _compat.unwrap_aiohttp_requests()
    parameters = inspect.signature(web_protocol.RequestHandler._handle_request).parameters
    assert list(parameters)[1:] == ["request", "start_time", "request_handler"]


def test_granian_calls_an_application_through_what_is_wrapped() -> None:
    pytest.importorskip("granian")
    import granian.asgi

    wrapped_with: list[Any] = []

    def wrapper(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        wrapped_with.append(args[0])
        return wrapped(*args, **kwargs)

    _compat.wrap_granian_application("asgi", wrapper)
    try:
        application = object()
        granian.asgi._callback_wrapper(application, {}, {}, None)
    finally:
        _compat.unwrap_granian_application("asgi")
    assert wrapped_with == [application]


def test_command_of_click_and_of_typers_copy() -> None:
    assert _compat.click_command() == ""
    click = pytest.importorskip("click")
    typer = pytest.importorskip("typer")
    names: list[str] = []

    def note() -> None:
        names.append(_compat.click_command())

    group = click.Group("load", commands={"feed": click.Command("feed", callback=note)})
    group.main(["feed"], prog_name="load", standalone_mode=False)
    app = typer.Typer()
    app.command("feed")(note)
    app.command("other")(note)
    app(["feed"], prog_name="load", standalone_mode=False)
    assert names == ["load feed", "load feed"]


# --- opentelemetry-configuration: one component out of its element of the file


def declared_file(tmp_path: Path, text: str) -> Any:
    configuration = pytest.importorskip("opentelemetry.configuration")
    path = tmp_path / "otel.yaml"
    path.write_text(f'file_format: "1.0"\n{text}')
    return configuration.load_config_file(path)


def test_components_of_a_declarative_file_are_built_one_at_a_time(tmp_path: Path) -> None:
    file = declared_file(
        tmp_path,
        """
resource: {detection/development: {detectors: [{process: }]}}
tracer_provider:
  processors: [{simple: {exporter: {console: }}}]
  sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.5}}}}
  id_generator: {random: }
  tracer_configurator/development: {tracers: [{name: "noisy*", config: {enabled: false}}]}
meter_provider:
  readers: [{periodic: {exporter: {console: }}}, {pull: {exporter: {nosuch: }}}]
  views: [{selector: {instrument_name: a}, stream: {name: b}}]
  meter_configurator/development: {default_config: {enabled: true}}
logger_provider:
  processors: [{simple: {exporter: {console: }}}]
  logger_configurator/development: {default_config: {enabled: true}}
""",
    )
    traces, metrics, logs = file.tracer_provider, file.meter_provider, file.logger_provider
    exporters = [
        _compat.declared_exporter("traces", traces.processors[0].simple.exporter),
        _compat.declared_exporter("metrics", metrics.readers[0].periodic.exporter),
        _compat.declared_exporter("logs", logs.processors[0].simple.exporter),
    ]
    assert [type(each).__name__ for each in exporters] == [
        "ConsoleSpanExporter",
        "ConsoleMetricExporter",
        "ConsoleLogRecordExporter",
    ]
    assert "0.5" in _compat.declared_sampler(traces.sampler).get_description()
    assert _compat.declared_id_generator(traces.id_generator).generate_trace_id() > 0
    view: Any = _compat.declared_view(metrics.views[0])
    assert view._name == "b"
    with pytest.raises(Exception, match="nosuch"):
        _compat.declared_pull_reader(metrics.readers[1].pull.exporter)
    found = _compat.detected_attributes(file.resource.detection_development.detectors[0])
    assert found["process.pid"] == os.getpid()
    for kind, provider in (("tracer", traces), ("meter", metrics), ("logger", logs)):
        built = _compat.declared_configurator(kind, getattr(provider, f"{kind}_configurator_development"))
        maker: Any = {"tracer": TracerProvider, "meter": MeterProvider, "logger": LoggerProvider}[kind]
        maker(shutdown_on_exit=False, **_compat.configured_scopes(kind, built))
    quiet = TracerProvider(
        shutdown_on_exit=False,
        **_compat.configured_scopes(
            "tracer", _compat.declared_configurator("tracer", traces.tracer_configurator_development)
        ),
    )
    assert quiet.get_tracer("noisy.lib").start_span("s").is_recording() is False
    assert quiet.get_tracer("shop").start_span("s").is_recording() is True


def test_payload_of_a_lambda_invocation_is_left_alone() -> None:
    from opentelemetry.instrumentation.botocore.extensions import lmbd

    operation: Any = lmbd._OpInvoke
    call = SimpleNamespace(params={"Payload": "{}"})
    _compat.keep_lambda_payloads()
    operation.before_service_call(call, None)
    assert call.params["Payload"] == "{}"


# --- redaction


def test_copy_of_a_span_has_its_own_fields_and_shares_the_others() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("t").start_span("one", attributes={"a": 1})
    span.end()
    assert isinstance(span, ReadableSpan)
    bounded = _compat.bounded_attributes({"b": 2}, 3)
    copied = _compat.changed_span(span, _name="two", _attributes=bounded)
    assert copied is not None
    assert (copied.name, dict(copied.attributes or {}), copied.dropped_attributes) == ("two", {"b": 2}, 3)
    assert (span.name, dict(span.attributes or {})) == ("one", {"a": 1})
    assert (copied.context, copied.start_time, copied.resource) == (
        span.context,
        span.start_time,
        span.resource,
    )
    assert _compat.changed_span(span, _nothing_of_the_kind=1) is None


def test_loops_of_a_regular_expression_are_found_with_what_they_take() -> None:
    assert _compat.regex_loops(r"KD-\d{6}") == ()
    assert _compat.regex_loops(r"ab(?:cx|dy)+e*") == (("ab", "cx"), ("ab", "cx"), ("ab", "dy"), ("abcx", "e"))
    loops = _compat.regex_loops(r"x[^a]*(?=y{8})(?>\w+)\S{3,}(?P<n>.\s)*?")
    assert ("xb", "a") in loops
    assert any(body == "a " for _, body in loops)


def test_guards_find_what_upstreams_instrumentors_put_in_place() -> None:
    """In a process of its own: guards stay. A part that is named otherwise over there is an error here."""
    output = subprocess.run(
        [
            sys.executable,
            "-c",
            """if True:
            import importlib, wrapt
            from otel_kpi._compat.boundaries import _SPECIAL, UPSTREAM, guard_instrumentor
            from otel_kpi.instrumentation.boundary import Boundary, servers
            for name in (*_SPECIAL, "httpx", "urllib3", "kafka", "confluent_kafka", "aiokafka", "botocore"):
                module = importlib.import_module(f"{UPSTREAM}.{name}")
                boundary = Boundary(name)
                guard_instrumentor(module.__name__, boundary.wrap, boundary, servers)
                for attribute in ("wrap_function_wrapper", "wrapt"):
                    value = vars(module).get(attribute)
                    guarded = getattr(value, "wrap_function_wrapper", value)
                    assert guarded is not wrapt.wrap_function_wrapper, name
                print(name)
            """,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert output.returncode == 0, output.stderr
    assert len(output.stdout.split()) == 17


def test_values_are_added_to_a_histogram_at_once_and_before_a_collection() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram(
        "wait", explicit_bucket_boundaries_advisory=[1, 2]
    )
    sums = _compat.HistogramSums(provider, lambda _instrument, attributes: attributes)
    assert sums.takes(histogram, (1, 2))
    assert not sums.takes(histogram, (1, 3))
    _compat.before_collection(
        provider, lambda: sums.add(histogram, {"kind": "a"}, ([1, 2, -1], 4.5, 0.5, 2.0))
    )
    data = reader.get_metrics_data()
    assert data is not None
    [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.sum, point.bucket_counts, point.min, point.max) == (
        3,
        4.5,
        (1, 2, 0),
        0.5,
        2.0,
    )


def test_a_value_is_added_to_a_histogram_as_if_it_were_recorded_when_it_was_measured() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("wait", explicit_bucket_boundaries_advisory=[1])
    sums = _compat.HistogramSums(provider, lambda _instrument, attributes: attributes)
    leads_to = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    sums.first(histogram, {"kind": "a"}, (3.0, 1_000, leads_to))
    data = reader.get_metrics_data()
    assert data is not None
    [point] = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert (point.count, point.sum, point.bucket_counts) == (1, 3.0, (0, 1))
    [exemplar] = point.exemplars
    assert (exemplar.value, exemplar.time_unix_nano, exemplar.trace_id, exemplar.span_id) == (
        3.0,
        1_000,
        7,
        8,
    )


# --- slowapi


def test_slowapi_evaluates_limits_in_one_method() -> None:
    owner, name = _compat.slowapi_check()
    assert list(inspect.signature(getattr(owner, name)).parameters)[:3] == [
        "self",
        "request",
        "endpoint_func",
    ]


# --- SDKs of language models, and how their streams end


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_the_base_client_of_sdks_tells_of_its_requests(library: str) -> None:
    private = importlib.import_module("otel_kpi._compat.stainless")
    known = importlib.import_module(f"{library}._base_client")
    # A second copy of the module: the first one may be watched already.
    spec = importlib.util.spec_from_file_location(f"{library}._base_client_again", str(known.__file__))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert private.watch_base_client(module, SimpleNamespace()) == ()
    assert private.watch_base_client(module, SimpleNamespace()) == ()
    assert private.client_of(SimpleNamespace(_client=module)) is module


def test_what_upstream_reads_of_answers_is_where_it_was() -> None:
    answers = importlib.import_module("otel_kpi._compat.genai_answers")
    odd = importlib.import_module("otel_kpi.instrumentation.llm.streams").odd
    told = list[Exception]()
    # Once for the process, so with what is right for it.
    answers.bear_odd_streams(odd)
    answers.bear_managers(importlib.import_module("otel_kpi.packs.refusals").Refused, odd)
    answers.bound_choices()
    for library in ("openai", "anthropic"):
        importlib.import_module(f"otel_kpi._compat.{library}").bear_odd_answers(odd)
    stream = importlib.import_module("opentelemetry.util.genai.stream")
    assert {
        "_process_chunk",
        "_on_stream_end",
        "_on_stream_error",
    } <= stream.SyncStreamWrapper.__abstractmethods__
    module = ModuleType("upstream")
    module.read = lambda given: given.usage  # type: ignore[attr-defined] # what a module of upstream's has
    assert answers.bear_odd_answers(module, ("read", "gone"), told.append) == ("gone",)
    assert module.read(3) is None
    assert [type(error) for error in told] == [AttributeError]


def test_answers_of_openai_that_the_application_reads_are_waited_for() -> None:
    unread = importlib.import_module("otel_kpi._compat.openai_unread")
    ours = importlib.import_module("otel_kpi.instrumentation.llm.openai")
    # Once for the process, so with what is right for it.
    unread.wait_for_reading(ours._Watcher("openai", ours._read, ours._PATHS).data)
    for module, name in (
        ("patch", "_set_response_properties"),
        ("patch", "_set_embeddings_response_properties"),
        ("patch_responses", "set_invocation_response_attributes"),
    ):
        upstream = importlib.import_module(f"opentelemetry.instrumentation.genai.openai.{module}")
        assert getattr(upstream, name)._otel_kpi_waits
    httpx = importlib.import_module("httpx")
    assert "self.iter_bytes()" in inspect.getsource(httpx.Response.read)
    assert "self.aiter_bytes()" in inspect.getsource(httpx.Response.aread)


def test_streams_of_util_genai_and_of_openai_say_how_they_end() -> None:
    endings = importlib.import_module("otel_kpi._compat.genai_streams")
    helpers = importlib.import_module("otel_kpi._compat.openai")
    ours = importlib.import_module("otel_kpi.instrumentation.llm.streams")
    assert endings.follow_stream_endings(ours._ended) is True
    assert endings.chunks_of(SimpleNamespace()) == 0
    called: list[int] = []
    endings.outside_of_a_collection(called.append, 1)
    assert called == [1]
    helpers.end_openai_helpers(list[Exception]().append)
    helpers.end_raw_responses(ours.left)
    chat = importlib.import_module("openai.lib.streaming.chat")
    raw = importlib.import_module("opentelemetry.instrumentation.genai.openai._raw_response")
    assert "_raw_stream" in inspect.getsource(chat.ChatCompletionStream.__init__)
    assert {"_take_finalize", "__del__"} <= set(vars(raw.RawResponseStreamProxy))


def test_anthropics_sdk_leaves_spans_to_upstream_and_upstream_says_the_platform() -> None:
    private = importlib.import_module("otel_kpi._compat.anthropic")
    client = importlib.import_module("anthropic._base_client").BaseClient
    patch = importlib.import_module("opentelemetry.instrumentation.genai.anthropic.patch")
    extractors = importlib.import_module("opentelemetry.instrumentation.genai.anthropic.messages_extractors")
    wrappers = importlib.import_module("opentelemetry.instrumentation.genai.anthropic.wrappers")
    ours = importlib.import_module("otel_kpi.instrumentation.llm.anthropic")

    def call_all() -> list[Any]:
        private.leave_spans_to(ours._has_a_span)
        private.say_provider(ours.provider_of)
        private.bear_bad_usage()
        private.let_go_of_streams()
        return [
            vars(client)["_tracer"],
            patch._create_invocation,
            patch.wrap_raw_response,
            extractors.extract_usage_tokens,
            wrappers.MessagesStreamWrapper.__init__,
            wrappers.AsyncMessagesStreamWrapper.__init__,
        ]

    assert call_all() == call_all(), "each is done once"
    made = SimpleNamespace(_open_telemetry={"tracer_provider": None}, _lazy_tracer="theirs")
    assert vars(client)["_tracer"].fget(made) == "theirs"
    bad = SimpleNamespace(
        input_tokens="many", output_tokens=1, cache_creation_input_tokens=1, cache_read_input_tokens=1
    )
    assert extractors.extract_usage_tokens(bad) == extractors.UsageTokens()


def test_googles_sdk_makes_each_request_in_one_method_and_leaves_attempts_to_tenacity() -> None:
    private = importlib.import_module("otel_kpi._compat.google_genai")
    models = importlib.import_module("google.genai.models")
    client = importlib.import_module("google.genai._api_client")
    upstream = importlib.import_module("opentelemetry.instrumentation.google_genai.instrumentor")
    interactions = importlib.import_module("opentelemetry.instrumentation.google_genai.interactions")
    ours = importlib.import_module("otel_kpi.instrumentation.llm.google_genai")
    names = ("_generate_content", "_generate_content_stream", "_embed_content")

    def call_all() -> list[Any]:
        private.follow_answers(ours._begun, ours._read)
        private.follow_retries(ours._retried)
        private.follow_interactions(ours._interaction)
        private.leave_events_to_the_user()
        followed = [getattr(cls, name) for cls in (models.Models, models.AsyncModels) for name in names]
        return [
            *followed,
            client.retry_args,
            upstream.instrument_generate_content,
            interactions._apply_interaction_response_attributes,
        ]

    assert call_all() == call_all(), "each is done once"
    assert all(getattr(each, "__wrapped__", None) is not None for each in call_all())
    asked = client.retry_args(importlib.import_module("google.genai.types").HttpRetryOptions(attempts=2))
    state = SimpleNamespace(
        outcome=None,
        next_action=SimpleNamespace(sleep=0.1),
        fn=None,
        attempt_number=1,
        args=(),
        kwargs={},
    )
    with pytest.raises(RuntimeError, match="outcome"):  # tenacity's own log wants one; ours came before it
        asked["before_sleep"](state)
    assert "before_sleep" not in client.retry_args(None)


def test_upstream_reads_bedrocks_answers_where_they_are_told_of() -> None:
    private = importlib.import_module("otel_kpi._compat.bedrock")
    patch = importlib.import_module("opentelemetry.instrumentation.genai.bedrock.patch")
    stream = importlib.import_module("opentelemetry.instrumentation.genai.bedrock.stream")
    extensions = importlib.import_module("opentelemetry.instrumentation.botocore.extensions")
    endpoint = importlib.import_module("botocore.endpoint")
    ours = importlib.import_module("otel_kpi.instrumentation.llm.bedrock")

    def call_all() -> list[Any]:
        private.bear_odd_answers(importlib.import_module("otel_kpi.instrumentation.llm.streams").odd)
        private.follow_answers(ours._converse, ours._body, ours._event, ours._chunk)
        private.let_go_of_streams()
        private.follow_retries(ours._retried)
        return [
            patch.extract_converse_response,
            patch.extract_invoke_model_response,
            patch.extract_embedding_response,
            stream.extract_invoke_model_response,
            stream.extract_embedding_response,
            stream._BedrockConverseStreamMixin._process_chunk,
            stream._BedrockInvokeModelStreamMixin._process_chunk,
            stream.BedrockConverseStreamWrapper.__init__,
            endpoint.Endpoint._needs_retry,
        ]

    assert call_all() == call_all(), "each is done once"
    assert list(inspect.signature(inspect.unwrap(endpoint.Endpoint._needs_retry)).parameters) == [
        "self",
        "attempts",
        "operation_model",
        "request_dict",
        "response",
        "caught_exception",
    ]
    known = SimpleNamespace(_BOTOCORE_EXTENSIONS={**extensions._BOTOCORE_EXTENSIONS, "bedrock-runtime": None})
    private.leave_models_to_genai(known)
    assert set(known._BOTOCORE_EXTENSIONS) == set(extensions._BOTOCORE_EXTENSIONS) - {"bedrock-runtime"}
    assert "sqs" in known._BOTOCORE_EXTENSIONS


# --- libraries of models without an instrumentor of OpenTelemetry's


def test_clients_of_models_say_how_long_they_wait_and_whom_they_call() -> None:
    private = importlib.import_module("otel_kpi._compat.llm_clients")
    waits = private.mistral_retries()
    assert waits is not None
    assert next(iter(inspect.signature(getattr(*waits)).parameters)) == "exception"
    module, (after_answer,), (after_connection,) = private.cohere_retries()
    assert list(inspect.signature(getattr(module, after_answer)).parameters) == ["response", "retries"]
    assert list(inspect.signature(getattr(module, after_connection)).parameters) == ["retries"]
    cohere, ollama = importlib.import_module("cohere"), importlib.import_module("ollama")
    with cohere.ClientV2("none", base_url="https://models.example.org") as client:
        assert private.cohere_url(client) == "https://models.example.org"
    with ollama.Client("http://models.example.org:11434") as client:
        assert private.ollama_url(client).startswith("http://models.example.org:11434")
    assert private.cohere_url(SimpleNamespace()) is private.ollama_url(SimpleNamespace()) is None


def test_the_mcp_sdk_has_spans_of_its_own_where_ours_are_put() -> None:
    private = importlib.import_module("otel_kpi._compat.mcp")
    dispatcher: Any = importlib.import_module("mcp.shared.jsonrpc_dispatcher")
    original, ours = dispatcher.otel_span, SimpleNamespace()

    def instead(_attributes: Any) -> SimpleNamespace:
        return ours

    take_back = private.replace_client_spans(instead)
    try:
        with dispatcher.otel_span("MCP send ping", kind=None, attributes={}) as span:
            assert span is ours
    finally:
        take_back()
    assert dispatcher.otel_span is original
    assert list(inspect.signature(private.server_middleware().__call__).parameters) == [
        "self",
        "ctx",
        "call_next",
    ]
    owner, name = private.http_transport()
    assert list(inspect.signature(getattr(owner, name)).parameters) == ["self"]
    assert {"url", "session_id"} <= set(vars(owner("http://shop.example.org/mcp")))
    connection = object()
    assert (
        private.connection_of(SimpleNamespace(session=SimpleNamespace(_connection=connection))) is connection
    )
