"""What a declarative file says becomes settings with a place, and what it cannot have is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.cli import main
from otel_kpi.declarative import resolve_process
from otel_kpi.declarative.translation import read
from otel_kpi.resolution import superseded

if TYPE_CHECKING:
    from pathlib import Path

    from otel_kpi.declarative.translation import Declared
    from otel_kpi.resolution import Resolved

pytest.importorskip("opentelemetry.configuration")

HEAD = 'file_format: "1.0"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "otel.yaml"


def resolved(
    path: Path, text: str, environ: dict[str, str] | None = None, **code: Any
) -> tuple[Resolved, Declared]:
    path.write_text(HEAD + text)
    found, declared = resolve_process({"OTEL_CONFIG_FILE": str(path), **(environ or {})}, code)
    assert declared is not None
    return found, declared


def test_every_value_of_the_file_is_seen_with_its_place(path: Path) -> None:
    found, declared = resolved(
        path,
        """
resource:
  attributes: [{name: service.name, value: shop}, {name: team.size, value: 7, type: int}]
  attributes_list: "region=eu,service.name=loses"
attribute_limits: {attribute_count_limit: 64}
log_level: warn2
propagator: {composite: [{tracecontext: }], composite_list: "baggage,b3"}
tracer_provider:
  limits: {event_count_limit: 5}
  sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.5}}}}
  processors:
    - batch:
        schedule_delay: 300
        exporter:
          otlp_http: {endpoint: "http://c:4318/v1/traces", headers: [{name: Api-Key, value: "x,y=1"}], encoding: json}
""",
    )
    settings, origins = found.settings, found.origins
    assert declared.lines == found.problems == ()
    assert settings.app_name == "shop"
    assert settings.resource_attributes == (("region", "eu"), ("team.size", 7))
    assert (settings.attribute_count, settings.span_event_count, settings.span_delay) == (64, 5, 300)
    assert (settings.sampler, settings.sampler_arg) == ("parentbased_traceidratio", "0.5")
    assert settings.propagators == ("tracecontext", "baggage", "b3")
    assert settings.log_level == "warn"
    assert settings.protocol.traces == "http/json"
    assert settings.headers.traces == (("api-key", "x,y=1"),)
    assert settings.exporters.traces == ("otlp",)
    assert settings.exporters.logs == ("none",)
    place = "tracer_provider.processors[0].batch"
    assert str(origins["span_delay"]) == f"file {place}.schedule_delay"
    assert str(origins["endpoint.traces"]) == f"file {place}.exporter.otlp_http.endpoint"
    assert str(origins["exporters.logs"]) == "file logger_provider is absent"
    assert str(origins["exit_budget"]) == "default"


def test_our_own_node_takes_every_setting_and_outranks_the_rest(path: Path) -> None:
    found, _ = resolved(
        path,
        """
tracer_provider:
  processors: [{batch: {schedule_delay: 300, exporter: {otlp_http: {endpoint: "http://c:4318/v1/traces"}}}}]
distribution:
  otel_kpi:
    span_delay: 50
    exit_budget: 1500
    sentry_sample_rate: 0.25
    endpoint: https://collector.example
    timeout: {logs: 500}
    headers: {authorization: "Basic a,b"}
    disabled_instrumentations: [redis, kafka]
    exporters: {logs: [otlp]}
""",
    )
    settings = found.settings
    assert (settings.span_delay, settings.exit_budget, settings.sentry_sample_rate) == (50, 1500, 0.25)
    assert settings.endpoint.traces == "https://collector.example/v1/traces"
    assert (settings.timeout.logs, settings.timeout.traces) == (500, 10_000)
    assert settings.headers.metrics == (("authorization", "Basic a,b"),)
    assert settings.disabled_instrumentations == ("redis", "kafka")
    assert settings.exporters.logs == ("otlp",)


def test_rules_of_redaction_stand_in_the_file_as_lists(path: Path) -> None:
    found, declared = resolved(
        path,
        r"""
instrumentation/development: {general: {sanitization: {url: {sensitive_query_parameters: [sig]}}}}
distribution:
  otel_kpi:
    redact_keys: [customer_number, patient]
    redact_patterns: ['C-\d{6,9}', 'a,b']
    metric_attribute_budgets: {tenant: 50}
