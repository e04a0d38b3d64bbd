"""Series that follow from the measurements of other instruments."""

from __future__ import annotations

import math
import sys
import threading
import time
import timeit
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from support.measured import Measured
from support.pace import slowdown

from otel_kpi import _compat, record
from otel_kpi.exposition.source import Source
from otel_kpi.model import Attribute, Counter, Derivation, Gauge, Histogram
from otel_kpi.packs import chat
from otel_kpi.packs.chat.instruments import PACK
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard
from otel_kpi.sdk.derivations import Derivations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUTE = Attribute(name="route", brief="A route.", budget=3)
REQUEST = {"http.request.method": "GET", "http.route": "/chat/{id}", "http.response.status_code": 200}
SOURCE = "http.server.request.duration"


class Pipeline:
    """A provider whose measurements are followed as the distribution has it."""

    def __init__(self) -> None:
        reader = InMemoryMetricReader()
        self.provider = MeterProvider([reader], shutdown_on_exit=False)
        self.measured = Measured(self.provider, reader)
        self.meter = self.provider.get_meter("of.the.application")
        self.failed: list[str] = []
        self.derivations: Derivations | None = None

    def follow(
        self, *derivations: Derivation, load: Callable[[], tuple[Derivation, ...]] | None = None
    ) -> None:
        self.derivations = Derivations(
            load or (lambda: derivations), lambda part, _error: self.failed.append(part)
        )
        _compat.guard_measurements(
            self.provider, CardinalityGuard(Budget()).admit, followers=self.derivations
        )
        _compat.before_collection(self.provider, record.fold)
        sums = _compat.HistogramSums(self.provider, lambda _instrument, attributes: attributes)
        record.use(provider=self.provider, prefixes={"chat": "innatural_chatbot"}, sums=sums)


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    made = Pipeline()
    yield made
    record.use(provider=None, prefixes={}, sums=None, followed={})
    made.provider.shutdown()


def _counter(name: str = "old.requests") -> Counter:
    return Counter(name=name, unit="{request}", brief="Requests.", attributes=(ROUTE,))


