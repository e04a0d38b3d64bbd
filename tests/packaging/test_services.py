"""`make services`: what it may not install, it names, and no run fails for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "services"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A `PATH` with a shell's tools, and no server and no apt-get on it."""
    for name in ("bash", "env", "id"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def test_what_is_missing_is_named_where_nothing_can_be_installed(programs: Path) -> None:
    ended = subprocess.run(
        [str(programs / "bash"), str(SCRIPT)],
        env={"PATH": str(programs), "OTEL_KPI_ROOT": str(programs)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0
    assert "redis-server" in ended.stdout
    assert "skipped" in ended.stdout


def test_network_that_fails_is_a_line_and_not_the_end_of_the_run(programs: Path) -> None:
    for name in ("timeout", "tail", "mktemp", "rm", "chmod"):
        (programs / name).symlink_to(shutil.which(name) or name)
    for name, text in (("id", "echo 0"), ("apt-get", "echo 'Temporary failure resolving'; exit 100")):
        (programs / name).unlink(missing_ok=True)
        (programs / name).write_text(f"#!{programs / 'bash'}\n{text}\n")
        (programs / name).chmod(0o755)
    ended = subprocess.run(
        [str(programs / "bash"), str(SCRIPT)],
        env={
            "PATH": str(programs),
            "OTEL_KPI_ROOT": str(programs),
            "OTEL_KPI_POLICY": str(programs / "policy"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0
    assert "Temporary failure resolving" in ended.stdout
    assert "could not be installed" in ended.stdout
    assert not (programs / "policy").exists()
