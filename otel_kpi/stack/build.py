"""Builds a pinned Go module once into the cache."""

from __future__ import annotations

import errno
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from otel_kpi.stack import toolchain
from otel_kpi.stack.directories import Cache, remove_tree
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.locks import locked
from otel_kpi.stack.progress import elapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from otel_kpi.stack.modules import GoModule
    from otel_kpi.stack.progress import Progress

_POLL_SECONDS = 0.25
_LINES_SHOWN = 12
_MIB = 1 << 20
# ENOSPC, EFBIG and EDQUOT in the words of Go, of its tools and of the shell.
_DISK_FULL = ("no space left on device", "file too large", "file size limit exceeded", "disk quota exceeded")


def executables(modules: Iterable[GoModule], cache: Cache, progress: Progress) -> Mapping[str, Path]:
    """The server of each module: from PATH, from the cache, or built now.

    Raises:
        StackError: A toolchain is missing, the disk is full, or a build failed.
    """
    servers: dict[str, Path] = {}
    missing: list[GoModule] = []
    found = toolchain.find()
    for module in modules:
        path, remark = module.on_path()
        if remark:
            progress.say(remark)
        built = module.directory_in(cache, found.version)
        if path is not None:
            servers[module.name] = path
        elif built.exists():
            servers[module.name] = built / module.executables[0]
        else:
            missing.append(module)
    if missing:
        cache.create()
        _require_space(missing, cache)
        go = toolchain.obtain(cache, progress)
        for module in missing:
            servers[module.name] = build(module, cache, progress, go) / module.executables[0]
        # Sources and objects are of no use any more, and several gigabytes.
        remove_tree(cache.go)
    return servers


def build(module: GoModule, cache: Cache, progress: Progress, go: Path) -> Path:
    """Compile one module into the cache.

    Args:
        module: What to build.
        cache: Where the result goes. Builders that meet wait for each other.
        progress: Told what is going on.
        go: The ``go`` command.

    Returns:
        The directory with the executables.

    Raises:
        StackError: The disk is full or the build failed. Nothing of it is left on disk but its log.
    """
    target = module.directory_in(cache, toolchain.version_of(go))
    cache.create()
    with locked(cache.lock, lambda: progress.tick("waiting for another otel-kpi that fills the cache")):
        if target.exists():
            return target
        _require_space([module], cache)
        # Whatever a killed builder left: nobody else builds while the lock is held.
        for leftover in cache.build.iterdir():
            remove_tree(leftover)
        workplace = Path(tempfile.mkdtemp(prefix=f"{module.name}-", dir=cache.build))
        try:
            _compile(module, cache, progress, go, workplace)
            (workplace / "bin").replace(target)
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}:
                raise StackError(_disk_full(module, cache)) from error
            raise StackError(f"building {module.name} failed: {error}") from error
        finally:
            remove_tree(workplace)
    return target


def _require_space(modules: Sequence[GoModule], cache: Cache) -> None:
    free = shutil.disk_usage(cache.root).free
    needed = sum(module.disk_bytes for module in modules)
    if free < needed:
        raise StackError(
            f"building {', '.join(module.name for module in modules)} needs about {needed // _MIB} MiB at {cache.root}, "
            f"and {free // _MIB} MiB are free; make room, or set OTEL_KPI_CACHE to another disk"
        )


def _compile(module: GoModule, cache: Cache, progress: Progress, go: Path, workplace: Path) -> None:
    source, results, temporary = workplace / "src", workplace / "bin", workplace / "tmp"
    with module.sources() as directory:
        shutil.copytree(directory, source)
    results.mkdir()
    temporary.mkdir()
    target = str(results / module.executables[0]) if len(module.executables) == 1 else f"{results}{os.sep}"
    command = [
        str(go), "build", "-v", "-trimpath",
        "-tags", ",".join(module.tags),
        # Debugging tables, which `-s -w` would leave out at the end, are not made to begin with: a sixth of the time.
        "-gcflags=all=-dwarf=false",
        "-ldflags", f"-s -w {module.linker_flags}".strip(),
        "-o", target,
        *module.packages,
    ]  # fmt: skip
    title = f"building {module.name} {module.version}"
    output = _Output()
    progress.begin(f"{title} (once; minutes)")
    # A session of its own: the compilers that `go` starts end with it.
    process = subprocess.Popen(
        command,
        cwd=source,
        env=_environment(cache, temporary),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for _ in output.read(process):
            progress.tick(f"{title}: {output.stage(module)}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise StackError(_failure(module, cache, output))
    size = sum(path.stat().st_size for path in results.iterdir())
    progress.say(f"built {module.name} {module.version} in {elapsed(progress.seconds)} ({size // _MIB} MiB)")


@dataclass(slots=True)
class _Output:
    """What `go build -v` says: a line for each module that it downloads and each package that it compiles.

    It is kept in memory, because the log cannot be written when the disk is full.
    """

    lines: list[str] = field(default_factory=list[str])
    downloads: int = 0
    _rest: bytes = b""

    def read(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Collect until the process ends, yielding at least four times a second."""
        stream = cast("IO[bytes]", process.stdout)
        with stream, selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                if selector.select(_POLL_SECONDS):
                    read = os.read(stream.fileno(), 1 << 16)
                    if not read:
                        break
                    self._add(read)
                yield
        process.wait()

    def _add(self, read: bytes) -> None:
        *whole, self._rest = (self._rest + read).split(b"\n")
        for line in whole:
            text = line.decode(errors="replace")
            self.downloads += text.startswith("go: downloading")
            self.lines.append(text)

    def stage(self, module: GoModule) -> str:
        """What the compiler is doing, for people."""
        compiled = len(self.lines) - self.downloads
        if compiled:
            return f"{compiled} of about {max(module.packages_compiled, compiled)} packages"
        if self.downloads:
            return f"{self.downloads} modules downloaded"
        return "reading the modules"


def _environment(cache: Cache, temporary: Path) -> dict[str, str]:
    """Go's settings for a build that depends on nothing but the module's files."""
    own = {
        "GOCACHE": str(cache.go / "build"),
        "GOMODCACHE": str(cache.go / "mod"),
    }
    return {
        # Where a person has named their own caches, these are used and left alone.
        **own,
        **os.environ,
        # No C compiler is needed, and the result runs on every machine of this platform.
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -modcacherw",
        "GOTMPDIR": str(temporary),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _failure(module: GoModule, cache: Cache, output: _Output) -> str:
    text = "\n".join(output.lines)
    if any(sign in text.lower() for sign in _DISK_FULL):
        return _disk_full(module, cache)
    log = cache.logs / f"{module.name}.log"
    log.write_text(text, encoding="utf-8")
    lines = [line for line in output.lines if not line.startswith("go: downloading")]
    return "\n".join([f"building {module.name} failed (all output: {log}):", *lines[-_LINES_SHOWN:]])


def _disk_full(module: GoModule, cache: Cache) -> str:
    free = shutil.disk_usage(cache.root).free
    # Go's half-made objects are what fills it, and no later build could use them.
    remove_tree(cache.go)
    return (
        f"the disk was full while building {module.name}: {cache.root} had {free // _MIB} MiB left and about "
        f"{module.disk_bytes // _MIB} MiB are needed; make room, or set OTEL_KPI_CACHE to another disk"
    )
