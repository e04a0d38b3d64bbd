"""The page says what is so: every series is on it, and its example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from otel_kpi.packs.database import PACK as DATABASE
from otel_kpi.packs.runtime import PACK as RUNTIME

DOCS = Path(__file__).parents[4] / "docs"


@pytest.mark.parametrize("series", [instrument.series_name for instrument in RUNTIME.instruments])
def test_each_series_is_on_the_page(series: str) -> None:
    page = (DOCS / "runtime.md").read_text()
    last = series.removeprefix("cpython_gc")
    assert f"`{series}`" in page or f"`…{last}`" in page


def test_each_instrument_of_pools_is_on_the_page() -> None:
    page = (DOCS / "databases.md").read_text()
    for instrument in DATABASE.instruments:
        name = instrument.name.removeprefix("db.client.connection.")
        assert f"`{name}`" in page or f"`{instrument.series_name}`" in page, instrument.name


def test_the_pages_example_runs() -> None:
    [example] = re.findall(r"```python\n(.*?)```", (DOCS / "runtime.md").read_text(), re.DOTALL)
    ended = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
