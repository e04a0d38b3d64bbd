"""The alerts on docs/security.md, as `promtool` judges them: the first attempt fires, and quiet stays quiet."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest

from otel_kpi.stack import build
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
TESTS = Path(__file__).parent / "rules" / "security.yml"


@pytest.mark.stack
def test_alerts_of_the_page_fire_when_they_should(tmp_path: Path) -> None:
    made = build.executables([MODULES["prometheus"]], Cache.from_environment(), Progress(io.StringIO()))
    [rules] = re.findall(r"```yaml\n(groups:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    (tmp_path / "tests.yml").write_text(TESTS.read_text(encoding="utf-8"), encoding="utf-8")
    ended = subprocess.run(
        [made["prometheus"].with_name("promtool"), "test", "rules", "tests.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
