from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from otel_kpi.stack import build, toolchain
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.modules import MODULES, GoModule
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

MAIN = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
needs_go = pytest.mark.skipif(toolchain.find().executable is None, reason="needs Go on PATH")


@dataclass(frozen=True, slots=True)
class SmallModule(GoModule):
    """A module that is built like ours, in seconds."""

    location: Path = Path()

    @contextlib.contextmanager
    def sources(self) -> Generator[Path]:
        yield self.location


def small_module(location: Path, source: str = MAIN, disk_mib: int = 1) -> SmallModule:
    location.mkdir()
    (location / "go.mod").write_text("module small\n\ngo 1.21\n", encoding="utf-8")
    (location / "main.go").write_text(source, encoding="utf-8")
    return SmallModule(
        name="small",
        version="1.0.0",
        directory=(),
        packages=(".",),
        executables=("small",),
        tags=(),
        linker_flags="",
        ask_version=(),
        accepts=((1, 0), (1, 0)),
        packages_compiled=60,
        disk_mib=disk_mib,
        location=location,
    )


@pytest.fixture
def go() -> Path:
    found = toolchain.find().executable
    assert found is not None
    return found


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch, go: Path) -> None:
    """Let Go use the user's own caches, so that its standard library is not compiled again."""
    for name in ("GOCACHE", "GOMODCACHE"):
        value = subprocess.run([go, "env", name], capture_output=True, text=True, check=True).stdout.strip()
        monkeypatch.setenv(name, value)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 8 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(mount)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


@needs_go
@pytest.mark.usefixtures("warm")
def test_built_module_runs_and_leaves_no_intermediate_file(tmp_path: Path, go: Path) -> None:
    cache, said = Cache(tmp_path / "cache"), io.StringIO()
    directory = build.build(small_module(tmp_path / "src"), cache, Progress(said), go)
    answer = subprocess.run([directory / "small"], capture_output=True, text=True, check=True).stdout
    assert answer == "hello\n"
    assert list(cache.build.iterdir()) == []
    assert said.getvalue().startswith("building small 1.0.0")
    assert "built small 1.0.0 in" in said.getvalue()


@needs_go
def test_full_disk_is_one_message_and_leaves_nothing(small_disk: Path, tmp_path: Path, go: Path) -> None:
    cache = Cache(small_disk / "cache")
    with pytest.raises(StackError) as caught:
        build.build(small_module(tmp_path / "src"), cache, Progress(io.StringIO()), go)
    message = str(caught.value)
    assert message.startswith("the disk was full while building small")
    assert str(cache.root) in message
    assert "OTEL_KPI_CACHE" in message
    assert "\n" not in message
    assert list(cache.build.iterdir()) == []
    assert not cache.go.exists()
    assert list(cache.binaries.iterdir()) == []
    assert shutil.disk_usage(small_disk).used < 1 << 20


@needs_go
def test_file_size_limit_during_a_build_reads_like_a_full_disk(tmp_path: Path, go: Path) -> None:
    cache, location = tmp_path / "cache", tmp_path / "src"
    small_module(location)
    program = f"""
import io, resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_build import SmallModule, build, Cache, Progress, small_module
from otel_kpi.stack.errors import StackError
module = small_module(Path({str(tmp_path / "again")!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    build.build(module, Cache(Path({str(cache)!r})), Progress(io.StringIO()), Path({str(go)!r}))
except StackError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("the disk was full while building small"), result.stdout + result.stderr
    assert list((cache / "build").iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_too_little_space_is_told_before_anything_is_built(tmp_path: Path) -> None:
    module = small_module(tmp_path / "src", disk_mib=1 << 30)
    with pytest.raises(StackError, match=r"building small needs about \d+ MiB at .* MiB are free"):
        build.build(module, Cache(tmp_path / "cache"), Progress(io.StringIO()), Path("/nowhere/go"))


@needs_go
@pytest.mark.usefixtures("warm")
def test_failed_build_shows_the_compilers_words_and_where_all_of_them_are(tmp_path: Path, go: Path) -> None:
    cache = Cache(tmp_path / "cache")
    module = small_module(tmp_path / "src", source="package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(StackError) as caught:
        build.build(module, cache, Progress(io.StringIO()), go)
    assert "undefined: undefined" in str(caught.value)
    assert str(cache.logs / "small.log") in str(caught.value)
    assert list(cache.build.iterdir()) == []


@needs_go
@pytest.mark.usefixtures("warm")
def test_two_builders_that_meet_build_once(tmp_path: Path, go: Path) -> None:
    small_module(tmp_path / "src")
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_build import build, Cache, Progress, small_module
module = small_module(Path({str(tmp_path)!r}) / sys.argv[1])
print(build.build(module, Cache(Path({str(tmp_path / "cache")!r})), Progress(sys.stderr), Path({str(go)!r})))
"""
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", program, name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    answers = [builder.communicate() for builder in builders]
    assert [builder.returncode for builder in builders] == [0, 0]
    assert answers[0][0] == answers[1][0]
    assert sum("built small" in errors for _, errors in answers) == 1


