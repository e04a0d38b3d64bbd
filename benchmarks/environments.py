"""Python environments of the others: stock OpenTelemetry, ddtrace, Logfire, sentry-sdk; and one of ours.

Each holds the same application libraries and one tool, so that the tool is the only difference. They are made
once in the user's cache, keyed by what is in them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

LIBRARIES = (
    "fastapi==0.165.*", "uvicorn", "django>=5.2,<6", "sqlalchemy==2.0.*", "greenlet", "aiosqlite", "httpx>=0.28,<1",
    "requests", "redis", "celery", "asyncpg", "psycopg[binary]",
)  # fmt: skip

# What upstream's own `opentelemetry-bootstrap` proposes for these libraries.
STOCK = tuple(
    f"opentelemetry-instrumentation-{name}==0.66b1"
    for name in (
        "asgi", "asyncio", "asyncpg", "celery", "click", "dbapi", "django", "fastapi", "httpx", "logging", "psycopg",
        "redis", "requests", "sqlalchemy", "sqlite3", "starlette", "system-metrics", "threading", "urllib", "urllib3",
        "wsgi",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """One way to see a process.

    Attributes:
        name: As it is printed.
        requirements: What is installed beside the libraries.
        launcher: Words in front of the command; `{bin}` is the environment's.
        code: Statements in front of the program, for tools that are started in code.
    """

    name: str
    requirements: tuple[str, ...]
    launcher: tuple[str, ...] = ()
    code: str = ""


BARE = Tool("bare", ())
OURS = Tool("otel-kpi", (f"otel-kpi @ {ROOT.as_uri()}",), ("{bin}/opentelemetry-instrument",))
OTHERS = (
    Tool(
        "stock OpenTelemetry",
        ("opentelemetry-distro==0.66b1", "opentelemetry-exporter-otlp==1.45.1", *STOCK),
        ("{bin}/opentelemetry-instrument",),
    ),
    Tool("ddtrace", ("ddtrace>=4.16,<5",), ("{bin}/ddtrace-run",)),
    Tool(
        "Logfire",
        ("logfire>=5,<6",),
        code="import logfire; logfire.configure(send_to_logfire=False, console=False)\n",
    ),
    Tool(
        "sentry-sdk",
        ("sentry-sdk>=2.75,<3",),
        code="import sentry_sdk; sentry_sdk.init('http://key@127.0.0.1:9/1', traces_sample_rate=1.0)\n",
    ),
)


def environment(tool: Tool, libraries: tuple[str, ...] = LIBRARIES) -> Path:
    """The `bin` directory of a tool's environment, with the application's libraries; made when it is not there."""
    cache = Path(os.environ.get("OTEL_KPI_CACHE") or Path.home() / ".cache" / "otel-kpi") / "benchmarks"
    requirements = (*libraries, *tool.requirements)
    key = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:12]
    folder = cache / f"{tool.name.lower().replace(' ', '-')}-{key}"
    binaries = folder / "bin"
    uv = shutil.which("uv") or "uv"
    if not (folder / ".complete").exists():
        print(f"setting up: {tool.name}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", str(binaries / "python")]
        # Each of OpenTelemetry's packages is named with its pre-release, so no other pre-release is taken.
        lockstep = [r for r in STOCK_SET if tool.requirements and "opentelemetry" in tool.requirements[0]]
        subprocess.run([*install, *requirements, *lockstep], check=True)
        (folder / ".complete").touch()
    elif ROOT.as_uri() in "".join(tool.requirements):  # the code changes and the key does not
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--reinstall-package", "otel-kpi"]
        subprocess.run([*install, "--python", str(binaries / "python"), *tool.requirements], check=True)
    return binaries


STOCK_SET = (
    "opentelemetry-instrumentation==0.66b1",
    "opentelemetry-semantic-conventions==0.66b1",
    "opentelemetry-util-http==0.66b1",
)
