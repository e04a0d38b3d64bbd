"""An application sends the same whether the environment or a file says how."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import INSTRUMENT, RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("opentelemetry.configuration")

APPLICATION = """
import logging, sqlite3
from opentelemetry import metrics, trace
from opentelemetry.propagate import inject
with trace.get_tracer("shop").start_as_current_span("order", attributes={"http.request.header.authorization": "Bearer s3cret-token-0001", "long": "x" * 300}) as span:
    for number in range(9):
        span.add_event(f"e{number}")
    connection = sqlite3.connect(":memory:")
    connection.execute("select 1")
    logging.getLogger("shop").warning("order taken")
    carrier = {}
    inject(carrier)
    print(sorted(carrier))
metrics.get_meter("shop").create_histogram("order.size").record(3, {"kind": "b2b"})
metrics.get_meter("shop").create_counter("orders").add(2)
"""

FILE = """
file_format: "1.0"
attribute_limits: {attribute_value_length_limit: 200}
resource:
  attributes: [{name: service.name, value: shop}, {name: service.version, value: "1.2"}]
  attributes_list: "region=eu"
propagator: {composite_list: "tracecontext"}
tracer_provider:
  limits: {event_count_limit: 4}
  sampler: {parent_based: {root: {always_on: }}}
  processors:
    - batch: {schedule_delay: 200, exporter: {otlp_http: {endpoint: "${TARGET}/v1/traces", headers: [{name: x-team, value: a}]}}}
meter_provider:
  exemplar_filter: always_off
  readers:
    - periodic:
        interval: 60000
        exporter:
          otlp_http:
            endpoint: ${TARGET}/v1/metrics
            default_histogram_aggregation: base2_exponential_bucket_histogram
logger_provider:
  processors:
    - batch: {exporter: {otlp_http: {endpoint: "${TARGET}/v1/logs"}}}
instrumentation/development: {python: {sqlite3: {enabled: false}}}
distribution: {otel_kpi: {environment: test, exit_budget: 3000}}
"""

ENVIRONMENT = {
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "200",
    "OTEL_SERVICE_NAME": "shop",
    "OTEL_KPI_VERSION": "1.2",
    "OTEL_RESOURCE_ATTRIBUTES": "region=eu",
    "OTEL_PROPAGATORS": "tracecontext",
    "OTEL_SPAN_EVENT_COUNT_LIMIT": "4",
    "OTEL_TRACES_SAMPLER": "parentbased_always_on",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-team=a",
    "OTEL_METRICS_EXEMPLAR_FILTER": "always_off",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "sqlite3",
    "OTEL_KPI_ENVIRONMENT": "test",
    "OTEL_KPI_EXIT_BUDGET": "3000",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def told(receiver: Receiver) -> Any:
    """What arrived, without what differs between any two runs."""

    def resource(attributes: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in attributes.items() if key != "process.pid"}

    return {
        "spans": [
            (
                each.item.name,
                each.scope,
                each.attributes,
                [event.name for event in each.item.events],
                each.item.dropped_events_count,
                resource(each.resource),
            )
            for each in receiver.spans
        ],
        "logs": [
            (each.item.body.string_value, each.attributes, resource(each.resource)) for each in receiver.logs
        ],
        "points": sorted(
            (each.metric, str(each.attributes), type(each.item).__name__, bool(each.item.exemplars))
            for each in receiver.points
            if each.scope == "shop"
        ),
    }


def declared(tmp_path: Path, text: str, receiver: Receiver) -> dict[str, str]:
    path = tmp_path / "otel.yaml"
    path.write_text(text)
    return environment(OTEL_CONFIG_FILE=str(path), TARGET=receiver.url)


@pytest.mark.parametrize("start", [RUN, INSTRUMENT])
def test_same_application_sends_the_same_from_a_file_as_from_the_environment(
    tmp_path: Path, start: tuple[str, ...]
) -> None:
    script = tmp_path / "shop.py"
    script.write_text(APPLICATION)
    found: list[Any] = []
    with Receiver() as one, Receiver() as other:
        for receiver, env in (
            (one, environment(one.url, **ENVIRONMENT)),
            (other, declared(tmp_path, FILE, other)),
        ):
            ended = run([*start, sys.executable, str(script)], env)
            assert (ended.returncode, ended.stdout) == (0, "['traceparent']\n")
            assert ended.stderr.endswith("order taken\n")  # upstream has a line when it cuts a value
            assert ended.stderr.count("\n") == 2
            found.append(told(receiver))
    assert found[0] == found[1]
    [span] = found[1]["spans"]
    assert span[4] == 5
    assert "s3cret" not in str(found)
    assert span[-1]["deployment.environment.name"] == "test"
    assert span[-1]["telemetry.distro.name"] == "otel-kpi"
    assert [point[0] for point in found[1]["points"]] == ["order.size", "orders"]


def test_foreign_exporters_views_and_scopes_of_a_file_run_in_our_pipeline(
    tmp_path: Path, receiver: Receiver
) -> None:
    text = """
file_format: "1.0"
tracer_provider:
  processors:
    - simple: {exporter: {console: }}
    - batch: {exporter: {otel_kpi: {endpoint: "${TARGET}/v1/traces", protocol: http/protobuf}}}
  tracer_configurator/development: {tracers: [{name: "noisy*", config: {enabled: false}}]}
