"""Python environments with this checkout and something else, kept in the user's cache, keyed by what is in them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def uv() -> str:
    """The installer: on the path, or beside this interpreter."""
    return shutil.which("uv") or str(Path(sys.executable).parent / "uv")


def cached(name: str, *requirements: str, interpreter: str = sys.executable) -> Path:
    """Make an environment once; returns its interpreter.

    This checkout is installed as it stands, editable, and its own requirements are brought up to date each time.
    """
    base = os.environ.get("OTEL_KPI_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    ) / ("otel-kpi")
    wanted = "\n".join(
        (interpreter, sys.version, str(ROOT), (ROOT / "pyproject.toml").read_text(), *requirements)
    )
    folder = Path(base) / "tests" / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for outdated in folder.parent.glob(f"{name}-{'?' * 12}"):
                shutil.rmtree(outdated, ignore_errors=True)
            _run(uv(), "venv", "--quiet", "--python", interpreter, str(folder))
            install = (uv(), "pip", "install", "--quiet", "--python", str(python))
            _run(*install, "--editable", str(ROOT), *requirements)
            (folder / "complete").touch()
    return python


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if ended.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
