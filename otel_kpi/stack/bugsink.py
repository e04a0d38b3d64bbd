"""Bugsink, the Sentry-compatible receiver: its environment, its database and its project."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_kpi.stack import credentials, environments
from otel_kpi.stack.directories import Cache, Home, remove_tree
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.files import shipped
from otel_kpi.stack.http import call
from otel_kpi.stack.locks import locked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from otel_kpi.stack.progress import Progress

ADMINISTRATOR = "admin@example.org"
_PROJECT = "otel-kpi"
_RETAINED_EVENTS = 1_000_000
_DATABASES = ("db.sqlite3", "snappea.sqlite3")
_LINES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Installation:
    """What every stack of the user shares.

    Attributes:
        interpreter: Python of Bugsink's own environment.
        template: Directory with empty, migrated databases: migrating takes 7 s, copying nothing.
    """

    interpreter: Path
    template: Path


def install(cache: Cache, progress: Progress) -> Installation:
    """Install Bugsink and migrate its template, once.

    Raises:
        StackError: Either failed.
    """
    requirements = shipped("deploy", "bugsink", "requirements.txt").read_text(encoding="utf-8")
    configuration = shipped("deploy", "bugsink", "bugsink_conf.py").read_bytes()
    key = hashlib.sha256(requirements.encode() + configuration).hexdigest()[:12]
    directory = environments.ensure(f"bugsink-{key}", requirements, cache, progress, title="Bugsink")
    installation = Installation(environments.python_of(directory), directory / "template")
    if installation.template.exists():
        return installation
    with locked(cache.lock, lambda: progress.tick("waiting for another otel-kpi that fills the cache")):
        if not installation.template.exists():
            _migrate(installation, progress)
    return installation


def _migrate(installation: Installation, progress: Progress) -> None:
    unfinished = installation.template.with_name("template.new")
    remove_tree(unfinished)
    unfinished.mkdir()
    (unfinished / "bugsink_conf.py").write_bytes(shipped("deploy", "bugsink", "bugsink_conf.py").read_bytes())
    key = unfinished / "key"
    key.write_text("used for the migration only", encoding="ascii")
    progress.begin("preparing Bugsink's database")
    for arguments in (("migrate",), ("migrate", "--database=snappea")):
        _run(installation.interpreter, ("-m", "django", *arguments, "-v0"), _settings(unfinished, key, 0))
        progress.tick("preparing Bugsink's database")
    for path in unfinished.iterdir():
        if path.name not in _DATABASES:
            remove_tree(path) if path.is_dir() else path.unlink()
    unfinished.replace(installation.template)
    progress.say(f"prepared Bugsink's database in {progress.seconds:.0f} s")


def prepare(home: Home, installation: Installation) -> str | None:
    """Give a stack its own Bugsink: secrets, databases, an administrator and an API token.

    Returns:
        The administrator's password when it was generated now, else None.
    """
    data = home.data / "bugsink"
    (data / "ingestion").mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("bugsink_conf.py", "first_start.py"):
        (data / name).write_bytes(shipped("deploy", "bugsink", name).read_bytes())
    credentials.ensure(home.secrets / "bugsink_secret_key")
    password = home.secrets / "bugsink_admin_password"
    is_new = credentials.ensure(password)
    for name in _DATABASES:
        if not (data / name).exists():
            shutil.copy(installation.template / name, data / name)
            (data / name).chmod(0o600)
    return credentials.read(password) if is_new else None


def create_administrator(home: Home, installation: Installation) -> None:
    """Create the administrator and the API token unless the token is there."""
    token = home.secrets / "bugsink_token"
    if not token.exists():
        password = home.secrets / "bugsink_admin_password"
        script = home.data / "bugsink" / "first_start.py"
        _run(
            installation.interpreter,
            (str(script), ADMINISTRATOR, str(password), str(token)),
            environment(home, 0),
        )


def environment(home: Home, port: int) -> Mapping[str, str]:
    """Variables of the server and of its commands."""
    return _settings(home.data / "bugsink", home.secrets / "bugsink_secret_key", port)


def _settings(directory: Path, key: Path, port: int) -> Mapping[str, str]:
    return {
        "BUGSINK_HOME": str(directory),
        "BUGSINK_PORT": str(port),
        "BUGSINK_SECRET_KEY_FILE": str(key),
        "DJANGO_SETTINGS_MODULE": "bugsink_conf",
        "PYTHONPATH": str(directory),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _run(interpreter: Path, arguments: tuple[str, ...], variables: Mapping[str, str]) -> None:
    result = subprocess.run(
        [interpreter, *arguments],
        env={
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).splitlines()[-_LINES_SHOWN:]
        raise StackError("\n".join(["Bugsink could not be prepared:", *lines]))


def project_dsn(api: str, token: str) -> str:
    """The DSN of the stack's project, which is created at the first call.

    Args:
        api: Address of the running Bugsink's API.
        token: Bearer token.
    """
    try:
        project = _find(call(f"{api}/projects/", token))
        if project is None:
            teams = call(f"{api}/teams/", token)["results"]
            team = teams[0] if teams else call(f"{api}/teams/", token, {"name": _PROJECT})
            call(
                f"{api}/projects/",
                token,
                {"team": team["id"], "name": _PROJECT, "retention_max_event_count": _RETAINED_EVENTS},
            )
            project = _find(call(f"{api}/projects/", token))
    except OSError as error:
        raise StackError(f"Bugsink's API at {api} does not answer as expected: {error}") from error
    if project is None:
        raise StackError(f"Bugsink's API at {api} created no project")
    return str(project["dsn"])


def _find(page: Any) -> Any:
    return next((project for project in page["results"] if project["name"] == _PROJECT), None)
