"""docs/new-pack.md, done as it says: its files in a folder, its commands in a new environment."""

from __future__ import annotations

import os
import re
import shlex
import site
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "new-pack.md").read_text(encoding="utf-8")
FILES = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def rental(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder of the page, and an environment that has otel-kpi."""
    folder = tmp_path_factory.mktemp("rental-pack")
    for name, text in FILES:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    # otel-kpi and what it needs, from the environment of these tests.
    (packages / "tests.pth").write_text("".join(f"{each}\n" for each in (*site.getsitepackages(), str(ROOT))))
    shim = environment / "bin" / "otel-kpi"
    shim.write_text(
        f"#!{environment}/bin/python\nimport sys\nfrom otel_kpi.cli import main\nsys.exit(main())\n"
    )
    shim.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTHON"))}
    kept |= {
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        # Nothing is fetched: the build tool is there, and so is otel-kpi.
        "PIP_NO_DEPS": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "COLUMNS": "200",
    }
    return folder, kept


def test_its_commands_build_a_pack_that_counts(rental: tuple[Path, dict[str, str]]) -> None:
    folder, environment = rental
    assert len(COMMANDS) == 5
    said: dict[str, str] = {}
    for command in COMMANDS:
        ended = subprocess.run(
            shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
        assert command.startswith("pip") or ended.stderr == "", (command, ended.stderr)
        said[command] = ended.stdout
    [shown] = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert said["otel-kpi catalogue rental"].strip() == shown.strip()
    assert "1 passed" in said["python -m pytest -q test_rental.py"]
    assert "rental_bookings_total" in (folder / "docs/reference/rental.md").read_text()
    assert "rental.booking.result" in (folder / "docs/reference/registry/rental.yaml").read_text()

    declared = folder / "rental" / "instruments.py"
    text = declared.read_text()
    for before, after, reason in (
        ("rental.bookings", "rental.orders", "rental.bookings: is gone; say in `renamed`"),
        ("rental.bookings", "rental.bookings_total", "which the unit says"),
        ("    budget=50,\n", "", "has no budget"),
    ):
        declared.write_text(text.replace(before, after, 1))
        command = [f"{environment['PATH'].split(':')[0]}/otel-kpi", "generate", "rental", "--check"]
        ended = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 1, after
        assert reason in ended.stderr
