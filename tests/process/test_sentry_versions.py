"""The oldest version of sentry-sdk that is allowed, and the newest pre-release of the next one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.children import environment

pytestmark = [pytest.mark.proof, pytest.mark.network, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).parents[2]
BOUND = re.search(r'"sentry-sdk>=([\d.]+),<3"', (REPOSITORY / "pyproject.toml").read_text())


def installed(version: str, folder: Path) -> dict[str, str]:
    """An environment in which this version of sentry-sdk is found first."""
    uv = shutil.which("uv")
    assert uv is not None
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(folder), f"sentry-sdk=={version}"],
        check=True,
        env={**os.environ, "VIRTUAL_ENV": sys.prefix},
    )
    return {**environment(), "PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    "tests", ["test_sentry_fastapi.py", "test_sentry_django.py", "test_sentry_process.py"]
)
def test_oldest_allowed_version_does_the_same(tests: str, tmp_path: Path) -> None:
    assert BOUND is not None
    oldest = ".".join((*BOUND[1].split("."), "0", "0")[:3])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name(tests))],
        cwd=REPOSITORY,
        env=installed(oldest, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_next_major_version_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    code = """
import logging
logging.basicConfig(format="%(message)s")
from otel_kpi import sentry
sentry.start(dsn="http://public@127.0.0.1:9/7", release=None, environment=None)
assert sentry.capture_message("x") is None
print("started")
"""
    variables = installed("3.0.0b2", tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "started"
    (line,) = done.stderr.splitlines()
    assert "3.0.0b2" in line
    assert "install 'sentry-sdk<3'" in line
