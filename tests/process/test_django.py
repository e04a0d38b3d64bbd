"""An unchanged `django-admin startproject` is served and traced, however it is started."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.children import INSTRUMENT, RUN, environment, free_port, get, run, running, stop
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVER_KIND = 2

SERVERS: dict[str, Callable[[int], list[str]]] = {
    "runserver": lambda port: [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}"],
    "gunicorn": lambda port: ["gunicorn", "--bind", f"127.0.0.1:{port}", "mysite.wsgi"],
    "uvicorn": lambda port: ["uvicorn", "--port", str(port), "mysite.asgi:application"],
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first page of Django's tutorial makes, unchanged."""
    directory = tmp_path_factory.mktemp("project")
    made = run([sys.executable, "-m", "django", "startproject", "mysite", str(directory)], environment())
    assert made.returncode == 0, made.stderr
    return directory


@pytest.mark.parametrize("settings", ["set outside", "not set"])
@pytest.mark.parametrize("launcher", [INSTRUMENT, RUN], ids=["opentelemetry-instrument", "otel-kpi run"])
@pytest.mark.parametrize("server", SERVERS)
def test_unchanged_startproject_answers_and_is_traced(
    project: Path, receiver: Receiver, server: str, launcher: tuple[str, ...], settings: str
) -> None:
    port = free_port()
    extra = {"DJANGO_SETTINGS_MODULE": "mysite.settings"} if settings == "set outside" else {}
    env = environment(receiver.url, OTEL_SERVICE_NAME="mysite", **extra)
    with running([*launcher, *SERVERS[server](port)], env, project) as process:
        # In seven of its eight middlewares and its templates; the settings are the project's own.
        assert get(f"http://127.0.0.1:{port}/admin/login/") == 200
        receiver.wait_for(lambda arrived: arrived.spans)
        output = stop(process)
    servers = [span for span in receiver.spans if span.item.kind == SERVER_KIND]
    assert [span.item.name for span in servers] == ["GET admin/login/"]
    [span] = servers
    assert span.attributes["http.route"] == "admin/login/"
    assert span.attributes["http.response.status_code"] == 200
    assert span.resource["service.name"] == "mysite"
    assert "Traceback" not in output
    assert "otel_kpi" not in output


def test_management_command_runs_with_a_span_for_each_statement(project: Path, receiver: Receiver) -> None:
    """Django's own wrapping of cursors and connections goes through the instrumented driver."""
    migrated = run(
        [*RUN, sys.executable, "manage.py", "migrate", "--verbosity", "0"], environment(receiver.url), project
    )
    assert (migrated.returncode, migrated.stdout, migrated.stderr) == (0, "", "")
    statements = [span.attributes.get("db.query.text", "") for span in receiver.spans]
    assert any(text.startswith('CREATE TABLE "auth_user"') for text in statements)
