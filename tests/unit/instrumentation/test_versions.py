"""Our tests on the oldest versions of the table's ranges, each in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
UNIT = "tests/unit/instrumentation"
TOOLS = ("pytest>=8.3", "pytest-timeout", "opentelemetry-proto>=1.45,<1.46")

pytestmark = [pytest.mark.proof, pytest.mark.network, pytest.mark.timeout(600)]


def environment(path: Path, *requirements: str) -> Path:
    """Make an environment with this checkout and what is asked for; give its interpreter."""
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(path)], check=True, timeout=120)
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
