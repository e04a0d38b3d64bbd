"""Where the stack keeps its state and its cache.

Two directories, because they live differently: the state belongs to one stack and
goes with ``otel-kpi stack clean``; the cache (built binaries, Bugsink's environment)
serves every stack of the user and goes with ``clean --cache``.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from otel_kpi.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The address of a Unix socket has 104 bytes on macOS and 108 on Linux.
_SOCKET_PATH_LIMIT = 100


def _base(environment: Mapping[str, str], own: str, xdg: str, fallback: str) -> Path:
    """One of our directories: our variable, else XDG's, else the place below the home directory."""
    if value := environment.get(own):
        return Path(value).expanduser().absolute()
    if value := environment.get(xdg):
        return Path(value).expanduser().absolute() / "otel-kpi"
    return Path.home() / fallback / "otel-kpi"


@dataclass(frozen=True, slots=True)
class Home:
    """The state of one stack."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Home:
        """Read ``OTEL_KPI_STACK_HOME``; default ``$XDG_STATE_HOME/otel-kpi`` or ``~/.local/state/otel-kpi``."""
        return cls(_base(environment, "OTEL_KPI_STACK_HOME", "XDG_STATE_HOME", ".local/state"))

    @property
    def settings_file(self) -> Path:
        """Which services run on which ports; written by ``up``, read by ``urls``."""
        return self.root / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops this stack."""
        return self.root / "lock"

    @property
    def run(self) -> Path:
        """The supervisor's configuration, process id and socket."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        """Standard output and error of each service."""
        return self.root / "logs"

    @property
    def data(self) -> Path:
        """What each service stores, in a directory of its name."""
        return self.root / "data"

    @property
    def secrets(self) -> Path:
        """Generated keys, passwords and tokens; one file each, readable by the owner only."""
        return self.root / "secrets"

    @property
    def socket(self) -> Path:
        """The supervisor's Unix socket: below the state, or in a short private place where the path is too long."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"otel-kpi-{os.getuid()}-{digest}" / "supervisor.sock"

    def create(self) -> None:
        """Make the directories, for the owner only."""
        try:
            for path in (self.root, self.run, self.logs, self.data, self.secrets, self.socket.parent):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot write the stack's state to {self.root}: {error.strerror}") from error
        if self.socket.parent.stat().st_uid != os.getuid():
            raise StackError(
                f"{self.socket.parent} belongs to another user; set TMPDIR to a directory of yours"
            )

    def remove(self) -> None:
        """Delete everything that the stack has written, and nothing else that may lie beside it."""
        if self.socket.parent != self.run:
            remove_tree(self.socket.parent)
        for path in (self.run, self.logs, self.data, self.secrets):
            remove_tree(path)
        for path in (self.settings_file, self.lock):
            path.unlink(missing_ok=True)
        _remove_if_empty(self.root)


@dataclass(frozen=True, slots=True)
class Cache:
    """What every stack of this user shares."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Cache:
        """Read ``OTEL_KPI_CACHE``; default ``$XDG_CACHE_HOME/otel-kpi`` or ``~/.cache/otel-kpi``."""
        return cls(_base(environment, "OTEL_KPI_CACHE", "XDG_CACHE_HOME", ".cache"))

    @property
    def binaries(self) -> Path:
        """Built executables, one directory for each module, version and platform."""
        return self.root / "bin"

    @property
    def build(self) -> Path:
        """Builds in progress; empty at rest."""
        return self.root / "build"

    @property
    def go(self) -> Path:
        """Go's own caches during a build; removed once everything is built."""
        return self.root / "go"

    @property
    def python(self) -> Path:
        """Python environments of services and of the Go toolchain from PyPI."""
        return self.root / "python"

    @property
    def logs(self) -> Path:
        """The last output of each build."""
        return self.root / "logs"

    @property
    def lock(self) -> Path:
        """Held by whoever builds."""
        return self.root / "lock"

    def create(self) -> None:
        """Make the directories."""
        try:
            for path in (self.root, self.binaries, self.build, self.python, self.logs):
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot write to the cache {self.root}: {error.strerror}") from error

    def remove(self) -> None:
        """Delete everything that the stack has cached, and nothing else that may lie beside it."""
        for path in (self.binaries, self.build, self.go, self.python, self.logs):
            remove_tree(path)
        self.lock.unlink(missing_ok=True)
        _remove_if_empty(self.root)


def remove_tree(path: Path) -> None:
    """Delete a directory and everything below it, also where Go left directories without write permission."""

    def allow_and_retry(function: Callable[[str], object], name: str, _: object) -> None:
        parent = Path(name).parent
        parent.chmod(parent.stat().st_mode | stat.S_IRWXU)
        if Path(name).is_dir() and not Path(name).is_symlink():
            Path(name).chmod(stat.S_IRWXU)
        function(name)

    if path.exists():
        shutil.rmtree(path, onerror=allow_and_retry)


def _remove_if_empty(path: Path) -> None:
    try:
        path.rmdir()
    except OSError:
        return
