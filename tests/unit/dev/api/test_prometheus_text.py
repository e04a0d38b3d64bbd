"""`/metrics`: what Prometheus's own parser reads of it, and what the Collector would have written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from support.dev import hostile, samples
from support.dev.made import attributes, resource, together
from support.dev.served import Served, served

from otel_kpi.dev.telemetry import Buckets, Exemplar, Metric, Point

if TYPE_CHECKING:
    from collections.abc import Generator

SECOND = 1_000_000_000
SENDER = resource("orders")


@pytest.fixture
def server() -> Generator[Served]:
    with served() as running:
        yield running


def write(server: Served, *sent: Metric, sender: Any = SENDER) -> None:
    server.store.write([together("metrics", [(sender, "t", metric) for metric in sent])])


def scraped(server: Served, query: str = "", accept: str = "text/plain") -> dict[str, Any]:
    answer = server.request("GET", f"/metrics{query}", headers={"accept": accept})
    assert answer.status == 200, answer.body
    parse = openmetrics if "openmetrics" in answer.headers["content-type"] else plain
    return {family.name: family for family in parse(answer.body.decode())}


def delta(value: float, at: int, *, end: int, name: str = "jobs.done") -> Metric:
    return Metric(
        name,
        "Jobs.",
        "{job}",
        "sum",
        [Point((), end - SECOND, end + at, value=value)],
        temporality=1,
        monotonic=True,
    )


def test_the_sample_day_is_read_by_prometheus_own_parser(server: Served) -> None:
    server.store.write(list(samples.requests(300, start_ns=time.time_ns() - 60 * SECOND)))

    families = scraped(server)

    assert families["http_server_request_duration_seconds"].type == "histogram"
    assert families["kpi_llm_cost"].type == "counter"
    assert families["kpi_etl_quality_score"].type == "gauge"
    assert families["process_memory_usage_bytes"].type == "gauge"
    assert families["rpc_latency_milliseconds"].type == "summary"
    assert families["db_client_operation_duration_seconds"].type == "histogram"
    assert (
        families["http_server_request_duration_seconds"].documentation == "Duration of HTTP server requests."
    )
    [count] = [
        sample
        for sample in families["http_server_request_duration_seconds"].samples
        if sample.name.endswith("_count") and sample.labels["job"].endswith("orders")
    ]
    assert count.labels["http_route"] == "/products"
    assert count.labels["instance"]
    targets = {sample.labels["job"] for sample in families["target_info"].samples}
    assert len(targets) == len(samples.SERVICES)


def test_openmetrics_has_exemplars_that_name_the_trace(server: Served) -> None:
    now = time.time_ns()
    seen = Exemplar(0.3, now, bytes.fromhex("ab" * 16), bytes.fromhex("cd" * 8))
    write(
        server,
        Metric(
            "wait",
            "",
            "s",
            "histogram",
            [
                Point(
                    (),
                    now - SECOND,
                    now,
                    count=3,
                    sum=0.9,
                    bounds=(0.1, 1.0),
                    counts=(1, 2, 0),
                    exemplars=[seen],
                )
            ],
            temporality=2,
        ),
    )

    families = scraped(server, accept="application/openmetrics-text;version=1.0.0")

    told = [sample.exemplar for sample in families["wait_seconds"].samples if sample.exemplar]
    assert [(each.labels["trace_id"], each.value) for each in told] == [("ab" * 16, 0.3)]


def test_deltas_are_added_up_and_do_not_fall_when_the_store_forgets(server: Served) -> None:
    now = time.time_ns()
    write(server, delta(3, 0, end=now), delta(4, 1, end=now))
    assert scraped(server)["jobs_done"].samples[0].value == 7

    server.store._connection.execute("DELETE FROM point")
    server.store._connection.commit()
    write(server, delta(5, 2, end=now))

    assert scraped(server)["jobs_done"].samples[0].value == 12


def test_a_series_of_which_nothing_came_for_five_minutes_is_left_out(server: Served) -> None:
    write(server, delta(1, 0, end=time.time_ns() - 400 * SECOND))

    assert "jobs_done" not in scraped(server)
    assert "jobs_done" in scraped(server, "?max_age=3600")
    assert server.request("GET", "/metrics?max_age=long").status == 400


def test_a_gauge_that_its_sender_ended_is_left_out(server: Served) -> None:
    now = time.time_ns()
    write(
        server,
        Metric(
            "depth",
            "",
            "1",
            "gauge",
            [
                Point(attributes({"q": "a"}), 0, now, no_value=True),
                Point(attributes({"q": "b"}), 0, now, value=2.0),
            ],
        ),
    )

    assert [sample.labels["q"] for sample in scraped(server)["depth_ratio"].samples] == ["b"]


def test_two_processes_of_a_service_are_two_instances(server: Served) -> None:
    now = time.time_ns()
    for instance in ("one", "two"):
        sender = resource("orders", **{"service.instance.id": instance, "service.namespace": "shop"})
        write(server, delta(1, 0, end=now), sender=sender)

    labels = [
        (sample.labels["job"], sample.labels["instance"]) for sample in scraped(server)["jobs_done"].samples
    ]

    assert sorted(labels) == [("shop/orders", "one"), ("shop/orders", "two")]


def test_whatever_is_in_names_and_labels_the_text_can_be_read(server: Served) -> None:
    for text in hostile.TEXTS:
        server.store.write(hostile.in_every_field(text))

    for accept in ("text/plain", "application/openmetrics-text;version=1.0.0"):
        assert scraped(server, "?max_age=1e9", accept)


def test_an_empty_store_has_an_empty_text(server: Served) -> None:
    assert scraped(server) == {}


def test_what_a_sender_calls_le_or_quantile_is_moved_out_of_the_formats_way(server: Served) -> None:
    now = time.time_ns()
    named = attributes({"le": "1", "quantile": "q"})
    write(
        server,
        Metric("spread", "", "", "histogram", [Point(named, now, now, count=3, sum=4.0, bounds=(1.0,), counts=(1, 2))], temporality=2),
        Metric("share", "", "", "summary", [Point(named, now, now, count=3, sum=4.0, quantiles=((0.5, 1.0),))]),
    )  # fmt: skip

    text = server.request("GET", "/metrics").body.decode()

    assert 'spread_bucket{exported_le="1",' in text
    assert 'share{exported_quantile="q",' in text
    for line in text.splitlines():
        names = [each.partition("=")[0] for each in line.partition("{")[2].split(",")]
        assert len(set(names)) == len(names)


def test_no_bucket_is_there_twice(server: Served) -> None:
    now = time.time_ns()
    near_zero = Buckets(-2_000_000_000, (1, 2))  # 2 ** -1907, which is 0 to a double
    write(
        server,
        Metric("endless", "", "", "histogram", [Point((), now, now, count=6, sum=4.0, bounds=(1.0, float("inf")), counts=(1, 2, 3))], temporality=2),
        Metric("tiny", "", "", "exponential_histogram", [Point((), now, now, count=3, sum=0.0, scale=20, positive=near_zero)], temporality=2),
    )  # fmt: skip

    text = server.request("GET", "/metrics").body.decode()

    for name, expected in (("endless", ["1", "+Inf"]), ("tiny", ["0", "+Inf"])):
        buckets = [line for line in text.splitlines() if line.startswith(f"{name}_bucket")]
        assert [line.partition('le="')[2].partition('"')[0] for line in buckets] == expected
        assert buckets[-1].endswith(" 6" if name == "endless" else " 3")
