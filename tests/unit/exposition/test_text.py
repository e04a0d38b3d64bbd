from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Gauge,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from otel_kpi.exposition import text
from otel_kpi.exposition.families import Distribution, Family, translate
from otel_kpi.exposition.labels import Labels, is_label_text, label_text, labels_of, value_text
from otel_kpi.exposition.snapshot import Snapshot, decode, encode
from otel_kpi.exposition.totals import Identity, Member, add_up

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter

    from otel_kpi.exposition.families import Families, Value

    Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

SHOP = {
    "service.name": "shop",
    "service.version": "1.2",
    "deployment.environment.name": "test",
    "service.instance.id": "host-1",
    "host.name": "host",
}
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
IDENTITY = {"app": "shop", "version": "1.2", "environment": "test", "instance": "host-1"}


class Measured:
    """A real provider, and what is exposed of it."""

    def __init__(self, *views: View) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider(
            [self._reader], Resource(SHOP), shutdown_on_exit=False, views=list(views)
        )
        self.meter: Meter = self._provider.get_meter("a")
        self.other_meter: Meter = self._provider.get_meter("b")

    def exposed(self, form: str = "text") -> str:
        return exposed(translate(self._reader.get_metrics_data(), Labels()), form)

    def samples(self, form: str) -> Samples:
        return samples_of(self.exposed(form), form)


def exposed(families: Families, form: str) -> str:
    totals = add_up([Member(Identity.of(SHOP), families, 1.0)])
    return text.written(totals, openmetrics=form == "openmetrics").decode()


def samples_of(body: str, form: str) -> Samples:
    parse = openmetrics_families if form == "openmetrics" else text_families
    return {
        (sample.name, frozenset(sample.labels.items() - IDENTITY.items())): sample.value
        for family in parse(body)
        for sample in family.samples
    }


@pytest.fixture(params=["text", "openmetrics"])
def form(request: pytest.FixtureRequest) -> str:
    return request.param


def test_each_kind_has_its_type_its_help_and_its_unit() -> None:
    measured = Measured()
    measured.meter.create_counter("shop.orders", "{order}", 'Orders.\nAll \\ of "them".').add(2, {"a": "b"})
    measured.meter.create_up_down_counter("shop.carts", "{cart}").add(3)
    measured.meter.create_gauge("shop.stock.level", "%").set(12.5)
    measured.meter.create_histogram(
        "shop.delay", "s", explicit_bucket_boundaries_advisory=[0.005, 1, 2_500_000]
    ).record(0.5)
    own = 'app="shop",environment="test",version="1.2",instance="host-1"'
    target = (
        'app="shop",deployment_environment_name="test",environment="test",host_name="host",'
        'instance="host-1",job="shop",service_version="1.2",version="1.2"'
    )
    assert measured.exposed().splitlines() == [
        "# HELP target_info Target metadata",
        "# TYPE target_info gauge",
        f"target_info{{{target}}} 1",
        "# TYPE shop_carts gauge",
        f"shop_carts{{{own}}} 3",
        "# TYPE shop_delay_seconds histogram",
        f'shop_delay_seconds_bucket{{{own},le="0.005"}} 0',
        f'shop_delay_seconds_bucket{{{own},le="1"}} 1',
        f'shop_delay_seconds_bucket{{{own},le="2500000"}} 1',
        f'shop_delay_seconds_bucket{{{own},le="+Inf"}} 1',
        f"shop_delay_seconds_sum{{{own}}} 0.5",
        f"shop_delay_seconds_count{{{own}}} 1",
        r'# HELP shop_orders_total Orders.\nAll \\ of "them".',
        "# TYPE shop_orders_total counter",
        f'shop_orders_total{{a="b",{own}}} 2',
        "# TYPE shop_stock_level_percent gauge",
        f"shop_stock_level_percent{{{own}}} 12.5",
    ]
    assert measured.exposed("openmetrics").splitlines() == [
        "# HELP target Target metadata",
        "# TYPE target info",
        f"target_info{{{target}}} 1",
        "# TYPE shop_carts gauge",
        f"shop_carts{{{own}}} 3",
        "# TYPE shop_delay_seconds histogram",
        "# UNIT shop_delay_seconds seconds",
        f'shop_delay_seconds_bucket{{{own},le="0.005"}} 0',
        f'shop_delay_seconds_bucket{{{own},le="1.0"}} 1',
        f'shop_delay_seconds_bucket{{{own},le="2.5e+06"}} 1',
        f'shop_delay_seconds_bucket{{{own},le="+Inf"}} 1',
        f"shop_delay_seconds_sum{{{own}}} 0.5",
        f"shop_delay_seconds_count{{{own}}} 1",
        r"# HELP shop_orders Orders.\nAll \\ of \"them\".",
        "# TYPE shop_orders counter",
        f'shop_orders_total{{a="b",{own}}} 2',
        "# TYPE shop_stock_level_percent gauge",
        "# UNIT shop_stock_level_percent percent",
        f"shop_stock_level_percent{{{own}}} 12.5",
        "# EOF",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "line\nbreak",
        'quo"te',
        "back\\slash",
        "\\n",
        '\\"',
        "żółć 漢字 🙂",
        "a,b=c}",
        "tab\tand\r",
        " ",
        "\x00\x1b[2J\x9b\u202e",
    ],
)
def test_a_label_value_comes_back_as_it_was(value: str, form: str) -> None:
    measured = Measured()
    measured.meter.create_counter("kpi.things").add(1, {"what": value, "z": "1"})
    labels = frozenset({"what": value, "z": "1"}.items())
    assert measured.samples(form)["kpi_things_total", labels] == 1
    written = label_text({"what": value, "z": "1"})
    assert labels_of(written) == {"what": value, "z": "1"}
    assert is_label_text(written)


