"""Metrics that an application keeps in prometheus_client, as OTLP carries them and Prometheus shows them."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import REGISTRY, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar
from support.children import RUN, environment, run
from support.receiver import Receiver

from otel_kpi.exposition.families import translate
from otel_kpi.exposition.labels import Labels
from otel_kpi.exposition.text import written
from otel_kpi.exposition.totals import Identity, Member, add_up
from otel_kpi.instrumentation.prometheus.bridge import SCOPE, Bridge
from otel_kpi.instrumentation.prometheus.collection import Collection
from otel_kpi.sdk import producers
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard
from otel_kpi.sdk.deltas import Deltas
from otel_kpi.sdk.otlp import Encoding, encode_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Whatever a test registers is gone afterwards."""
    before = set(REGISTRY._collector_to_names)
    yield
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


@pytest.fixture
def failed() -> list[str]:
    return []


@pytest.fixture
def bridge(failed: list[str]) -> Bridge:
    def note(part: object, _error: BaseException) -> None:
        failed.append(str(part))

    return Bridge(CardinalityGuard(Budget()).admit, note)


def shown(bridge: Bridge) -> dict[str, Any]:
    """What Prometheus has of it: sample names with their labels, as `prometheus_client` itself would write them."""
    provider = MeterProvider(shutdown_on_exit=False)
    producers.add(provider, SCOPE, bridge)
    data = producers.completed(provider, MetricsData([]))
    found: dict[str, Any] = {}
    for family in translate(data, Labels()).values():
        for labels, value in family.series.items():
            text = f"{{{labels}}}" if labels and not labels.startswith("{") else labels
            found[f"{family.name}{text}"] = value
    provider.shutdown()
    return found


def produced(bridge: Bridge) -> dict[str, Any]:
    return {metric.name: metric for metric in bridge.produce()}


def test_each_kind_arrives_under_the_name_that_it_had(bridge: Bridge) -> None:
    Counter("shop_orders_total", "Orders.", ["shop"]).labels("rome").inc(3)
    Counter("shop_bytes_sent", "Bytes.", unit="bytes").inc(10)
    Gauge("shop_queue_length", "Waiting.").set(7)
    Gauge("shop_age_seconds", "Age.", unit="seconds").set(1.5)
    Summary("shop_basket", "Baskets.").observe(4)
    Info("shop_build", "Build.").info({"version": "1.2"})
    Enum("shop_state", "State.", states=["open", "closed"]).state("closed")
    duration = Histogram("shop_wait_seconds", "Waits.", buckets=(0.1, 1))
    for value in (0.05, 0.5, 0.5, 9):
        duration.observe(value)

    found = shown(bridge)
    assert found['shop_orders_total{shop="rome"}'] == 3
    assert found["shop_bytes_sent_bytes_total"] == 10
    assert found["shop_queue_length"] == 7
    assert found["shop_age_seconds"] == 1.5
    assert found['shop_build_info{version="1.2"}'] == 1
    assert found['shop_state{shop_state="closed"}'] == 1
    assert found['shop_state{shop_state="open"}'] == 0
    assert (found["shop_wait_seconds"].bounds, found["shop_wait_seconds"].counts) == ((0.1, 1.0), (1, 2, 1))
    assert found["shop_wait_seconds"].total == pytest.approx(10.05)
    assert (found["shop_basket"].counts, found["shop_basket"].total) == ((1,), 4)


def test_the_same_text_comes_out_as_from_the_library_itself(bridge: Bridge) -> None:
    """All names and values of `generate_latest`, but for what is left out on purpose."""
    Counter("a", "A.", ["x"]).labels("1").inc()
    Gauge("b", "B.").set(-2)
    histogram = Histogram("c", "C.")
    histogram.observe(0.3)
    text = prometheus_client.generate_latest(REGISTRY).decode()
    theirs = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created") and sample.name[:2] in {"a_", "b", "c_"}
    }
    ours = shown(bridge)
    assert theirs["a_total"] == ours['a_total{x="1"}'] == 1
    assert theirs["b"] == ours["b"] == -2
    assert theirs["c_count"] == ours["c"].count() == 1
    assert theirs["c_sum"] == ours["c"].total == 0.3
    assert histogram._upper_bounds[:-1] == list(ours["c"].bounds)