""",
    )
    assert found.problems == declared.lines == ()
    assert found.settings.redact_keys == ("sig", "customer_number", "patient")
    assert found.settings.redact_patterns == ("C-\\d{6,9}", "a,b")
    assert found.settings.metric_attribute_budgets == (("tenant", 50),)


def test_code_outranks_the_file_and_the_file_the_environment(path: Path) -> None:
    found, declared = resolved(
        path,
        "distribution: {otel_kpi: {exit_budget: 1, sentry_sample_rate: 0.5}}",
        {
            "OTEL_KPI_EXIT_BUDGET": "2",
            "SENTRY_SAMPLE_RATE": "0.1",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "a",
        },
        sentry_sample_rate=0.75,
    )
    assert (found.settings.exit_budget, found.settings.sentry_sample_rate) == (1, 0.75)
    assert found.settings.disabled_instrumentations == ("a",)
    assert {str(found.origins[key]) for key in ("exit_budget", "sentry_sample_rate")} == {
        "file distribution.otel_kpi.exit_budget",
        "code sentry_sample_rate",
    }
    assert declared.lines == ()


def test_standard_variables_are_not_read_beside_a_file_and_that_is_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The specification's rule; a variable that the file itself uses is no mistake."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://lost", "OTEL_SERVICE_NAME": "used"}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "used")
    found, declared = resolved(
        path, "resource: {attributes: [{name: service.name, value: '${OTEL_SERVICE_NAME}'}]}", environ
    )
    assert superseded(environ) == ("OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT")
    assert found.settings.app_name == "used"
    assert found.settings.endpoint.traces.startswith("http://localhost")
    [line] = declared.lines
    assert line.startswith("OTEL_EXPORTER_OTLP_ENDPOINT is not read")


def test_off_switch_works_beside_a_file(path: Path) -> None:
    path.write_text(f"{HEAD}disabled: false\n")
    found, declared = resolve_process({"OTEL_CONFIG_FILE": str(path), "OTEL_SDK_DISABLED": "true"})
    assert found.settings.sdk_disabled
    assert declared is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tracer_provider: {processors: [{nosuch: {}}]}", "tracer_provider.processors[0].nosuch"),
        (
            "logger_provider: {processors: [{event_to_span_event_bridge/development: {}}]}",
            "logger_provider.processors[0].event_to_span_event_bridge/development",
        ),
        (
            "meter_provider: {readers: [{periodic: {exporter: {console: }, cardinality_limits: {default: 1}}}]}",
            "meter_provider.readers[0].periodic.cardinality_limits",
        ),
        (
            "meter_provider: {readers: [{periodic: {exporter: {console: }, producers: [{opencensus: }]}}]}",
            "meter_provider.readers[0].periodic.producers",
        ),
        (
            "meter_provider: {readers: [{periodic: {exporter: {console: }}}], views: [{selector: {}, stream: {attribute_keys: {excluded: [a]}}}]}",
            "meter_provider.views[0]",
        ),
        (
            (
                "tracer_provider: {processors: [{simple: {exporter: {console: }}}], sampler: {jaeger_remote/development: "
                "{endpoint: 'http://j', initial_sampler: {always_on: }}}}"
            ),
            "tracer_provider.sampler",
        ),
        (
            "instrumentation/development: {general: {db: {semconv: {experimental: true}}}}",
            "general.db.semconv.experimental",
        ),
        ("resource: {attributes: [{name: a, value: many, type: int}]}", "resource.attributes[0]"),
        ("distribution: {otel_kpi: {config_file: other}}", "distribution.otel_kpi.config_file"),
        ("surplus: {a: 1}", "surplus"),
    ],
)
def test_element_that_is_not_honoured_is_one_line_with_its_place(path: Path, text: str, place: str) -> None:
    _, declared = resolved(path, text)
    [line] = declared.lines
    assert f"{place} is not honoured: " in line


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("distribution: {otel_kpi: {nosuch: 1}}", "distribution.otel_kpi.nosuch"),
        ("distribution: {otel_kpi: {metric_interval: fast}}", "distribution.otel_kpi.metric_interval"),
        (
            "tracer_provider: {processors: [{batch: {exporter: {otlp_http: {compression: deflate}}}}]}",
            "tracer_provider.processors[0].batch.exporter.otlp_http.compression",
        ),
        (
            "tracer_provider: {processors: [{otel_kpi: {endpont: 'http://c'}}]}",
            "tracer_provider.processors[0].otel_kpi.endpont",
        ),
    ],
)
def test_value_that_is_not_accepted_is_one_line_with_its_place(path: Path, text: str, place: str) -> None:
    found, declared = resolved(path, text)
    assert declared.lines == ()
    [problem] = found.problems
    assert problem.variable == place


@pytest.mark.parametrize(
    "text",
    [
        "tracer_provider: [",
        "tracer_provider: {processors: 7}",
        "disabled: maybe",
        "file_format: '9.0'",
        "- a",
    ],
)
def test_broken_file_is_one_line_and_nothing_is_exported(
    path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(text if text.startswith(("file", "-")) else HEAD + text)
    found, declared = resolve_process({"OTEL_CONFIG_FILE": str(path)})
    assert declared is not None
    assert declared.broken
    [line] = declared.lines
    assert line.startswith(f"OTEL_CONFIG_FILE={str(path)!r} is not used, nothing is exported: ")
    assert "\n" not in line
    assert found.settings.exporters.traces == ("none",)
    assert caplog.records == []


def test_absent_file_is_one_line(path: Path) -> None:
    _, declared = resolve_process({"OTEL_CONFIG_FILE": str(path)})
    assert declared is not None
    assert "not found" in declared.lines[0]


def test_exporters_of_one_signal_have_settings_of_their_own(path: Path) -> None:
    found, declared = resolved(
        path,
        """
