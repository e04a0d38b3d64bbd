"""Applications from PyPI that were not written here, started as their documentation says: what Jaeger then holds."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from storefront.audit import spans
from support.children import free_port
from support.environments import ROOT, cached

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from storefront.audit.spans import Span
    from storefront.audit.stores import Addresses

pytestmark = pytest.mark.network

PREFECT = ("prefect==3.8.8", "fastapi==0.150.*")
"""It does not start with the newest FastAPI, without us either."""

BUGSINK = ("--requirements", str(ROOT / "deploy" / "bugsink" / "requirements.txt"))


class Application:
    """An application that runs, and a plain client for it."""

    def __init__(self, url: str, service: str, token: str = "") -> None:
        self.url = url
        self.service = service
        self.token = token
        self.begin = time.time()

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **headers}
        if self.token:
            given["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self.url}{path}", data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def spans(self, jaeger: str, enough: Callable[[list[Span]], bool]) -> list[Span]:
        """What Jaeger has of this application, once it is enough; what it has after 20 s."""
        deadline = time.monotonic() + 20.0
        while True:
            found = spans.search(jaeger, self.service, "e2e", self.begin, time.time() + 1)
            if enough(found) or time.monotonic() > deadline:
                return found
            time.sleep(0.3)  # Jaeger tells nobody that a span has come


def variables(stack: Addresses, service: str, home: Path, python: Path, **extra: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "OTEL_SERVICE_NAME": service,
        "OTEL_KPI_ENVIRONMENT": "e2e",
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
        **extra,
    }


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str], home: Path, url: str) -> Generator[None]:
    """A server from its first answer to its end by SIGTERM."""
    log = home / "output.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=home,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60.0
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)  # a port that opens tells nobody
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def bugsink(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Bugsink by `opentelemetry-instrument gunicorn bugsink.wsgi`, as its documentation has it."""
    python = cached("bugsink", *BUGSINK)
    home, port = tmp_path_factory.mktemp("bugsink"), free_port()
    key = home / "key"
    key.write_text(secrets.token_hex())
    (home / "bugsink_conf.py").write_text((ROOT / "deploy" / "bugsink" / "bugsink_conf.py").read_text())
    environment = variables(
        stack,
        "bugsink",
        home,
        python,
        BUGSINK_HOME=str(home),
        BUGSINK_PORT=str(port),
        BUGSINK_SECRET_KEY_FILE=str(key),
        DJANGO_SETTINGS_MODULE="bugsink_conf",
        PYTHONPATH=str(home),
    )
    manage = [str(python.parent / "bugsink-manage")]
    for arguments in (["migrate", "-v0"], ["migrate", "-v0", "--database=snappea"], ["create_auth_token"]):
        made = subprocess.run(
            [*manage, *arguments], env=environment, cwd=home, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
    token = made.stdout.split()[-1]
    command = ["opentelemetry-instrument", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2"]
    url = f"http://127.0.0.1:{port}"
    with started([*command, "--threads", "4", "bugsink.wsgi"], environment, home, f"{url}/accounts/login/"):
        yield Application(url, "bugsink", token)


def test_requests_and_statements_of_bugsink_are_in_jaeger(bugsink: Application, stack: Addresses) -> None:
    """A Django project with REST framework, two SQLite databases and four threads a worker."""
    status, made = bugsink.request("POST", "/api/canonical/0/teams/", {"name": "shop"})
    assert status == 201, made
    team = json.loads(made)["id"]
    status, made = bugsink.request("POST", "/api/canonical/0/projects/", {"team": team, "name": "checkout"})
    assert status == 201, made
    for _ in range(5):
        assert bugsink.request("GET", "/api/canonical/0/projects/")[0] == 200
    assert bugsink.request("GET", "/accounts/login/")[0] == 200
    assert bugsink.request("GET", "/api/canonical/0/nothing/")[0] == 404

    def requests(found: list[Span]) -> list[Span]:
        return [span for span in found if span.kind == "server"]

    found = bugsink.spans(stack.jaeger, lambda each: len(requests(each)) >= 9)
    by_id = {(span.trace_id, span.span_id): span for span in found}
    assert Counter(span.name.removesuffix("$") for span in requests(found)) == {
        "POST api/canonical/0/teams/": 1,
        "POST api/canonical/0/projects/": 1,
        "GET api/canonical/0/projects/": 5,
        "GET accounts/login/": 1,
        "GET api/<path:subpath>": 1,
    }
    created = [
        span
        for span in found
        if span.kind == "server" and span.attributes.get("http.response.status_code") == 201
    ]
    assert len(created) == 2
    for request in created:
        statements = [span for span in found if span.is_statement and span.trace_id == request.trace_id]
        assert any(str(span.attributes["db.query.text"]).startswith("INSERT") for span in statements)
        assert {by_id[span.parent].kind for span in statements if span.parent} == {"server"}


@pytest.fixture(scope="module")
def prefect(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Prefect's server by its own command, a typer application that starts uvicorn in a child process."""
    python = cached("prefect", *PREFECT)
    home, port = tmp_path_factory.mktemp("prefect"), free_port()
    environment = variables(
        stack, "prefect", home, python, PREFECT_HOME=str(home), PREFECT_SERVER_ANALYTICS_ENABLED="false"
    )
    command = ["opentelemetry-instrument", "prefect", "server", "start", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with started([*command, "--host", "127.0.0.1"], environment, home, f"{url}/api/health"):
        yield Application(url, "prefect")


def test_requests_and_statements_of_prefect_are_in_jaeger(prefect: Application, stack: Addresses) -> None:
    """A FastAPI application on SQLAlchemy 2.1 and aiosqlite."""
    parents = [f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01" for _ in range(5)]
    for number, parent in enumerate(parents):
        status, _ = prefect.request("POST", "/api/flows/", {"name": f"flow-{number}"}, traceparent=parent)
        assert status == 201
    assert prefect.request("POST", "/api/flows/count", {})[1] == "5"
    assert prefect.request("GET", "/api/flows/00000000-0000-0000-0000-000000000000")[0] == 404

    def requests(found: list[Span], route: str) -> list[Span]:
        return [
            span for span in found if span.kind == "server" and span.attributes.get("http.route") == route
        ]

    found = prefect.spans(
        stack.jaeger,
        lambda each: (
            len(requests(each, "/api/flows/")) >= 5 and len(requests(each, "/api/flows/{id:uuid}")) >= 1
        ),
    )
    created = requests(found, "/api/flows/")
    assert sorted(span.trace_id for span in created) == sorted(parent.split("-")[1] for parent in parents)
    assert len(requests(found, "/api/flows/count")) == 1
    assert len(requests(found, "/api/flows/{id:uuid}")) == 1
    for request in created:
        statements = [span for span in found if span.is_statement and span.trace_id == request.trace_id]
        assert any("INSERT INTO flow" in str(span.attributes["db.query.text"]) for span in statements)
        # One statement under SQLAlchemy is one span: none below another.
        assert {span.parent for span in statements} == {(request.trace_id, request.span_id)}
