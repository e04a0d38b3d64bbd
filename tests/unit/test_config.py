"""A setting is declared once; a mistake in one is a line, and never the end of the application."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_kpi.cli.settings import markdown
from otel_kpi.config import PerSignal, Settings, declarations
from otel_kpi.resolution import load


def test_nothing_set_gives_the_documented_defaults() -> None:
    settings, problems = load({})
    assert problems == ()
    assert settings.endpoint == PerSignal(
        *(f"http://localhost:4318/v1/{s}" for s in ("traces", "metrics", "logs"))
    )
    assert settings.protocol.traces == "http/protobuf"
    assert (settings.span_delay, settings.metric_interval, settings.exit_budget) == (1_000, 10_000, 2_000)
    assert settings.semconv == ("http", "database")


def test_code_wins_over_the_environment() -> None:
    settings, _ = load(
        {"OTEL_SERVICE_NAME": "env", "OTEL_METRIC_EXPORT_INTERVAL": "5"}, app_name="code", metric_interval=7
    )
    assert (settings.app_name, settings.metric_interval) == ("code", 7)


def test_general_address_is_a_base_and_a_signals_own_is_not() -> None:
    settings, _ = load(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example:4318/otlp/",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs.example/in",
        }
    )
    assert settings.endpoint.traces == "https://collector.example:4318/otlp/v1/traces"
    assert settings.endpoint.logs == "http://logs.example/in"


def test_empty_value_is_an_unset_one() -> None:
    assert load({"OTEL_SERVICE_NAME": "", "OTEL_METRIC_EXPORT_INTERVAL": " "}) == load({})


def test_budgets_are_numbers_by_name() -> None:
    settings, problems = load({"OTEL_KPI_METRIC_ATTRIBUTE_BUDGETS": "customer.tier=50, orders.placed:shop=7"})
    assert (settings.metric_attribute_budgets, problems) == (
        (("customer.tier", 50), ("orders.placed:shop", 7)),
        (),
    )
    settings, [problem] = load({"OTEL_KPI_METRIC_ATTRIBUTE_BUDGETS": "customer.tier=many"})
    assert settings.metric_attribute_budgets == ()
    assert "customer.tier=many" in str(problem)


def test_headers_are_decoded_and_lowered() -> None:
    settings, _ = load({"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc,x=1"})
    assert settings.headers.traces == (("authorization", "Basic abc"), ("x", "1"))


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "ten",
            "OTEL_METRIC_EXPORT_INTERVAL='ten' is not used: a whole number of milliseconds, 1 or more; using 10000",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "carrier-pigeon",
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL='carrier-pigeon' is not used: one of http/protobuf, http/json, grpc; "
                "using http/protobuf"
            ),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "localhost:4318",
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT='localhost:4318' is not used: an http:// or https:// address; "
                "using http://localhost:4318"
            ),
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "hunter2",
            (
                "OTEL_EXPORTER_OTLP_HEADERS='…' is not used: name=value pairs separated by commas, percent-encoded; "
                "using nothing"
            ),
        ),
        (
            "OTEL_SDK_DISABLED",
            "yes",
            "OTEL_SDK_DISABLED='yes' is not used: true or false; using false",
        ),
        (
            "OTEL_KPI_VERSOIN",
            "1",
            "OTEL_KPI_VERSOIN='1' is not used: there is no such setting; did you mean OTEL_KPI_VERSION?",
        ),
        (
            "OTEL_SERVCE_NAME",
            "x",
            "OTEL_SERVCE_NAME='x' is not used: there is no such setting; did you mean OTEL_SERVICE_NAME?",
        ),
    ],
)
def test_mistake_is_one_line_with_name_value_and_what_is_accepted(
    variable: str, value: str, line: str
) -> None:
    settings, problems = load({variable: value})
    assert [str(problem) for problem in problems] == [line]
    assert settings == Settings(
        **{field.name: getattr(load({})[0], field.name) for field in dataclasses.fields(Settings)}
    )


def test_unknown_keyword_in_code_is_one_line() -> None:
    _, problems = load({}, app_nme="x")
    assert [str(problem) for problem in problems] == [
        "app_nme='x' is not used: there is no such setting; did you mean app_name?"
    ]


def test_variables_of_other_libraries_are_none_of_our_business() -> None:
    assert (
        load({"OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "x", "OTEL_INSTRUMENTATION_GENAI": "y", "OTEL_FOO": "z"})[
            1
        ]
        == ()
    )


VARIABLES = sorted(variable for _, declaration in declarations() for variable in declaration.variables())


@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(), max_size=5))
def test_no_environment_makes_loading_raise(environ: dict[str, str]) -> None:
    settings, _ = load(environ)
    assert settings.metric_interval >= 1


def test_page_of_the_documentation_is_what_is_declared() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == markdown(), "run: otel-kpi settings --markdown > docs/settings.md"