def test_build_that_is_told_to_end_takes_the_compilers_with_it(
    make_stack: Callable[[str], Any], tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """A fake `go` that never ends stands for a long build."""
    stack, cache = make_stack("home"), tmp_path / "cache"
    fake = tmp_path / "bin" / "go"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\n[ "$1" = env ] && { echo go1.26.0; exit 0; }\n'
        f"sleep 600 &\necho $$ $! > {tmp_path}/pids.new; mv {tmp_path}/pids.new {tmp_path}/pids\nwait\n",
        encoding="utf-8",
    )
    fake.chmod(0o755)
    variables = {"PATH": f"{fake.parent}:/usr/bin:/bin", "OTEL_KPI_CACHE": str(cache)}
    offset = str(stack.offset)
    with stack.start("up", "--only", "collector", "--port-offset", offset, **variables) as command:
        eventually((tmp_path / "pids").exists)
        pids = [int(word) for word in (tmp_path / "pids").read_text(encoding="utf-8").split()]
        command.terminate()
    assert command.returncode == 128 + signal.SIGTERM
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert list((cache / "build").iterdir()) == []


def test_missing_toolchain_is_one_line_that_says_what_to_do(
    make_stack: Callable[[str], Any], tmp_path: Path
) -> None:
    """Neither Go on PATH, nor a registry that could give one."""
    stack = make_stack("home")
    empty = tmp_path / "empty"
    empty.mkdir()
    result = stack.run(
        "up", "--port-offset", str(stack.offset), "--only", "collector",
        PATH=str(empty), OTEL_KPI_CACHE=str(tmp_path / "cache"), PIP_NO_INDEX="1", PIP_FIND_LINKS="",
    )  # fmt: skip
    assert result.returncode == 1
    *_, message = result.stderr.splitlines()
    assert message.startswith(
        "otel-kpi stack: building the services needs Go 1.26 or newer, and PATH has none"
    )
    assert message.endswith("Install Go, or put otelcol-contrib, jaeger and prometheus on PATH")
    assert "Traceback" not in result.stderr
    assert list((tmp_path / "cache" / "python").iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        ("otelcol-contrib version 0.152.1", True),
        ("otelcol-contrib version 0.120.0", False),
        ("whatever", False),
    ],
)
def test_binary_on_path_is_used_only_when_its_version_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, answer: str, fits: bool
) -> None:
    executable = tmp_path / "otelcol-contrib"
    executable.write_text(f"#!/bin/sh\necho {answer}\n", encoding="utf-8")
    executable.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    path, remark = MODULES["collector"].on_path()
    if fits:
        assert (path, remark) == (executable, None)
    else:
        assert path is None
        assert remark is not None
        assert str(executable) in remark
        assert "is not used" in remark


def test_key_of_a_build_changes_with_its_sources_and_its_compiler(tmp_path: Path) -> None:
    module = small_module(tmp_path / "src")
    key = module.key((1, 26))
    assert module.key((1, 27)) != key
    (tmp_path / "src" / "main.go").write_text(MAIN.replace("hello", "bye"), encoding="utf-8")
    assert module.key((1, 26)) != key