def test_what_every_process_says_of_itself_is_not_said_twice(bridge: Bridge) -> None:
    names = " ".join(produced(bridge))
    assert "process_" not in names
    assert "python_" not in names
    assert {"process_cpu_seconds", "python_gc_collections", "python_info"} & {
        metric.name for metric in REGISTRY.collect()
    }


def test_start_and_exemplar_come_with_it(bridge: Bridge) -> None:
    counter = Counter("traced", "Traced.")
    counter.inc(2, exemplar={"trace_id": "a" * 32, "span_id": "b" * 16, "user": "u"})
    histogram = Histogram("traced_seconds", "Traced.", buckets=(1.0,))
    histogram.observe(0.2, exemplar={"trace_id": "c" * 32})
    metrics = produced(bridge)
    (point,) = metrics["traced"].data.data_points
    (exemplar,) = point.exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (int("a" * 32, 16), int("b" * 16, 16))
    assert dict(exemplar.filtered_attributes) == {"user": "u"}
    assert point.start_time_unix_nano == pytest.approx(counter._created * 1e9)
    (point,) = metrics["traced_seconds"].data.data_points
    assert [each.trace_id for each in point.exemplars] == [int("c" * 32, 16)]


def test_what_is_not_a_number_is_left_out(bridge: Bridge) -> None:
    Gauge("a_gauge", "G.").set(math.nan)
    Gauge("hot", "G.").set(math.inf)

    class Broken:
        def collect(self) -> Iterator[Metric]:
            yield CounterMetricFamily("negative", "N.", value=-1)
            family = Metric("strange", "S.", "histogram")
            family.add_sample("strange_bucket", {"le": "soon"}, 1)
            yield family

    REGISTRY.register(Broken())
    found = shown(bridge)
    assert found["hot"] == math.inf
    assert not {"a_gauge", "negative_total", "strange"} & set(found)


class Telling:
    """A collector of the application's that gives what it was given."""

    def __init__(self, *metrics: Any) -> None:
        self.metrics = metrics

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Any:
        return iter(self.metrics)


def lying(name: Any, kind: str, samples: list[Any], help_text: Any = "Help.") -> Metric:
    """A metric as a collector may give it that checks nothing."""
    metric = Metric("honest", "Help.", kind)
    metric.name, metric.documentation = name, help_text
    for sample in samples:
        metric.add_sample(*sample)
    return metric


def test_a_collector_that_gives_each_series_a_metric_of_its_own_loses_none(bridge: Bridge) -> None:
    REGISTRY.register(
        Telling(
            lying("jobs", "counter", [("jobs_total", {"queue": "a"}, 1.0)]),
            lying("jobs", "counter", [("jobs_total", {"queue": "b"}, 2.0)]),
            lying("jobs", "gauge", [("jobs", {"queue": "c"}, 3.0)]),
        )
    )
    assert shown(bridge) == {'jobs_total{queue="a"}': 1, 'jobs_total{queue="b"}': 2}


NO_TEXT: Any = {"trace_id": 5}


