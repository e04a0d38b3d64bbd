"""The built wheel in a fresh environment, away from the checkout: stack, example, check, and nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PORT_OFFSET = 13_300
SHOP_PORT = 12_001

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="there is no project to build here"),
]


def _uv() -> str:
    return shutil.which("uv") or str(Path(sys.executable).parent / "uv")


def _run(*command: str, folder: Path, variables: dict[str, str]) -> str:
    """Run a command and return what it printed; fail with that when it fails."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        pytest.fail(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


@pytest.fixture(scope="module")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment with the wheel, its extra `stack`, and the example's requirements."""
    folder = tmp_path_factory.mktemp("wheel")
    programs = folder / "venv" / "bin"
    requirements = ROOT / "examples" / "storefront" / "requirements.txt"

    def uv(*arguments: str) -> None:
        _run(_uv(), *arguments, folder=folder, variables=dict(os.environ))

    uv("build", "--quiet", "--wheel", "--out-dir", str(folder), str(ROOT))
    uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
    wheel = next(folder.glob("*.whl"))
    python = str(programs / "python")
    uv(
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        f"{wheel}[stack]",
        "--requirements",
        str(requirements),
    )
    return programs


@pytest.fixture
def empty_folder(tmp_path: Path, binaries: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield an empty folder and an environment that knows nothing of the checkout."""
    shutil.copytree(
        ROOT / "examples" / "storefront",
        tmp_path / "examples" / "storefront",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    here = tmp_path / "here"
    here.mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "SENTRY_", "VIRTUAL_"))
    }
    cache = {"OTEL_KPI_CACHE": os.environ["OTEL_KPI_CACHE"]} if "OTEL_KPI_CACHE" in os.environ else {}
    variables = (
        kept
        | cache
        | {
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(tmp_path / "examples"),
            "OTEL_KPI_STACK_HOME": str(tmp_path / "stack"),
        }
    )
    yield here, variables
    subprocess.run([binaries / "otel-kpi", "stack", "clean"], env=variables, capture_output=True, check=False)


def test_wheel_runs_stack_check_and_clean_from_an_empty_folder(
    empty_folder: tuple[Path, dict[str, str]], binaries: Path
) -> None:
    here, variables = empty_folder
    cli, python = str(binaries / "otel-kpi"), str(binaries / "python")
    _run(cli, "stack", "up", "--port-offset", str(PORT_OFFSET), folder=here, variables=variables)
    demo = ("-m", "storefront", "demo", "--rate", "25", "--duration", "4", "--port", str(SHOP_PORT))
    _run(python, *demo, folder=here, variables=variables)
    _run(cli, "stack", "clean", folder=here, variables=variables)
    assert not Path(variables["OTEL_KPI_STACK_HOME"]).exists()
    assert [path.name for path in here.iterdir()] == ["storefront-data"]


def test_requirements_of_the_example_are_those_that_we_test_with() -> None:
    text = (ROOT / "examples" / "storefront" / "requirements.txt").read_text()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    wanted = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(wanted) > 5
    assert set(wanted) <= {*groups["demo"], *(each for each in groups["apps"] if isinstance(each, str))}