def test_a_lone_surrogate_does_not_take_the_answer_away(form: str) -> None:
    measured = Measured()
    measured.meter.create_counter("kpi.things").add(1, {"what": "\ud800"})
    assert measured.samples(form)["kpi_things_total", frozenset({("what", "?")})] == 1


def test_attributes_become_labels_as_in_prometheus() -> None:
    attributes = {
        "http.route": "/",
        "a-b": "1",
        "a_b": "2",
        "9": "x",
        "_p": "y",
        "empty": "",
        "job": "j",
        "instance": "i",
    }
    assert labels_of(label_text(attributes)) == {"http_route": "/", "a_b": "1;2", "key_9": "x", "key_p": "y"}
    values = [True, 7, 2.0, 0.25, 1e-7, 1e21, 123456789012345680.0, ("a", 1, False), b"ab", None]
    assert [value_text(value) for value in values] == [
        "true", "7", "2", "0.25", "1e-7", "1e+21", "123456789012345680", '["a",1,false]', "YWI=", "",
    ]  # fmt: skip


def test_values_that_are_no_numbers_are_written_and_read(form: str) -> None:
    values: dict[str, Value] = {
        f'is="{name}"': value
        for name, value in {"nan": math.nan, "up": math.inf, "down": -math.inf, "large": 1e300}.items()
    }
    families = {
        "g": Family("g", "gauge", series=values),
        "c_total": Family("c_total", "counter", series=values),
        "h": Family("h", "histogram", series={"": Distribution((1.0,), (0, 1), math.nan)}),
    }
    samples = samples_of(exposed(families, form), form)
    assert math.isnan(samples["g", frozenset({("is", "nan")})])
    assert samples["g", frozenset({("is", "up")})] == math.inf
    assert samples["g", frozenset({("is", "down")})] == -math.inf
    assert samples["g", frozenset({("is", "large")})] == 1e300
    # OpenMetrics has no counter and no sum that is no number.
    assert (("c_total", frozenset({("is", "nan")})) in samples) is (form == "text")
    assert (("h_sum", frozenset[tuple[str, str]]()) in samples) is (form == "text")


def test_negative_buckets_have_no_sum_in_openmetrics(form: str) -> None:
    measured = Measured()
    histogram = measured.meter.create_histogram("h", explicit_bucket_boundaries_advisory=[-1.0, 0.0, 1.0])
    for value in (0, 0.5, 3):
        histogram.record(value)
    samples = measured.samples(form)
    assert samples["h_bucket", frozenset({("le", "0.0" if form == "openmetrics" else "0")})] == 1
    assert (("h_sum", frozenset[tuple[str, str]]()) in samples) is (form == "text")


def test_an_exponential_histogram_has_classic_buckets(form: str) -> None:
    measured = Measured(View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation()))
    histogram = measured.meter.create_histogram("h")
    for value in (0, 0.001, 0.5, 0.5, 80):
        histogram.record(value)
    samples = measured.samples(form)
    buckets = {
        float(dict(labels)["le"]): value for (name, labels), value in samples.items() if name == "h_bucket"
    }
    assert buckets[math.inf] == samples["h_count", frozenset()] == 5
    assert sum(value for bound, value in buckets.items() if bound == 0) == 1
    assert max(value for bound, value in buckets.items() if bound < 0.01) == 2
    assert max(value for bound, value in buckets.items() if bound < 1) == 4
    assert samples["h_sum", frozenset()] == pytest.approx(81.001)