@pytest.mark.parametrize(
    "lie",
    [
        lying("x", "gauge", [("x", {}, 1.0)], help_text=b"bytes"),
        lying("x", "gauge", [("x", {}, 1.0)], help_text=5),
        lying("x", "gauge", [("x", {5: "a", "": "b"}, 1.0)]),
        lying("é", "gauge", [("é", {"é": "a"}, 1.0)]),
        lying("", "gauge", [("", {}, 1.0)]),
        lying("x\nevil 1\n#", "gauge", [("x\nevil 1\n#", {'a"} 1\nevil{b="': "c"}, 1.0)]),
        lying("x", "counter", [("x_total", {}, 1.0), ("x_created", {}, math.inf)]),
        lying("x", "counter", [("x_total", {}, 1.0), ("x_created", {}, -1e30)]),
        lying("x", "counter", [("x_total", {}, 1.0, None, Exemplar({"trace_id": "f" * 80}, 1.0, 1e300))]),
        lying("x", "counter", [("x_total", {}, 1.0, None, Exemplar(NO_TEXT, math.nan, -1.0))]),
        lying("x", "histogram", [("x_bucket", {"le": "1"}, 1e300), ("x_bucket", {"le": "+Inf"}, 1e300)]),
        None,
    ],
)
def test_a_collector_that_lies_costs_its_own_series(bridge: Bridge, lie: Any) -> None:
    Gauge("fine", "Fine.").set(1)
    REGISTRY.register(Telling(lie))
    metrics = bridge.produce()
    scope = ScopeMetrics(InstrumentationScope(SCOPE), metrics, "")
    data = MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    for encoding in Encoding:
        encoded = encode_metrics(data, encoding)
        assert encoded.items >= 1
    totals = add_up([Member(Identity("i", "", ""), translate(data, Labels()), 1.0)])
    told = [
        family.name for family in text_string_to_metric_families(written(totals, openmetrics=False).decode())
    ]
    assert "fine" in told
    assert "evil" not in told
    # A moment or a trace that makes no sense is left out by itself.
    if lie is not None and lie.type == "counter":
        assert "x" in told


def test_a_collector_that_raises_costs_its_own_series(bridge: Bridge, failed: list[str]) -> None:
    class Raising:
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> Iterator[Metric]:
            yield GaugeMetricFamily("half", "H.", value=1)
            raise SystemExit("the database is gone")

    REGISTRY.register(Raising())
    Gauge("asks", "Asks.").set_function(lambda: 1 / 0)
    Gauge("fine", "Fine.").set(1)
    found = shown(bridge)
    assert found["fine"] == 1
    assert not {"half", "asks"} & set(found)
    raised = [name.rpartition(".")[2] for name in failed]
    assert sorted(raised) == ["Raising", "collector asks"]
    assert shown(bridge)["fine"] == 1


def test_a_collector_that_hangs_is_left_out_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    go_on = threading.Event()

    class Hanging:
        def describe(self) -> list[Metric]:
            return []

        def collect(self) -> list[Metric]:
            go_on.wait(30)
            return [GaugeMetricFamily("late", "L.", value=1)]

    before = Gauge("before_it", "B.")
    REGISTRY.register(Hanging())
    after = Gauge("after_it", "A.")
    before.set(1)
    after.set(2)
    collection = Collection(lambda _part, _error: None, patience=0.2)

    def names() -> set[str]:
        return {metric.name for metric in collection.collect()}

    assert "before_it" in names()
    with caplog.at_level(logging.WARNING, "otel_kpi"):
        started = time.monotonic()
        for _ in range(5):
            assert names() >= {"before_it", "after_it"}
            assert "late" not in names()
        assert time.monotonic() - started < 2, "nobody waits for it again"
    go_on.set()
    deadline = time.monotonic() + 10
    while "late" not in names():
        assert time.monotonic() < deadline
    said = [record.message for record in caplog.records if "Hanging does not answer" in record.message]
    assert len(said) == 1, "once is enough"


def test_many_that_hang_leave_the_library_s_own_metrics(failed: list[str]) -> None:
    def askers() -> int:
        return sum(each.name == "otel-kpi-prometheus-client" for each in threading.enumerate())

    before = askers()
    release = threading.Event()
    for number in range(6):
        Gauge(f"asks_{number}", "Asks.").set_function(lambda: float(release.wait(30)))
    Gauge("fine", "Fine.").set(1)
    collection = Collection(lambda part, _error: failed.append(str(part)), patience=0.05)
    for _ in range(8):
        collection.collect()
    assert "fine" in {metric.name for metric in collection.collect()}
    assert askers() - before <= 5
    release.set()


