"""Builds a pinned Go module once into the cache."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from otel_kpi.stack import toolchain
from otel_kpi.stack.directories import Cache, remove_tree
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.files import shipped_directory
from otel_kpi.stack.locks import locked
from otel_kpi.stack.progress import elapsed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.stack.modules import GoModule
    from otel_kpi.stack.progress import Progress

_POLL_SECONDS = 0.25
_LINES_SHOWN = 12
_MIB = 1 << 20
# ENOSPC and EFBIG in the words of Go and of the linker; the third is what a killed tool leaves behind.
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
        _require_space(module, cache)
        # Whatever a killed builder left: nobody else builds while the lock is held.
        for leftover in cache.build.iterdir():
            remove_tree(leftover)
        workplace = Path(tempfile.mkdtemp(prefix=f"{module.name}-", dir=cache.build))
        try:
            _compile(module, cache, progress, go, workplace)
            (workplace / "bin").replace(target)
        except OSError as error:
            raise StackError(f"building {module.name} failed: {error}") from error
        finally:
            remove_tree(workplace)
    return target


def _require_space(module: GoModule, cache: Cache) -> None:
    free = shutil.disk_usage(cache.root).free
    if free < module.disk_bytes:
        raise StackError(
            f"building {module.name} needs about {module.disk_bytes // _MIB} MiB at {cache.root}, "
            f"and {free // _MIB} MiB are free; make room, or set OTEL_KPI_CACHE to another disk"
        )


def _compile(module: GoModule, cache: Cache, progress: Progress, go: Path, workplace: Path) -> None:
    source, results, temporary = workplace / "src", workplace / "bin", workplace / "tmp"
    with shipped_directory(*module.directory) as directory:
        shutil.copytree(directory, source)
    results.mkdir()
    temporary.mkdir()
    output = results / module.executables[0] if len(module.executables) == 1 else results
    command = [
        str(go), "build", "-v", "-trimpath",
        "-tags", ",".join(module.tags),
        "-ldflags", f"-s -w {module.linker_flags}".strip(),
        "-o", f"{output}{os.sep if output is results else ''}",
        *module.packages,
    ]  # fmt: skip
    log = cache.logs / f"{module.name}.log"
    title = f"building {module.name} {module.version}"
    progress.begin(f"{title} (once; minutes)")
    with log.open("wb") as stream:
        # A session of its own: the compilers that `go` starts end with it.
        process = subprocess.Popen(
            command,
            cwd=source,
            env=_environment(cache, temporary),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                progress.tick(f"{title}: {_stage(module, log)}")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode != 0:
        raise StackError(_failure(module, cache, log))
    size = sum(path.stat().st_size for path in results.iterdir())
    progress.say(f"built {module.name} {module.version} in {elapsed(progress.seconds)} ({size // _MIB} MiB)")


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


def _stage(module: GoModule, log: Path) -> str:
    """What the compiler is doing, told from the lines that it has written."""
    with contextlib.suppress(OSError):
        lines = log.read_bytes().splitlines()
        downloads = sum(line.startswith(b"go: downloading") for line in lines)
        compiled = len(lines) - downloads
        if compiled:
            return f"{compiled} of about {max(module.packages_compiled, compiled)} packages"
        if downloads:
            return f"{downloads} modules downloaded"
    return "reading the modules"


def _failure(module: GoModule, cache: Cache, log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace")
    if any(sign in text.lower() for sign in _DISK_FULL):
        free = shutil.disk_usage(cache.root).free
        return (
            f"the disk was full while building {module.name}: {cache.root} has {free // _MIB} MiB left and about "
            f"{module.disk_bytes // _MIB} MiB are needed; make room, or set OTEL_KPI_CACHE to another disk"
        )
    lines = [line for line in text.splitlines() if not line.startswith("go: downloading")]
    return "\n".join([f"building {module.name} failed (all output: {log}):", *lines[-_LINES_SHOWN:]])
