"""`otel-kpi dev` from the wheel: all of it is there, and nothing of its environment enters the application's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.children import environment, run
from support.dev.pages import PAGES
from support.environments import uv

ROOT = Path(__file__).parents[2]
DEV = ROOT / "otel_kpi" / "dev"

pytestmark = [pytest.mark.proof, pytest.mark.timeout(300)]

ASKING = """
import json, os, sys, urllib.request
address = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
answers = {path: urllib.request.urlopen(address + path).status for path in sys.argv[1:]}
print(json.dumps(answers))
"""

APPLICATION = """
import importlib.util, json, os, sys
named = os.environ.get("OTEL_SERVICE_NAME")
try:
    from opentelemetry import trace
except ImportError:
    pass
else:
    with trace.get_tracer("shop").start_as_current_span("checkout"):
        pass
print(json.dumps({
    "executable": sys.executable,
    "path": sys.path,
    "loaded": sorted({module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)}),
    "found": [name for name in ("otel_kpi", "h2", "jinja2", "rich", "starlette", "uvicorn")
              if importlib.util.find_spec(name) is not None],
    "service": named,
}))
"""


def quietly(*command: str | Path, **variables: str) -> None:
    done = run([*map(str, command)], environment(**variables), timeout=280)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the source distribution and the wheel that was built of it."""
    folder = tmp_path_factory.mktemp("built")
    quietly(uv(), "build", "--quiet", "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def virtual(folder: Path, *requirements: str) -> Path:
    """The `bin` of an environment."""
    quietly(uv(), "venv", "--quiet", "--python", sys.executable, folder)
    if requirements:
        quietly(uv(), "pip", "install", "--quiet", "--python", folder / "bin" / "python", *requirements)
    return folder / "bin"


def test_all_that_is_no_module_is_in_both_distributions(built: Path, wheel: Path) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for part in ("child", "viewer/static", "viewer/templates")
        for path in (DEV / part).iterdir()
        if path.is_file()
    }
    assert len(wanted) > 30
    with zipfile.ZipFile(wheel) as archive:
        assert wanted <= {*archive.namelist()}
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted <= names
    assert not [name for name in names if name.startswith((".otel-kpi", ".venv")) or name.endswith(".db")]


def test_pages_are_served_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    own = virtual(tmp_path / "env", f"{wheel}[dev]")
    pages = (*PAGES, "/help")
    done = run(
        [str(own / "otel-kpi"), "dev", "--port=0", "--memory", "--", "python", "-c", ASKING, *pages],
        environment(PATH=f"{own}:/usr/bin:/bin", OTEL_SERVICE_NAME="dev-wheel"),
        tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(pages, 200)


@pytest.mark.parametrize("ours", ["none", "core"])
def test_by_uvx_nothing_of_its_environment_enters_that_of_the_application(
    wheel: Path, tmp_path: Path, ours: str
) -> None:
    """The application has its own otel_kpi without the extra, or none at all."""
    theirs = virtual(tmp_path / "app", *([str(wheel)] if ours == "core" else []))
    (tmp_path / "app.py").write_text(APPLICATION)
    done = subprocess.run(
        [
            uv(), "tool", "run", "--quiet", "--python", sys.executable, "--from", f"{wheel}[dev]",
            "otel-kpi", "dev", "--port=0", "--store=a.db", "--", "python", "app.py",
        ],
        # As a shell has it in which the application's environment is active.
        env=environment(VIRTUAL_ENV=str(theirs.parent), PATH=f"{theirs}:{os.environ['PATH']}"),
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert Path(told["executable"]) == theirs / "python"
    assert told["service"] == "app"
    assert told["found"] == (["otel_kpi"] if ours == "core" else [])
    standard = tuple({sys.base_prefix, str(Path(sys.base_prefix).resolve())})
    strangers = [
        place
        for place in [*told["path"], *told["loaded"]]
        if place and not place.startswith((str(tmp_path), *standard))
    ]
    # The one file that starts telemetry is found, and its folder is on the path no more.
    assert [Path(place).name for place in strangers] == ["sitecustomize.py"]
    if ours == "core":
        assert "checkout app" in done.stderr
        return
    assert f"{theirs / 'python'} has no otel_kpi" in done.stderr