meter_provider:
  readers: [{periodic: {exporter: {otel_kpi: {endpoint: "${TARGET}/v1/metrics"}}}}]
  views: [{selector: {instrument_name: orders}, stream: {name: sold}}]
"""
    script = tmp_path / "shop.py"
    script.write_text(
        "from opentelemetry import metrics, trace\n"
        "for name in ('shop', 'noisy.lib'):\n"
        "    with trace.get_tracer(name).start_as_current_span('order', attributes={'password': 's3cret'}): pass\n"
        "metrics.get_meter('shop').create_counter('orders').add(2)\n"
    )
    ended = run([*RUN, sys.executable, str(script)], declared(tmp_path, text, receiver))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [span.scope for span in receiver.spans] == ["shop"]
    assert '"name": "order"' in ended.stdout
    assert "s3cret" not in ended.stdout
    assert "sold" in {point.metric for point in receiver.points}


def test_our_exporters_work_in_the_pipeline_of_somebody_else(tmp_path: Path, receiver: Receiver) -> None:
    """Upstream reads the file and builds its own processors; secrets stay inside all the same."""
    path = tmp_path / "otel.yaml"
    path.write_text(
        f"""
file_format: "1.0"
tracer_provider: {{processors: [{{simple: {{exporter: {{otel_kpi: {{endpoint: "{receiver.url}"}}}}}}}}]}}
meter_provider: {{readers: [{{periodic: {{exporter: {{otel_kpi: {{endpoint: "{receiver.url}"}}}}}}}}]}}
logger_provider: {{processors: [{{simple: {{exporter: {{otel_kpi: {{endpoint: "{receiver.url}"}}}}}}}}]}}
"""
    )
    text = f"""
from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.configuration import configure_sdk, load_config_file
configure_sdk(load_config_file({str(path)!r}))
with trace.get_tracer("t").start_as_current_span("order", attributes={{"password": "s3cret"}}): pass
metrics.get_meter("t").create_counter("orders").add(2)
get_logger_provider().get_logger("t").emit(body="password=s3cret")
"""
    ended = run([sys.executable, "-c", text], environment())
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [span.item.name for span in receiver.spans] == ["order"]
    assert [point.metric for point in receiver.points if point.metric == "orders"] == ["orders"]
    assert len(receiver.logs) == 1
    assert "s3cret" not in str([*receiver.spans, *receiver.logs])


def test_library_that_the_file_switches_off_stays_off_under_the_launcher(
    tmp_path: Path, receiver: Receiver
) -> None:
    """Upstream's loader reads no file, and would instrument it all the same."""
    spans = (
        'tracer_provider: {processors: [{batch: {exporter: {otlp_http: {endpoint: "${TARGET}/v1/traces"}}}}]}'
    )
    text = f'file_format: "1.0"\n{spans}\ninstrumentation/development: {{python: {{jinja2: {{enabled: false}}, nosuch: {{}}}}}}'
    ended = run(
        [
            *INSTRUMENT,
            sys.executable,
            "-c",
            "import sqlite3; sqlite3.connect(':memory:').execute('select 1')",
        ],
        declared(tmp_path, text, receiver),
    )
    assert ended.returncode == 0
    assert ended.stderr == "instrumentation/development.python.nosuch: no such instrumentor is installed\n"
    assert "select" in [span.item.name for span in receiver.spans]


def test_two_exporters_to_one_receiver_send_and_count_each_for_itself(
    tmp_path: Path, receiver: Receiver
) -> None:
    text = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch: {exporter: {otlp_http: {endpoint: "${TARGET}/v1/traces"}}}
    - batch: {exporter: {otlp_http: {endpoint: "${TARGET}/v1/traces"}}}
    - batch: {exporter: {otlp_http: {endpoint: "${TARGET}/elsewhere"}}}
"""
    program = (
        "import otel_kpi\nfrom opentelemetry import trace\n"
        "with trace.get_tracer('t').start_as_current_span('s'): pass\n"
        "otel_kpi.flush()\n"
        "print([(each.sent, each.destination.startswith('http')) for each in otel_kpi.doctor(send=False).counts])\n"
    )
    ended = run([*RUN, sys.executable, "-c", program], declared(tmp_path, text, receiver))
    assert (ended.stdout, ended.stderr) == (f"{[(1, True)] * 3}\n", "")
    assert sorted(receiver.requests) == ["/elsewhere", "/v1/traces", "/v1/traces"]


def test_file_that_is_disabled_switches_everything_off(tmp_path: Path, receiver: Receiver) -> None:
    text = 'file_format: "1.0"\ndisabled: true\ntracer_provider: {processors: [{otel_kpi: {endpoint: "${TARGET}/v1/traces"}}]}'
    program = "from opentelemetry import trace\nprint(type(trace.get_tracer_provider()).__name__)"
    ended = run([*RUN, sys.executable, "-c", program], declared(tmp_path, text, receiver))
    assert (ended.stdout, ended.stderr) == ("ProxyTracerProvider\n", "")
    assert receiver.requests == []
