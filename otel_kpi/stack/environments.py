"""Python environments of their own, in the cache, for what must not share the application's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from otel_kpi.stack.directories import Cache, remove_tree
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.locks import locked

if TYPE_CHECKING:
    from pathlib import Path

    from otel_kpi.stack.progress import Progress

_POLL_SECONDS = 0.2
_LINES_SHOWN = 6


def python_of(directory: Path) -> Path:
    """The interpreter of an environment."""
    return directory / "bin" / "python"


def ensure(name: str, requirements: str, cache: Cache, progress: Progress, *, title: str) -> Path:
    """Make a Python environment once.

    Args:
        name: Directory below the cache; it must change whenever the requirements do.
        requirements: What to install, in the format of a requirements file.
        cache: Where.
        progress: Told what takes long.
        title: What is being installed, for people.

    Returns:
        The environment's directory.

    Raises:
        StackError: The installer failed; the message ends with its last lines.
    """
    directory = cache.python / name
    finished = directory / "finished"
    if finished.exists():
        return directory
    cache.create()
    with locked(cache.lock, lambda: progress.tick("waiting for another otel-kpi that fills the cache")):
        if finished.exists():
            return directory
        # An environment cannot be moved, so it is made in place and the mark comes last.
        remove_tree(directory)
        directory.mkdir(parents=True)
        wanted = directory / "requirements.txt"
        wanted.write_text(requirements, encoding="utf-8")
        log = cache.logs / f"{name}.log"
        progress.begin(f"installing {title}")
        try:
            for command in _commands(directory, wanted):
                _run(command, log, title, progress)
        except BaseException:
            remove_tree(directory)
            raise
        finished.touch()
        progress.say(f"installed {title} in {progress.seconds:.0f} s")
    return directory


def _commands(directory: Path, requirements: Path) -> list[list[str]]:
    interpreter = str(python_of(directory))
    if uv := shutil.which("uv"):
        return [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(directory)],
            [uv, "pip", "install", "--quiet", "--python", interpreter, "-r", str(requirements)],
        ]
    return [
        [sys.executable, "-m", "venv", str(directory)],
        [
            interpreter,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(requirements),
        ],
    ]


def _run(command: list[str], log: Path, title: str, progress: Progress) -> None:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    status = process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    progress.tick(f"installing {title}")
                else:
                    break
        except BaseException:
            process.kill()
            process.wait()
            raise
    if status != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_SHOWN:]
        raise StackError("\n".join([f"{title} could not be installed (all output: {log}):", *lines]))