tracer_provider:
  processors:
    - batch: {schedule_delay: 300, exporter: {otlp_http: {endpoint: "http://a/v1/traces"}}}
    - simple: {exporter: {otlp_grpc: {endpoint: "b:4317", tls: {insecure: true}}}}
    - batch: {exporter: {otel_kpi: {endpoint: "http://c/in", protocol: http/json, headers: {k: v}}}}
    - batch: {exporter: {console: }}
""",
    )
    parts = declared.parts_for(found, {}, {})
    seen = [
        (
            outlet.name,
            outlet.settings.endpoint.traces,
            outlet.settings.protocol.traces,
            outlet.settings.span_delay,
            outlet.settings.span_batch,
        )
        for outlet in parts.of("traces")
    ]
    assert seen == [
        ("otlp", "http://a/v1/traces", "http/protobuf", 300, 512),
        ("otlp", "http://b:4317", "grpc", 1_000, 1),
        ("otlp", "http://c/in", "http/json", 1_000, 512),
        ("console", "http://localhost:4318/v1/traces", "http/protobuf", 1_000, 512),
    ]
    assert parts.of("traces")[2].settings.headers.traces == (("k", "v"),)
    assert (found.settings.span_delay, found.settings.span_batch) == (300, 512)


def test_libraries_are_switched_off_from_either_place(path: Path) -> None:
    found, declared = resolved(
        path,
        """
instrumentation/development:
  python: {redis: {enabled: false}, requests: {excluded_urls: health}, kafka: {enabled: true}}
  general:
    http: {server: {request_captured_headers: [x-tenant, x-b]}, semconv: {dual_emit: true}}
distribution: {otel_kpi: {disabled_instrumentations: [celery]}}
""",
    )
    assert found.settings.disabled_instrumentations == ("redis", "celery")
    assert declared.instrumentors == {"requests": {"excluded_urls": "health"}, "kafka": {}}
    assert declared.environ == {"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x-tenant,x-b"}
    assert found.settings.semconv == ("http/dup", "database")


def test_parents_that_decide_as_always_are_no_other_sampler(path: Path) -> None:
    found, declared = resolved(
        path,
        """
tracer_provider:
  processors: [{simple: {exporter: {console: }}}]
  sampler:
    parent_based:
      root: {always_on: }
      remote_parent_sampled: {always_on: }
      local_parent_not_sampled: {always_off: }
""",
    )
    assert found.settings.sampler == "parentbased_always_on"
    assert declared.parts.sampler is None


def test_sampler_that_settings_have_no_word_for_is_built(path: Path) -> None:
    found, declared = resolved(
        path,
        """
tracer_provider:
  processors: [{simple: {exporter: {console: }}}]
  sampler: {parent_based: {root: {always_on: }, local_parent_sampled: {trace_id_ratio_based: {ratio: 0.5}}}}
""",
    )
    assert found.settings.sampler == "parent_based"
    sampler = declared.parts_for(found, {}, {}).sampler
    assert "TraceIdRatioBased{0.5}" in str(sampler and sampler.get_description())
    overridden, declared = resolved(
        path, "tracer_provider: {processors: [{simple: {exporter: {console: }}}]}", sampler="always_off"
    )
    assert declared.parts_for(overridden, {}, {"sampler": "always_off"}).sampler is None


def test_command_shows_the_place_of_each_value(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path.write_text(f"{HEAD}distribution: {{otel_kpi: {{exit_budget: 7, nosuch: 1}}}}")
    monkeypatch.setenv("OTEL_CONFIG_FILE", str(path))
    monkeypatch.setenv("OTEL_KPI_VERSION", "1.2")
    assert main(["settings"]) == 1
    printed = capsys.readouterr()
    assert "7  (file distribution.otel_kpi.exit_budget)" in printed.out
    assert "1.2  (environment OTEL_KPI_VERSION)" in printed.out
    assert "! distribution.otel_kpi.nosuch='1' is not used" in printed.err
    main(["settings", "--json"])
    rows = {row["keyword"]: row["origin"] for row in json.loads(capsys.readouterr().out)["settings"]}
    assert rows["exit_budget"] == "file distribution.otel_kpi.exit_budget"
    assert rows["timeout"] == {"traces": "default", "metrics": "default", "logs": "default"}


def test_variables_that_the_schema_has_no_place_for_are_read_beside_a_file(path: Path) -> None:
    outside = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true", "OTEL_KPI_EXIT_BUDGET": "9"}
    found, declared = resolved(path, "propagator: {}", outside)
    assert (found.settings.genai_content, found.settings.exit_budget) == ("true", 9)
    assert declared.lines == ()


def test_file_of_aliases_of_aliases_is_one_line(tmp_path: Path) -> None:
    levels = ["l0: &l0 [x]"] + [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12)]
    path = tmp_path / "otel.yaml"
    path.write_text('file_format: "1.0"\ndistribution:\n  otel_kpi:\n    ' + "\n    ".join(levels))
    declared = read(str(path), {})
    assert declared.broken
    assert "more than 100000 elements" in declared.lines[0]
