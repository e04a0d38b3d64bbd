"""Our tests on the ends of the table's ranges, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
UNIT = "tests/unit/instrumentation"
TOOLS = ("pytest>=8.3", "pytest-timeout", "opentelemetry-proto>=1.45,<1.46")

pytestmark = [pytest.mark.proof, pytest.mark.network, pytest.mark.timeout(600)]


def environment(path: Path, *requirements: str, interpreter: str = sys.executable) -> Path:
    """Make an environment with this checkout and what is asked for; give its interpreter."""
    subprocess.run(["uv", "venv", "--quiet", "--python", interpreter, str(path)], check=True, timeout=120)
    python = path / "bin" / "python"
    subprocess.run(
        [
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            str(python),
            "--editable",
            str(REPOSITORY),
            *requirements,
        ],
        check=True,
        timeout=400,
    )
    return python


def run(python: Path, *arguments: str) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    result = subprocess.run(
        [str(python), *arguments],
        cwd=REPOSITORY,
        env=variables,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


@pytest.mark.parametrize(
    ("requirements", "tests"),
    [
        pytest.param(
            ("sqlalchemy==1.4.54", "greenlet", "aiosqlite<0.22"),
            f"{UNIT}/test_sqlalchemy.py",
            id="sqlalchemy 1.4",
        ),
        pytest.param(
            ("sqlalchemy==2.0.58", "greenlet", "aiosqlite", "psycopg[binary]"),
            f"{UNIT}/test_sqlalchemy.py",
            id="sqlalchemy 2.0",
        ),
        pytest.param(("fastapi==0.115.0",), f"{UNIT}/test_fastapi.py", id="fastapi 0.115"),
        pytest.param(
            ("django~=4.2.0", "gunicorn", "uvicorn"), "tests/process/test_django.py", id="django 4.2"
        ),
        pytest.param(
            ("httpx==0.27.0", "requests==2.30.0", "aiosqlite==0.19.0"),
            f"{UNIT}/test_clients.py",
            id="httpx 0.27, requests 2.30",
        ),
    ],
)
def test_oldest_version_passes_the_same_tests(
    tmp_path: Path, requirements: tuple[str, ...], tests: str
) -> None:
    run(environment(tmp_path / "env", *TOOLS, *requirements), "-m", "pytest", "-q", tests)


@pytest.mark.parametrize("python", ["3.12", "3.13"])
def test_newest_django_passes_the_same_tests(tmp_path: Path, python: str) -> None:
    """Django 6 needs Python 3.12."""
    version = ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    found = next((path for path in interpreters(python) if output(path, *version) == python), None)
    if found is None:
        pytest.skip(f"there is no Python {python} on this machine")
    requirements = (*TOOLS, "django>=6,<7", "gunicorn", "uvicorn")
    python_of_it = environment(tmp_path / "env", *requirements, interpreter=found)
    run(python_of_it, "-m", "pytest", "-q", "tests/process/test_django.py")


def interpreters(version: str) -> list[str]:
    """Where Python of that version may be: on the path, or among pyenv's, whose shims answer only when chosen."""
    found = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return ([found] if found else []) + [str(path) for path in pyenv.glob(f"{version}*/bin/python")]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()


def test_sqlalchemy_without_greenlet_is_instrumented(tmp_path: Path) -> None:
    """Upstream's instrumentor imports the asyncio extension, which needs greenlet."""
    python = environment(tmp_path / "env", "sqlalchemy>=2.1")
    run(
        python,
        "-W",
        "error",
        "-c",
        """if True:
        from otel_kpi import instrumentation
        instrumentation.install()
        import importlib.util, sqlalchemy
        assert importlib.util.find_spec("greenlet") is None
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with sqlalchemy.create_engine("sqlite://").connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
        assert len(exporter.get_finished_spans()) == 1
        """,
    )