def test_a_name_that_opentelemetry_measures_already_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    Gauge("jobs", "Theirs.").set(3)
    Gauge("other_jobs", "Theirs.").set(4)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("app").create_up_down_counter("jobs", "{job}").add(1)
    producers.add(provider, SCOPE, Bridge())
    data = reader.get_metrics_data()
    assert data is not None
    with caplog.at_level(logging.WARNING, "otel_kpi"):
        producers.completed(provider, data)
        complete = producers.completed(provider, data)
    names = [metric.name for scope in complete.resource_metrics[0].scope_metrics for metric in scope.metrics]
    assert names.count("jobs") == 1
    assert "other_jobs" in names
    assert len([each for each in caplog.records if "jobs is left out" in each.message]) == 1
    provider.shutdown()


def test_twenty_thousand_label_sets_stay_within_the_budget(bridge: Bridge) -> None:
    counter = Counter("visits", "Visits.", ["user"])
    for number in range(20_000):
        counter.labels(f"user{number}").inc()
    points = produced(bridge)["visits"].data.data_points
    assert len(points) <= 201
    assert sum(point.value for point in points) == 20_000


def test_a_receiver_of_deltas_gets_what_was_added(bridge: Bridge) -> None:
    counter, histogram, gauge = Counter("c", "C."), Histogram("h", "H.", buckets=(1,)), Gauge("g", "G.")
    deltas = Deltas()

    def said() -> dict[str, Any]:
        return {
            each.name: each.data.data_points[0]
            for each in deltas.of(bridge.produce())
            if each.name in {"c", "h", "g"}
        }

    counter.inc(5)
    histogram.observe(0.5)
    gauge.set(1)
    first = said()
    assert (first["c"].value, first["h"].count, first["g"].value) == (5, 1, 1)
    assert set(said()) == {"g"}
    counter.inc(2)
    histogram.observe(3)
    second = said()
    assert (second["c"].value, second["h"].sum, list(second["h"].bucket_counts)) == (2, 3, [0, 1])
    assert second["c"].start_time_unix_nano >= first["c"].time_unix_nano
    counter.reset()
    counter.inc(1)
    assert said()["c"].value == 1
    again = {each.name: each for each in Deltas().of(bridge.produce())}
    assert getattr(again["c"].data, "aggregation_temporality", None) is AggregationTemporality.DELTA


def test_what_the_parent_counted_is_the_parent_s_to_tell(bridge: Bridge) -> None:
    counter, histogram = Counter("c", "C."), Histogram("h", "H.", buckets=(1,))
    gauge, idle = Gauge("g", "G."), Gauge("idle", "I.")
    counter.inc(5)
    histogram.observe(0.5)
    gauge.set(1)
    idle.set(9)
    bridge.before_fork()
    bridge.after_fork_in_child()
    counter.inc(2)
    histogram.observe(3)
    gauge.set(4)
    found = shown(bridge)
    assert (found["c_total"], found["h"].counts, found["g"]) == (2, (0, 1), 4)
    assert "idle" not in found
    gauge.set(1)
    assert shown(bridge)["g"] == 1, "its own, though the parent had the same"
    counter.reset()
    counter.inc(3)
    assert shown(bridge)["c_total"] == 3


