"""The service of a command that nobody has named is called what a person would call it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from otel_kpi.dev.environment import child_environment
from otel_kpi.dev.naming import service_name

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {
    "python app.py": "app",
    "python3.12 -u -X dev jobs/nightly.py --module other": "nightly",
    "/usr/bin/python3 -Wignore ./app.py": "app",
    "python -m shop": "shop",
    "python -m shop.worker --queue mail": "shop",
    "python -um shop": "shop",
    "python -m src.shop": "shop",
    "python shop/__main__.py": "shop",
    "python .": "project",
    "python manage.py runserver": "project",
    "python backend/manage.py runserver": "backend",
    "./manage.py runserver": "project",
    "python -m uvicorn shop.main:app --reload": "shop",
    "uvicorn shop.main:app": "shop",
    "uvicorn --host 0.0.0.0 --port 8000 shop.main:app": "shop",
    "uvicorn --factory shop:create_app": "shop",
    "uvicorn src.shop.main:app": "shop",
    "uvicorn app:app": "app",
    "hypercorn shop:app": "shop",
    "gunicorn shop.wsgi": "shop",
    "gunicorn -w 4 -b 127.0.0.1:8000 -k uvicorn.workers.UvicornWorker shop.asgi:application": "shop",
    "gunicorn --bind unix:run.sock --config python:deploy.gunicorn --reload shop.wsgi": "shop",
    "gunicorn 'shop.main:create_app(\"dev\")'": "shop",
    "daphne -p 8000 shop.asgi:application": "shop",
    "flask --app shop run": "shop",
    "flask --app=shop.web:create_app run --debug": "shop",
    "flask -A web.py run": "web",
    "python -m flask --app shop run": "shop",
    "celery -A shop worker -l info": "shop",
    "celery --app=shop.tasks:queue worker": "shop",
    "dramatiq shop.tasks": "shop",
    "fastapi dev shop/main.py": "main",
    "streamlit run board.py --server.port 8501": "board",
    "django-admin runserver --settings=shop.settings": "shop",
    "pytest -x": "pytest",
    "uv run app.py": "app",
    "uv run --extra dev -p 3.12 python app.py": "app",
    "uv run -m shop": "shop",
    "uv run --env-file .env -- uvicorn shop.main:app": "shop",
    "poetry run flask --app shop run": "shop",
    "env DEBUG=1 PORT=80 python app.py": "app",
    "opentelemetry-instrument --traces_exporter console python app.py": "app",
    "otel-kpi run gunicorn shop.wsgi": "shop",
}
NOT_OURS = (
    "node app.js",
    "./server",
    "make run",
    "sh -c 'python app.py'",
    "honcho start",
    "python",
    "python -",
    "python -c 'print(1)'",
    "python -i",
    "python -m",
    "uvicorn --reload",
    "uv run --no-such-option thing python app.py",
    "uv",
    "env",
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "bin").mkdir(parents=True)
    for name, first in {
        "pytest": "/opt/env/bin/python3",
        "honcho": "/usr/bin/env python",
        "make": "/bin/sh",
    }.items():
        (folder / "bin" / name).write_text(f"#!{first}\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(("command", "name"), COMMANDS.items())
def test_a_service_is_called_what_was_started(project: Path, command: str, name: str) -> None:
    assert service_name(shlex.split(command), str(project), {"PATH": str(project / "bin")}) == name


@pytest.mark.parametrize("command", NOT_OURS)
def test_what_is_no_python_program_that_we_know_names_itself(project: Path, command: str) -> None:
    assert service_name(shlex.split(command), str(project), {"PATH": str(project / "bin")}) is None


def test_flask_and_django_are_asked_for_by_the_environment(project: Path) -> None:
    flask = ["flask", "run"]
    assert service_name(flask, str(project), {}) is None
    (project / "app.py").touch()
    assert service_name(flask, str(project), {}) == "app"
    assert service_name(flask, str(project), {"FLASK_APP": "shop.web"}) == "shop"
    assert (
        service_name(["django-admin", "check"], str(project), {"DJANGO_SETTINGS_MODULE": "shop.settings"})
        == "shop"
    )


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "app"),
        ({"OTEL_SERVICE_NAME": " "}, "app"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.version=1, service.name = mine"}, None),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.version=1,service.name="}, "app"),
        ({"OTEL_CONFIG_FILE": "otel.yaml"}, None),
    ],
)
def test_a_name_that_somebody_has_given_holds(
    project: Path, given: dict[str, str], named: str | None
) -> None:
    child, _ = child_environment(given, "http://127.0.0.1:4318", "", str(project), ("python", "app.py"))
    assert child.get("OTEL_SERVICE_NAME") == named