def test_what_two_scopes_count_under_one_name_is_one_series(form: str) -> None:
    measured = Measured()
    measured.meter.create_counter("c").add(1, {"a": "b"})
    measured.other_meter.create_counter("c").add(2, {"a": "b"})
    assert measured.samples(form)["c_total", frozenset({("a", "b")})] == 3


def test_no_name_is_given_to_two_families(form: str, caplog: pytest.LogCaptureFixture) -> None:
    measured = Measured()
    measured.meter.create_gauge("twice").set(1)
    measured.meter.create_counter("twice").add(2)  # `twice_total`, which OpenMetrics would call `twice`
    measured.meter.create_histogram("clash.of").record(1)
    measured.meter.create_gauge("clash.of.count").set(7)
    measured.meter.create_gauge("two.kinds").set(1)
    measured.other_meter.create_histogram("two.kinds").record(1)
    measured.samples(form)
    samples = measured.samples(form)
    none = frozenset[tuple[str, str]]()
    assert (samples["twice", none], samples["twice_total", none]) == (1, 2)
    assert samples["clash_of_count", none] == 1
    assert samples["two_kinds", none] == 1
    assert len(caplog.messages) <= 2


def test_what_a_measurement_says_of_version_wins(form: str) -> None:
    measured = Measured()
    measured.meter.create_counter("c").add(1, {"version": "9", "subversion": "8"})
    labels = frozenset({("version", "9"), ("subversion", "8")})
    assert measured.samples(form)["c_total", labels] == 1


@pytest.mark.parametrize("name", ["", "é", "___", "_", "..."])
def test_a_name_of_which_nothing_can_be_one_costs_its_own_series(
    form: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    gauge = Gauge([NumberDataPoint({}, 0, 1, 5)])
    scope = ScopeMetrics(
        InstrumentationScope("a"), [Metric(name, "", "", gauge), Metric("fine", "", "", gauge)], ""
    )
    data = MetricsData([ResourceMetrics(Resource({}), [scope], "")])
    families = translate(data, Labels())
    assert samples_of(exposed(families, form), form)["fine", frozenset()] == 5
    assert set(families) == {"fine"}, caplog.messages
    whole = Snapshot((Member(Identity.of(SHOP), families, 1.0),))
    assert decode(encode(whole)) == whole, "other workers do not read it"


def test_an_attribute_that_cannot_be_written_costs_its_own_series(form: str) -> None:
    measured = Measured()
    counter = measured.meter.create_counter("c")
    counter.add(1, {"a": 10**5000})  # the SDK lets it pass, and Python writes no more than 4300 digits
    counter.add(2, {"a": "fine"})
    assert measured.samples(form)["c_total", frozenset({("a", "fine")})] == 2


def test_a_number_that_is_beyond_numbers_costs_its_own_series(form: str) -> None:
    measured = Measured()
    counter, histogram = measured.meter.create_counter("c"), measured.meter.create_histogram("h")
    for _ in range(20):  # the SDK takes each of them, and adds them up to more
        counter.add(10**308, {"digits": "many"})
        histogram.record(10**308, {"digits": "many"})
    counter.add(2, {"digits": "2"})
    counter.add(1.5, {"digits": "2"})
    histogram.record(2, {"digits": "2"})
    found = measured.samples(form)
    labels = frozenset({("digits", "2")})
    assert (found["c_total", labels], found["h_sum", labels]) == (3.5, 2)
    assert not [name for name, labels in found if ("digits", "many") in labels]


def test_nothing_measured_is_said_as_nothing() -> None:
    assert [line[:12] for line in Measured().exposed().splitlines()[2:]] == ["target_info{"]
    assert Measured().exposed("openmetrics").splitlines()[-1] == "# EOF"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, "text"),
        ("", "text"),
        ("*/*", "text"),
        ("text/html", "text"),
        ("application/openmetrics-text", "openmetrics"),
        ("application/openmetrics-text; version=1.0.0, text/plain;q=0.5", "openmetrics"),
        ("text/plain, application/openmetrics-text;q=0.5", "text"),
        ("application/openmetrics-text;version=2.0.0, text/plain;version=0.0.4;q=0.1", "text"),
        ("application/openmetrics-text;q=nonsense", "text"),
        (PROMETHEUS_3, "openmetrics"),
    ],
)
def test_openmetrics_is_given_to_who_prefers_it(accept: str | None, wanted: str) -> None:
    assert text.wants_openmetrics(accept) is (wanted == "openmetrics")
