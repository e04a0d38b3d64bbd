"""Upstream's own suites of tests, under this distribution: what they promise to applications still holds.

The source distributions are fetched by the run; nothing of them is kept in this repository. Each suite runs twice
in the same environment, without us and under `otel-kpi run`. A test is out, by rule and not by name, when

1. it fails without us on the same libraries, or
2. it reaches for a private name of OpenTelemetry's: one that begins with an underscore, in what it imports,
   patches or reads.

Everything else passes under us.
"""

from __future__ import annotations

import ast
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from support.environments import cached

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.proof, pytest.mark.network, pytest.mark.timeout(900)]

LOCKSTEP = "0.66b1"
SUITES = {
    "asgi": (),
    "fastapi": ("fastapi", "httpx", "httpx2", "requests", "python-multipart"),
    "django": ("django>=5.2,<6", "httpx"),
    "logging": (),
    "httpx": ("httpx>=0.28,<1", "httpx2", "respx"),
}
FEWEST = 60
"""Tests that each suite has at the least: a suite that cannot be imported has failed everywhere, and that is out."""

SETTINGS = {
    # The suites choose a generation of names for each test; unset means the old one to them.
    "OTEL_SEMCONV_STABILITY_OPT_IN": "default",
    # Their own exporters see everything; nothing needs to leave.
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


def source(name: str, python: Path, folder: Path) -> Path:
    """Fetch a source distribution and give its folder."""
    package = f"opentelemetry-instrumentation-{name}=={LOCKSTEP}"
    fetch = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary=:all:",
        "--dest",
        str(folder),
        package,
    ]
    subprocess.run([str(python), *fetch], check=True, timeout=300, cwd=folder)
    [archive] = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def outcomes(command: list[str], suite: Path, report: Path, **extra: str) -> dict[str, str]:
    """Run a suite; give `passed`, `failed` or `skipped` by the test's name."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON", "SENTRY_"))
    }
    command = [*command, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests"]
    ended = subprocess.run(
        command, cwd=suite, env=kept | extra, capture_output=True, text=True, check=False, timeout=600
    )
    assert report.exists(), ended.stdout[-3000:] + ended.stderr[-3000:]
    found: dict[str, str] = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        state = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{case.get('classname')}::{case.get('name')}"] = state
    assert found, ended.stdout[-3000:] + ended.stderr[-3000:]
    return found


def private_tests(suite: Path) -> set[str]:
    """Names of tests that reach for a private name of OpenTelemetry's."""
    found: set[str] = set()
    for path in suite.glob("tests/**/test_*.py"):
        module = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name
            for node in ast.walk(module)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry")
            for alias in node.names
        }
        found |= {
            case.name
            for case in _functions(module)
            if any(_is_private(node, imported) for node in ast.walk(case))
        }
    return found


def _functions(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    functions = [
        node for node in ast.walk(module) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    return [function for function in functions if function.name.startswith("test")]


def _is_private(node: ast.AST, imported: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in imported and node.id.startswith("_")
    if isinstance(node, ast.Attribute):
        return node.attr.startswith("_") and not node.attr.startswith("__") and _root(node) != "self"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # `patch("opentelemetry.x._y")`
        return node.value.startswith("opentelemetry.") and "._" in node.value
    return False


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """Give an interpreter that has what a suite needs, and the suite's folder."""
    name: str = request.param
    tools = ("pip", "pytest", "pytest-asyncio", f"opentelemetry-test-utils=={LOCKSTEP}", "asgiref")
    tools = (*tools, f"opentelemetry-instrumentation-{name}=={LOCKSTEP}")
    python = cached(f"suite-{name}", *tools, *SUITES[name])
    return python, source(name, python, tmp_path)


def test_what_upstream_promises_holds_under_us(suite: tuple[Path, Path], tmp_path: Path) -> None:
    python, folder = suite
    alone = outcomes([str(python)], folder, tmp_path / "alone.xml")
    command = [str(python.parent / "otel-kpi"), "run", str(python)]
    with_us = outcomes(command, folder, tmp_path / "with.xml", **SETTINGS)
    private = private_tests(folder)
    out = {name for name, state in alone.items() if state == "failed"}
    out |= {name for name in with_us if name.partition("::")[2].partition("[")[0] in private}
    count = {state: list(with_us.values()).count(state) for state in ("passed", "failed", "skipped")}
    print(
        f"{folder.name}: {count}, out by rule and failing: {sorted(n for n in out if with_us.get(n) == 'failed')}"
    )
    assert set(with_us) == set(alone)
    assert count["passed"] >= FEWEST
    assert [name for name, state in sorted(with_us.items()) if state == "failed" and name not in out] == []