def test_names_that_prometheus_would_change_are_said(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    Gauge("two__lines", "T.").set(1)
    with caplog.at_level(logging.WARNING, "otel_kpi"):
        found = shown(bridge)
    assert found["two_lines"] == 1
    assert "two__lines is two_lines in Prometheus" in caplog.text


def test_names_and_labels_that_prometheus_gives_itself_do_not_meet(bridge: Bridge) -> None:
    Gauge("queue", "Waiting.", ["job", "instance"]).labels("mail", "a").set(2)
    Info("target", "As if it were the resource.").info({"version": "1"})
    Gauge("pod_created", "A gauge of that name.").set(3)
    found = shown(bridge)
    assert found['queue{exported_instance="a",exported_job="mail"}'] == 2
    assert found["pod_created"] == 3
    assert not [name for name in found if name.startswith("target")]


def test_a_type_that_nobody_knows_is_a_gauge(bridge: Bridge) -> None:
    class Untyped:
        def collect(self) -> Iterator[Metric]:
            yield UntypedMetricFamily("whatever", "W.", value=3)

    REGISTRY.register(Untyped())
    assert shown(bridge)["whatever"] == 3


def test_quantiles_of_a_foreign_summary_are_left_out(bridge: Bridge) -> None:
    text = 'rpc{quantile="0.5"} 2\nrpc_sum 30\nrpc_count 10\n'
    parsed = list(text_string_to_metric_families(f"# TYPE rpc summary\n{text}"))

    class Proxy:
        def collect(self) -> list[Metric]:
            return parsed

    REGISTRY.register(Proxy())
    found = shown(bridge)
    assert (found["rpc"].counts, found["rpc"].total) == ((10,), 30)


PROGRAM = """
import os, sys
import prometheus_client
import otel_kpi
counter = prometheus_client.Counter("jobs_total", "Jobs.", ["kind"])
gauge = prometheus_client.Gauge("level", "Level.", **({"multiprocess_mode": "all"} if "m" in sys.argv else {}))
counter.labels("a").inc(3)
gauge.set(1)
pid = os.fork()
if pid == 0:
    counter.labels("a").inc(4)
    otel_kpi.flush()
    os._exit(0)
os.waitpid(pid, 0)
counter.labels("a").inc(10)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.parametrize("mode", ["alone", "m"])
def test_a_parent_and_its_child_add_up_to_what_was_counted(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    folder = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if mode == "m" else {}
    with Receiver() as receiver:
        env = environment(
            receiver.url,
            OTEL_KPI_PROMETHEUS_CLIENT="true",
            OTEL_SERVICE_NAME=f"prometheus-{mode}",
            **folder,
        )
        ended = run([*RUN, sys.executable, str(path), mode], env)
        assert (ended.returncode, ended.stderr) == (0, "")
        last: dict[str, float] = {}
        for point in receiver.points:
            if point.metric == "jobs":
                assert point.scope == "prometheus_client"
                last[point.resource["service.instance.id"]] = point.item.as_double
        assert sorted(last.values()) == [4, 13]


def test_without_the_setting_nothing_of_it_goes_out(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "import prometheus_client, sys\nprometheus_client.Counter('jobs', 'J.').inc()\n"
        "from opentelemetry import trace\ntrace.get_tracer('t').start_span('s').end()\n"
        "print('otel_kpi.sdk.producers' in sys.modules)\n"
    )
    with Receiver() as receiver:
        ended = run(
            [*RUN, sys.executable, str(path)], environment(receiver.url, OTEL_SERVICE_NAME="prometheus-off")
        )
        assert ended.stdout == "False\n"
        assert not [point for point in receiver.points if point.metric == "jobs"]


def test_a_process_that_has_nothing_else_sends_it(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(
        "import prometheus_client as p\np.Counter('jobs', 'J.').inc(2)\n"
        "p.Histogram('took', 'T.', buckets=(1, 2)).observe(1.5)\np.Summary('size', 'S.').observe(3)\n"
    )
    with Receiver() as receiver:
        env = environment(
            receiver.url,
            OTEL_KPI_PROMETHEUS_CLIENT="true",
            OTEL_SERVICE_NAME="prometheus-only",
            OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics",
        )
        ended = run([*RUN, sys.executable, str(path)], env)
        assert (ended.returncode, ended.stderr) == (0, "")
        found = {point.metric: point.item for point in receiver.points}
        assert found["jobs"].as_double == 2
        bounds, counts = list(found["took"].explicit_bounds), list(found["took"].bucket_counts)
        assert (bounds, counts) == ([1, 2], [0, 1, 0])
        assert (found["size"].count, found["size"].sum, list(found["size"].bucket_counts)) == (1, 3, [1])
        assert not found["took"].HasField("min")
