"""One cell of the matrix: an environment with one version of one library, and that library's tests in it."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from support.environments import ROOT, uv

from otel_kpi.instrumentation import TABLE

if TYPE_CHECKING:
    from matrix.libraries import Library

End = Literal["oldest", "newest", "pre-release"]
ENDS: tuple[End, ...] = ("oldest", "newest", "pre-release")
Result = Literal["passed", "failed", "skipped"]

_TOOLS = ("pytest>=8.3,<10", "pytest-timeout", "hypothesis", "inline-snapshot", "opentelemetry-proto")
_SECONDS = 300
OTHER_PYTHONS = ("3.12", "3.13", "3.14")

_DEPRECATED = ("-W", "default::DeprecationWarning")
"""What a pre-release announces is no failure of ours."""

_ROWS = {row.name: row for row in TABLE}


@dataclass(frozen=True)
class Cell:
    """What ran, and what became of it.

    Attributes:
        version: Of the library; empty when there is none for this end.
        result: Of its tests.
        tests: How many passed.
        reason: Why it did not run or what failed, in one line.
    """

    version: str
    result: Result
    tests: int = 0
    reason: str = ""


def version_of(library: Library, end: End, interpreter: str = sys.executable) -> str:
    """The version at one end of the row's range; empty when there is no pre-release newer than the newest."""
    python = ("--python", interpreter)  # some versions are not for every Python
    row = _ROWS[library.name]
    name = (library.install or row.distribution).partition("[")[0]
    specifier = row.specifier or ""
    if end == "oldest":
        return _resolve(f"{name}{specifier}", "--resolution", "lowest-direct", *python)
    newest = _resolve(f"{name}{specifier}", *python, beside=library.beside if library.resolved else None)
    if end == "newest":
        return newest
    latest = _resolve(name, "--prerelease", "allow", *python)
    return "" if latest in {newest, _resolve(name, *python)} else latest


@functools.cache
def _resolve(requirement: str, *options: str, beside: tuple[str, ...] | None = None) -> str:
    """The version of the first requirement: alone, or with what it requires and what is installed beside it."""
    alone = () if beside is not None else ("--no-deps",)
    answer = subprocess.run(
        [uv(), "pip", "compile", "--quiet", *alone, "--no-header", "--no-annotate", *options, "-"],
        input="\n".join((requirement, *(beside or ()))),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path.home(),  # not under the settings of this project
    )
    name = re.match(r"[\w.-]+", requirement)
    found = re.search(rf"^{re.escape(name[0]) if name else ''}==([^\s;]+)", answer.stdout, re.MULTILINE)
    if found is None:
        raise AssertionError(f"{requirement} cannot be resolved: {answer.stderr}")
    return found[1]


@functools.cache
def opentelemetry(end: Literal["oldest", "newest"]) -> tuple[str, ...]:
    """The lockstep set of OpenTelemetry at one end of what pyproject.toml allows, as pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [line for line in project["dependencies"] if line.startswith("opentelemetry-")]
    resolution = "lowest-direct" if end == "oldest" else "highest"
    answer = subprocess.run(
        [uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--resolution", resolution, "-"],
        input="\n".join(wanted),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=Path.home(),
    )
    return tuple(line for line in answer.stdout.splitlines() if line.startswith("opentelemetry-"))


def run(
    library: Library,
    end: End,
    set_of: Literal["oldest", "newest"] = "newest",
    interpreter: str = sys.executable,
) -> Cell:
    """Run a library's tests on one of its versions."""
    for known_end, reason in library.reasons:
        if known_end == end:
            return Cell("", "skipped", reason=reason)
    if not (ROOT / library.tests[0]).exists():
        return Cell("", "skipped", reason="our tests have not been over it")
    version = version_of(library, end, interpreter)
    if not version:
        return Cell("", "skipped", reason="there is none")
    row = _ROWS[library.name]
    if row.specifier and not _within(version, row.specifier):
        return Cell(
            version, "skipped", reason=f"outside of {row.specifier}: left alone with one line in the log"
        )
    try:
        python = _environment(library, end, version, set_of, interpreter)
    except _NotInstalled as error:
        return Cell(version, "failed", reason=str(error))
    return tested(library, python, version, *(_DEPRECATED if end == "pre-release" else ()))


