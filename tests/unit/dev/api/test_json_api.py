"""The JSON API: each answer fits the document, pages go on, and a wrong parameter is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from support.dev import hostile, samples
from support.dev.served import Served, served

from otel_kpi.dev.api.json import OPERATIONS, document

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def server() -> Generator[Served]:
    with served() as running:
        running.store.write([*samples.requests(500), *hostile.in_every_field(hostile.HTML)])
        yield running


def get(server: Served, path: str, status: int = 200) -> Any:
    answer = server.request("GET", f"/api/kpi{path}")
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    return json.loads(answer.body)


def fits(path: str, answer: Any, status: str = "200") -> None:
    described = document()
    schema = described["paths"][f"/api/kpi{path}"]["get"]["responses"][status]["content"]["application/json"][
        "schema"
    ]
    validator = Draft202012Validator({**schema, "components": described["components"]})
    assert not [error.message for error in validator.iter_errors(answer)][:3]


def test_every_answer_fits_the_document_that_describes_it(server: Served) -> None:
    trace = get(server, "/traces")["traces"][0]["trace_id"]
    instruments = get(server, "/instruments")["instruments"]
    error = get(server, "/errors")["errors"][0]["id"]
    described = [operation.path for operation in OPERATIONS]
    asked = {
        "/traces/{trace_id}": [f"/traces/{trace}"],
        "/errors/{id}": [f"/errors/{error}"],
        "/instruments/{id}": [f"/instruments/{each['id']}" for each in instruments],
        "/series/{id}/points": [
            f"/series/{get(server, f'/instruments/{each_id}')['series'][0]['id']}/points?limit=3"
            for each_id in [each["id"] for each in instruments]
        ],
        "/llm": [f"/llm?start=0&end={2**62}"],
        "/intake": ["/intake?minutes=10080"],
    }
    for path in described:
        for each in asked.get(path, [path]):
            answer = get(server, each)
            fits(path, answer)
            assert any(answer.values()), path


def test_the_document_is_open_api_that_names_every_address(server: Served) -> None:
    told = get(server, "/openapi.json")

    assert told["openapi"].startswith("3.1")
    assert set(told["paths"]) == {f"/api/kpi{operation.path}" for operation in OPERATIONS}
    Draft202012Validator.check_schema({"$defs": told["components"]["schemas"]})
    assert all(schema["properties"] for schema in told["components"]["schemas"].values())
    assert told == document()


@pytest.mark.parametrize(
    ("path", "name", "row"),
    [
        ("/traces", "traces", "row"),
        ("/logs", "logs", "row"),
        ("/errors", "errors", "id"),
        ("/pipelines", "runs", "span"),
    ],
)
def test_pages_together_are_the_whole_list_once(server: Served, path: str, name: str, row: str) -> None:
    every = [each[row] for each in get(server, f"{path}?limit=60")[name]]
    found: list[Any] = []
    before = ""
    for _ in range(200):
        answer = get(server, f"{path}?limit=12{before}")
        found += [each[row] for each in answer[name]]
        if answer["before"] is None or len(found) >= 60:
            break
        before = f"&before={answer['before']}"
    assert found == every != []


@pytest.mark.parametrize(
    ("path", "parameter", "said"),
    [
        ("/traces?limit=0", "limit", "between 1 and 500"),
        ("/traces?limit=many", "limit", "a whole number"),
        ("/traces?min=5", "min", "like 250ms"),
        ("/traces?status=bad", "status", "one of unset, ok, error"),
        ("/traces?start=yesterday", "start", "2026-11-21T16:00:00Z"),
        ("/traces?attribute=x", "attribute", "key=value"),
        ("/traces?nonsense=1", "nonsense", "there are: "),
        ("/traces?limit=1&limit=2", "limit", "2 times"),
        ("/logs?severity=25", "severity", "between 1 and 24"),
        ("/logs?trace=xyz", "trace", "hexadecimal"),
        ("/logs?q=%00", "q", "none of them is 0"),
        ("/errors?before=1", "before", "what an answer gave"),
        ("/traces/xyz", "trace_id", "hexadecimal"),
        ("/traces?before=99999999999999999999", "before", "between"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_told_by_its_name(server: Served, path: str, parameter: str, said: str) -> None:
    answer = get(server, path, 400)

    assert answer["parameter"] == parameter
    assert said in answer["error"]
    fits("/traces", answer, "400")


@pytest.mark.parametrize(
    "path",
    [
        "/traces/00000000000000000000000000000001",
        "/errors/999999",
        "/instruments/x",
        "/series/9999999/points",
        "/instruments/99999999999999999999",
    ],
)
def test_what_is_not_there_is_said_so(server: Served, path: str) -> None:
    assert get(server, path, 404)["error"]


def test_parameters_do_what_they_say(server: Served) -> None:
    assert all(trace["errors"] for trace in get(server, "/traces?status=error")["traces"])
    assert all(trace["duration_ns"] >= 10**9 for trace in get(server, "/traces?min=1s&limit=10")["traces"])
    assert all(log["severity"] >= 17 for log in get(server, "/logs?severity=17")["logs"])
    assert get(server, "/llm?start=2100-01-01T00:00:00Z&end=2100-01-02")["total"]["calls"] == 0
    key = quote("http.route=/products")
    assert get(server, f"/traces?attribute={key}")["traces"]


def test_no_answer_is_of_a_kind_that_a_browser_would_run(server: Served) -> None:
    answer = server.request("GET", f"/api/kpi/logs?q={quote('<script>')}")

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
