"""The pinned servers: which Go module each is built from, and which versions on PATH will do."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from otel_kpi.stack.files import shipped_directory

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from otel_kpi.stack.directories import Cache

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class GoModule:
    """A Go module that travels with the package and is built on the user's machine.

    Attributes:
        name: The service, as in ``otel-kpi stack status``.
        version: Of the server, for people.
        directory: Where its ``go.mod`` is, below the shipped files.
        packages: What to build; each leaves one of the executables.
        executables: Names of the results, the server first.
        tags: Build tags.
        linker_flags: Beside ``-s -w``, which leave the debugger's tables out.
        ask_version: Arguments that make the executable tell its version.
        accepts: First and last version on PATH that understands our configuration.
        packages_compiled: About how many, for the progress display.
        disk_mib: What a cold build adds at most, sources and intermediate results included.
    """

    name: str
    version: str
    directory: tuple[str, ...]
    packages: tuple[str, ...]
    executables: tuple[str, ...]
    tags: tuple[str, ...]
    linker_flags: str
    ask_version: tuple[str, ...]
    accepts: tuple[tuple[int, int], tuple[int, int]]
    packages_compiled: int
    disk_mib: int

    @property
    def disk_bytes(self) -> int:
        """What a cold build adds at most."""
        return self.disk_mib * _MIB

    @contextlib.contextmanager
    def sources(self) -> Generator[Path]:
        """The module's files, for the duration of the block."""
        with shipped_directory(*self.directory) as directory:
            yield directory

    def key(self, go_version: tuple[int, int]) -> str:
        """Changes with anything that changes the result: sources, flags, compiler, platform."""
        digest = hashlib.sha256()
        with self.sources() as directory:
            for path in sorted(directory.iterdir()):
                if path.suffix in {".go", ".mod", ".sum"}:
                    digest.update(f"{path.name}\0".encode())
                    digest.update(path.read_bytes())
        described = (
            self.packages,
            self.tags,
            self.linker_flags,
            go_version,
            platform.system(),
            platform.machine(),
        )
        digest.update(repr(described).encode())
        return digest.hexdigest()[:12]

    def directory_in(self, cache: Cache, go_version: tuple[int, int]) -> Path:
        """Where the executables of a finished build lie."""
        return cache.binaries / f"{self.name}-{self.version}-{self.key(go_version)}"

    def on_path(self) -> tuple[Path | None, str | None]:
        """The server's executable on PATH.

        Returns:
            Its path when its version fits, and otherwise what to tell when there is one that does not.
        """
        found = shutil.which(self.executables[0])
        if found is None:
            return None, None
        try:
            answer = subprocess.run(
                [found, *self.ask_version], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None, f"{found} does not tell its version and is not used"
        match = re.search(r"\bv?(\d+)\.(\d+)\.\d+", answer.stdout + answer.stderr)
        if match is None:
            return None, f"{found} does not tell its version and is not used"
        version = (int(match[1]), int(match[2]))
        first, last = self.accepts
        if first <= version <= last:
            return Path(found), None
        wanted = (
            ".".join(map(str, first)) if first == last else f"{first[0]}.{first[1]} to {last[0]}.{last[1]}"
        )
        return None, f"{found} is version {version[0]}.{version[1]} and is not used: {wanted} is needed"


MODULES: Mapping[str, GoModule] = {
    module.name: module
    for module in (
        GoModule(
            name="collector",
            version="0.152.0",
            directory=("collector", "module"),
            packages=(".",),
            executables=("otelcol-contrib",),
            # Without the discovery of cloud providers: half the size. The official image has them all.
            tags=("remove_all_sd",),
            linker_flags="",
            ask_version=("--version",),
            # Components are renamed between minor versions, so the configuration fits one of them.
            accepts=((0, 152), (0, 152)),
            packages_compiled=1850,
            disk_mib=3800,
        ),
        GoModule(
            name="jaeger",
            version="2.13.0",
            directory=("jaeger", "module"),
            packages=("github.com/jaegertracing/jaeger/cmd/jaeger",),
            executables=("jaeger",),
            tags=(),
            linker_flags="-X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0",
            ask_version=("version",),
            accepts=((2, 13), (2, 99)),
            packages_compiled=1980,
            disk_mib=2500,
        ),
        GoModule(
            name="prometheus",
            version="3.15.0",
            directory=("deploy", "prometheus", "module"),
            packages=(
                "github.com/prometheus/prometheus/cmd/prometheus",
                "github.com/prometheus/prometheus/cmd/promtool",
            ),
            executables=("prometheus", "promtool"),
            # Without the discovery of cloud providers: 2 minutes of compiling instead of 8.
            tags=("remove_all_sd",),
            linker_flags="-X github.com/prometheus/common/version.Version=3.15.0",
            ask_version=("--version",),
            accepts=((3, 5), (3, 99)),
            packages_compiled=930,
            disk_mib=1500,
        ),
    )
}