def _within(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


class _NotInstalled(Exception):  # noqa: N818 - it is caught here only
    """The installer refused; its last line."""


def _environment(
    library: Library, end: End, version: str, set_of: Literal["oldest", "newest"], interpreter: str
) -> Path:
    row = _ROWS[library.name]
    # The one pin of a pre-release allows that pre-release and no other.
    pins = (
        f"{library.install or row.distribution}=={version}",
        *library.beside,
        *(library.oldest if end == "oldest" else ()),
        *_TOOLS,
    )
    constraints = opentelemetry(set_of)
    base = Path(
        os.environ.get("OTEL_KPI_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-kpi"
    )
    key = hashlib.sha256("\n".join((interpreter, str(ROOT), *pins, *constraints)).encode()).hexdigest()[:12]
    folder = base / "matrix" / f"{library.name}-{version}-{key}"
    python = folder / "bin" / "python"
    ready = (folder / "complete").exists()
    if not ready:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder.parent / f"{folder.name}.constraints").write_text("\n".join(constraints), encoding="utf-8")
        _install([uv(), "venv", "--quiet", "--allow-existing", "--python", interpreter, str(folder)])
    # What this checkout asks for changes and the key does not: a second time it costs nothing.
    install = [uv(), "pip", "install", "--quiet", "--python", str(python)]
    constrained = ["--constraint", str(folder.parent / f"{folder.name}.constraints")]
    _install([*install, *constrained, "--editable", str(ROOT), *pins])
    (folder / "complete").touch()
    return python


def _install(command: list[str]) -> None:
    answer = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=_SECONDS, cwd=Path.home()
    )
    if answer.returncode != 0:
        text = " ".join(answer.stderr.split())
        raise _NotInstalled(f"it cannot be installed: {text[:200]}")


def tested(library: Library, python: Path, version: str, *options: str) -> Cell:
    """Run a library's tests by an interpreter."""
    # Our own settings must not reach the tests, nor this environment's interpreter; and the tests' programs come first.
    variables = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON", "VIRTUAL_"))
    }
    variables["PATH"] = f"{python.parent}{os.pathsep}{variables['PATH']}"
    if "OTEL_KPI_CACHE" in os.environ:
        variables["OTEL_KPI_CACHE"] = os.environ["OTEL_KPI_CACHE"]
    try:
        answer = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-rsfE", "--timeout", "60", *options, *library.tests],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Cell(version, "failed", reason=f"its tests took longer than {_SECONDS} s")
    lines = answer.stdout.splitlines()
    passed = re.search(r"(\d+) passed", lines[-1] if lines else "")
    count = int(passed[1]) if passed else 0
    if answer.returncode == 0 and count:
        return Cell(version, "passed", count)
    if answer.returncode in {0, 5}:
        why = next((line.partition(": ")[2] for line in lines if line.startswith("SKIPPED")), "no test ran")
        return Cell(version, "skipped", reason=why)
    why = next((line for line in lines if line.startswith(("FAILED", "ERROR"))), "")
    why = why or answer.stderr.strip().rpartition("\n")[2]
    return Cell(version, "failed", count, why.replace(sys.prefix, "").replace(str(Path.home()), "~")[:300])


def pythons() -> dict[str, Any]:
    """The Python of most cells, and those of which there is none on this machine."""
    found = other_interpreters()
    return {
        "own": "{}.{}".format(*sys.version_info[:2]),
        "absent": [minor for minor in OTHER_PYTHONS if minor not in found],
    }


def other_interpreters() -> dict[str, str]:
    """Other Pythons on this machine, by their minor version: on the path, or among pyenv's, whose shims do not answer."""
    found: dict[str, str] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in OTHER_PYTHONS:
        candidates = [shutil.which(f"python{minor}"), *map(str, sorted(pyenv.glob(f"{minor}*/bin/python")))]
        for candidate in candidates:
            if candidate and _answers(candidate, minor):
                found[minor] = candidate
                break
    return found


def _answers(interpreter: str, minor: str) -> bool:
    command = [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return (
        subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
        == minor
    )