def test_a_request_is_counted_and_timed_under_the_older_names(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    duration = pipeline.meter.create_histogram(SOURCE, "s")
    for seconds in (0.05, 0.3, 7.0):
        duration.record(seconds, REQUEST)
    duration.record(0.2, {**REQUEST, "http.response.status_code": 503})

    labels = {"method": "GET", "route": "/chat/{id}", "status_code": "200"}
    measured = pipeline.measured
    assert measured.value("innatural_chatbot_http_requests_total", **labels) == 3
    assert measured.value("innatural_chatbot_http_request_duration_seconds", **labels) == (
        3,
        pytest.approx(7.35),
    )
    point = measured.points("innatural_chatbot_http_request_duration_seconds")[tuple(sorted(labels.items()))]
    assert point.explicit_bounds == (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
    assert point.bucket_counts == (1, 1, 0, 0, 0, 1, 0)
    assert measured.value("innatural_chatbot_http_requests_total", **{**labels, "status_code": "503"}) == 1
    assert measured.value("http_server_request_duration_seconds", **_labels(REQUEST)) == (
        3,
        pytest.approx(7.35),
    )


def _labels(attributes: dict[str, Any]) -> dict[str, str]:
    return {key.replace(".", "_"): str(value) for key, value in attributes.items()}


def test_a_request_without_a_route_is_unmatched_and_never_its_path(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    pipeline.meter.create_histogram(SOURCE, "s").record(
        0.1, {"http.request.method": "GET", "url.path": "/wp-admin/7", "http.response.status_code": 404}
    )
    assert pipeline.measured.labels("innatural_chatbot_http_requests_total") == {
        (("method", "GET"), ("route", "unmatched"), ("status_code", "404"))
    }


def test_redis_is_counted_by_outcome_and_a_database_is_timed(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    duration = pipeline.meter.create_histogram("db.client.operation.duration", "s")
    duration.record(0.001, {"db.system.name": "redis", "db.operation.name": "GET"})
    duration.record(0.001, {"db.system.name": "redis", "db.operation.name": "GET", "error.type": "Timeout"})
    duration.record(0.002, {"db.system.name": "postgresql", "db.operation.name": "SELECT"})

    measured = pipeline.measured
    operations = "innatural_chatbot_redis_operations_total"
    assert measured.value(operations, operation="GET", status="success") == 1
    assert measured.value(operations, operation="GET", status="error") == 1
    assert measured.labels("innatural_chatbot_db_query_duration_seconds") == {(("operation", "SELECT"),)}


def test_calls_of_a_model_and_their_tokens_follow_from_the_conventions(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    duration = pipeline.meter.create_histogram("gen_ai.client.operation.duration", "s")
    tokens = pipeline.meter.create_histogram("gen_ai.client.token.usage", "{token}")
    duration.record(1.5, {"gen_ai.request.model": "gpt-4"})
    duration.record(9.0, {"gen_ai.request.model": "gpt-4", "error.type": "TimeoutError"})
    tokens.record(150, {"gen_ai.request.model": "gpt-4", "gen_ai.token.type": "input"})
    tokens.record(300, {"gen_ai.request.model": "gpt-4", "gen_ai.token.type": "output"})

    measured = pipeline.measured
    took = "innatural_chatbot_ai_request_duration_seconds"
    assert measured.value(took, model="gpt-4", status="success") == (1, 1.5)
    assert measured.value(took, model="gpt-4", status="error") == (1, 9.0)
    assert measured.value("innatural_chatbot_ai_tokens_total", model="gpt-4", type="prompt") == 150
    assert measured.value("innatural_chatbot_ai_tokens_total", model="gpt-4", type="completion") == 300


@pytest.mark.parametrize("observed", [True, False])
def test_connections_in_use_are_the_sum_of_all_pools(pipeline: Pipeline, *, observed: bool) -> None:
    pipeline.follow(*PACK.derivations)
    states = [
        (3, {"db.client.connection.pool.name": "a", "db.client.connection.state": "used"}),
        (9, {"db.client.connection.pool.name": "a", "db.client.connection.state": "idle"}),
        (1, {"db.client.connection.pool.name": "b", "db.client.connection.state": "used"}),
    ]

    def read(_options: CallbackOptions) -> list[Observation]:
        return [Observation(value, attributes) for value, attributes in states]

    if observed:
        pipeline.meter.create_observable_up_down_counter("db.client.connection.count", [read], "{connection}")
    else:
        counter = pipeline.meter.create_up_down_counter("db.client.connection.count", "{connection}")
        for value, attributes in states:
            counter.add(value, attributes)
    assert pipeline.measured.value("innatural_chatbot_db_connections") == 4
    assert pipeline.measured.value("innatural_chatbot_db_connections") == 4, "read once more"


def test_who_looks_between_two_exports_sees_no_zero_for_what_follows_from_a_callback(
    pipeline: Pipeline,
) -> None:
    pipeline.follow(*PACK.derivations)
    used = {"db.client.connection.pool.name": "a", "db.client.connection.state": "used"}
    pipeline.meter.create_observable_up_down_counter(
        "db.client.connection.count", [lambda _options: [Observation(3, used)]], "{connection}"
    )
    source = Source(pipeline.provider, pipeline.measured.reader, exported=False)
    source.ask()
    assert source.families()["innatural_chatbot_db_connections"].series == {"": 3}


def test_what_our_own_handles_add_up_is_followed_value_by_value(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    for _ in range(10):
        chat.track_ai_request("gpt-4", time.perf_counter() - 1.0, True, 150, 300)
    chat.track_ai_request("gpt-4", time.perf_counter() - 1.0, success=False)
    measured = pipeline.measured
    took = "innatural_chatbot_ai_request_duration_seconds"
    assert measured.value(took, model="gpt-4", status="success") == (10, pytest.approx(10, abs=1))
    assert measured.value(took, model="gpt-4", status="error")[0] == 1
    assert measured.value("innatural_chatbot_ai_tokens_total", model="gpt-4", type="completion") == 3_000
    stable = measured.points("gen_ai_client_operation_duration_seconds")
    assert sum(point.count for point in stable.values()) == 11


def test_an_exemplar_of_what_is_derived_leads_to_the_same_trace(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    duration = pipeline.meter.create_histogram(SOURCE, "s")
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("GET /chat")
    duration.record(0.3, REQUEST, trace.set_span_in_context(span))
    (point,) = pipeline.measured.points("innatural_chatbot_http_request_duration_seconds").values()
    assert [exemplar.trace_id for exemplar in point.exemplars] == [span.get_span_context().trace_id]


def test_what_is_derived_is_not_followed(pipeline: Pipeline) -> None:
    once = Derivation(source="a.requests", target=_counter("b.requests"), attributes=(("route",),))
    again = Derivation(source="b.requests", target=_counter("a.requests.again"), attributes=(("route",),))
    back = Derivation(
        source="b.duration",
        target=Histogram(name="b.duration", unit="s", brief="Itself.", buckets=(1.0,), attributes=(ROUTE,)),
        attributes=(("route",),),
    )
    pipeline.follow(once, again, back)
    pipeline.meter.create_counter("a.requests").add(2, {"route": "/"})
    pipeline.meter.create_histogram("b.duration", "s").record(1.0, {"route": "/"})
    assert pipeline.measured.value("b_requests_total", route="/") == 2
    assert not pipeline.failed


def test_a_gauge_and_an_observable_counter_are_followed_as_they_are(pipeline: Pipeline) -> None:
    score = Gauge(name="old.score", unit="{score}", brief="A score.", attributes=(ROUTE,))
    total = Counter(name="old.seen", unit="{item}", brief="Items.", attributes=(ROUTE,))
    pipeline.follow(
        Derivation(source="new.score", target=score, attributes=(("path", "=none"),)),
        Derivation(source="new.seen", target=total, attributes=(("path",),)),
    )
    pipeline.meter.create_gauge("new.score").set(4, {"path": "/"})
    pipeline.meter.create_gauge("new.score").set(7, {"path": "/"})
    pipeline.meter.create_observable_counter("new.seen", [lambda _: [Observation(12, {"path": "/"})]])
    assert pipeline.measured.value("old_score", route="/") == 7
    assert pipeline.measured.value("old_seen_total", route="/") == 12


def test_a_hundred_thousand_routes_stay_within_the_target_s_budget(pipeline: Pipeline) -> None:
    pipeline.follow(
        Derivation(source="new.requests", target=_counter(), attributes=(("path",),), amount="one")
    )
    requests = pipeline.meter.create_counter("new.requests")
    for number in range(100_000):
        requests.add(5, {"path": f"/{number % 90}x{number}"})
    points = pipeline.measured.points("old_requests_total")
    assert len(points) == 4
    assert sum(point.value for point in points.values()) == 100_000
    assert points[(("route", "other"),)].value >= 99_000


def test_a_broken_derivation_costs_what_it_derives_and_nothing_else(pipeline: Pipeline) -> None:
    places: Any = ((5,),)  # no text
    pipeline.follow(Derivation(source=SOURCE, target=_counter(), attributes=places))
    duration = pipeline.meter.create_histogram(SOURCE, "s")
    for _ in range(3):
        duration.record(0.1, REQUEST)
    assert pipeline.failed
    assert pipeline.measured.value("http_server_request_duration_seconds", **_labels(REQUEST))[0] == 3


def test_an_instrument_of_the_same_name_in_another_unit_is_not_the_source(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    theirs = pipeline.provider.get_meter("their.own").create_histogram(SOURCE, unit="ms")
    pipeline.meter.create_histogram(SOURCE, unit="s").record(0.25, REQUEST)
    for _ in range(3):
        theirs.record(250, REQUEST)
    labels = {"method": "GET", "route": "/chat/{id}", "status_code": "200"}
    found = pipeline.measured.value("innatural_chatbot_http_request_duration_seconds", **labels)
    assert found == (1, 0.25)
    assert pipeline.measured.value("innatural_chatbot_http_requests_total", **labels) == 1
    assert pipeline.failed == [f"derived from {SOURCE}"]


def test_derivations_that_cannot_be_loaded_cost_no_measurement() -> None:
    failed: list[str] = []

    def load() -> tuple[Derivation, ...]:
        raise ImportError("a pack that is not there")

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    _compat.guard_measurements(
        provider,
        lambda _instrument, attributes: attributes,
        followers=Derivations(load, lambda part, _error: failed.append(part)),
    )
    counter = provider.get_meter("m").create_counter("orders")
    counter.add(1)
    counter.add(1)
    assert Measured(provider, reader).value("orders_total") == 2
    assert failed == ["derivations"], "once, not at each measurement"
    provider.shutdown()


def test_who_comes_while_derivations_are_loaded_is_followed_too(pipeline: Pipeline) -> None:
    """The thread that exports reads a pool while a request's thread imports the pack."""
    loading, loaded = threading.Event(), threading.Event()

    def load() -> tuple[Derivation, ...]:
        loading.set()
        loaded.wait(10)
        return PACK.derivations

    pipeline.follow(load=load)
    first = pipeline.meter.create_histogram("first", "s")
    used = pipeline.meter.create_up_down_counter("db.client.connection.count", "{connection}")
    one = threading.Thread(target=lambda: first.record(1.0))
    other = threading.Thread(target=lambda: used.add(2, {"db.client.connection.state": "used"}))
    one.start()
    assert loading.wait(10)
    other.start()
    other.join(0.2)  # it may wait for the other, or load as well
    loaded.set()
    one.join()
    other.join()
    assert pipeline.measured.value("innatural_chatbot_db_connections") == 2


def test_measurements_that_make_no_sense_reach_nobody(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    duration = pipeline.meter.create_histogram(SOURCE, "s")
    for value in (math.nan, math.inf, -1.0):
        duration.record(value, REQUEST)
    assert not pipeline.measured.points("innatural_chatbot_http_requests_total")


def test_a_forked_child_s_series_begin_with_unused_budgets(pipeline: Pipeline) -> None:
    pipeline.follow(
        Derivation(source="new.requests", target=_counter(), attributes=(("path",),), amount="one")
    )
    requests = pipeline.meter.create_counter("new.requests")
    for number in range(5):
        requests.add(1, {"path": f"/{number}"})
    assert pipeline.derivations is not None
    pipeline.derivations.forget()
    record.clear()
    requests.add(1, {"path": "/4"})
    assert pipeline.measured.value("old_requests_total", route="/4") == 1


def test_threads_that_come_at_once_lose_no_count(pipeline: Pipeline) -> None:
    pipeline.follow(*PACK.derivations)
    duration = pipeline.meter.create_histogram(SOURCE, "s")
    start = threading.Barrier(8)

    def send(number: int) -> None:
        start.wait()
        for each in range(500):
            duration.record(0.1, {**REQUEST, "http.response.status_code": 200 + (number + each) % 5})

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    points = pipeline.measured.points("innatural_chatbot_http_requests_total")
    assert sum(point.value for point in points.values()) == 4_000


def test_a_callback_may_make_an_instrument_while_metrics_are_collected(pipeline: Pipeline) -> None:
    """The SDK's own list of observable instruments is behind the lock that a collection holds."""
    pipeline.follow()
    made: list[Any] = []

    def read(_options: CallbackOptions) -> list[Observation]:
        if not made:
            made.append(pipeline.meter.create_observable_gauge("inner", [lambda _: [Observation(1)]], "{x}"))
        return [Observation(2)]

    pipeline.meter.create_observable_gauge("outer", [read], "{x}")
    assert pipeline.measured.value("outer") == 2
    assert pipeline.measured.value("inner") == 1


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer takes more time than what is measured")
@pytest.mark.parametrize("derivation", PACK.derivations[:2], ids=["histogram", "counter"])
def test_what_is_derived_costs_a_microsecond_or_two(pipeline: Pipeline, derivation: Derivation) -> None:
    pipeline.follow(derivation)
    assert pipeline.derivations is not None
    taken: list[Any] = []
    consumer: Any = pipeline.provider._measurement_consumer
    guarded = consumer.consume_measurement

    def take(measurement: Any) -> None:
        taken.append(measurement)

    consumer.consume_measurement = take
    duration = pipeline.meter.create_histogram(SOURCE, "s")
    duration.record(0.1, REQUEST)
    consumer.consume_measurement = guarded
    follow, measurement = pipeline.derivations.follow, taken[0]
    best = min(timeit.repeat(lambda: follow(measurement), number=2_000, repeat=9)) / 2_000
    assert best < 6e-6 * slowdown(), f"{best * 1e6:.2f} µs"


def test_where_and_unless_compare_values_as_texts(pipeline: Pipeline) -> None:
    pipeline.follow(
        Derivation(
            source="new.requests",
            target=_counter(),
            attributes=(("path",),),
            where=MappingProxyType({"status": ("200",), "path": ()}),
            unless=MappingProxyType({"kind": ("probe",)}),
        )
    )
    requests = pipeline.meter.create_counter("new.requests")
    requests.add(1, {"path": "/", "status": 200})
    requests.add(1, {"path": "/", "status": 200, "kind": "user"})
    requests.add(1, {"path": "/", "status": 404})
    requests.add(1, {"status": 200})
    requests.add(1, {"path": "/", "status": 200, "kind": "probe"})
    assert pipeline.measured.value("old_requests_total", route="/") == 2
