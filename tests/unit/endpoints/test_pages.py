"""Examples of docs/health.md and docs/endpoints.md are run, and what they show is what is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.web import ask

from otel_kpi import health
from otel_kpi.endpoints import ENDPOINTS, openapi, schemas
from otel_kpi.health import declaration, process

jsonschema = pytest.importorskip("jsonschema")
DOCS = Path(__file__).parents[3] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall((DOCS / page).read_text()) if kind == language]


def test_examples_of_checks_can_be_asked(caplog: pytest.LogCaptureFixture) -> None:
    engine = pytest.importorskip("sqlalchemy").create_engine("sqlite://")
    client = pytest.importorskip("redis").Redis()
    known: dict[str, Any] = {
        "engine": engine,
        "redis_client": client,
        "models": [],
        "search_is_up": lambda: True,
    }
    examples = blocks("health.md", "python")
    assert len(examples) == 3
    for example in examples:
        exec(compile(example, "health.md", "exec"), {"health": health, **known})
    assert caplog.records == []
    # Declared, and not asked: there is nobody at these addresses.
    declared = {each.declaration.name: each.declaration for each in process._health.known()}
    assert len(declared) == 10 + len(declaration.machine())
    assert declared["api-gateway"].depends_on == ("auth-service", "chat-service")


def test_the_answer_that_is_shown_is_of_its_schema() -> None:
    [shown] = blocks("health.md", "json")
    jsonschema.validate(json.loads(shown), schemas.HEALTH, jsonschema.Draft202012Validator)


def test_examples_of_endpoints_run() -> None:
    fastapi = pytest.importorskip("fastapi")
    from otel_kpi.endpoints.starlette import add_endpoints

    for example in blocks("endpoints.md", "python"):
        if "django" in example:
            continue
        app = fastapi.FastAPI()
        known = {
            "app": app,
            "sub_application": fastapi.FastAPI(),
            "token": "x",
            "add_endpoints": add_endpoints,
        }
        exec(compile(example, "endpoints.md", "exec"), known)
        if "add_endpoints(app)" in example:
            assert ask(app, "/api/health/live").status == 200


def test_the_page_names_every_endpoint() -> None:
    page = (DOCS / "endpoints.md").read_text()
    for each in ENDPOINTS:
        assert f"| `{each.name}` | `{each.path}` |" in page


def test_probes_of_the_page_lead_to_endpoints() -> None:
    yaml = pytest.importorskip("yaml")
    [manifest] = blocks("endpoints.md", "yaml")
    deployment, service = yaml.safe_load_all(manifest)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    paths = {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    paths.add(service["metadata"]["annotations"]["prometheus.io/path"])
    assert paths <= set(openapi()["paths"])
