"""The version matrix: our tests on the versions that the table promises. `tests/matrix` says what a cell is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from matrix import cells, pages
from matrix.libraries import EVERY_DAY, LIBRARIES, STANDARD_LIBRARY, WITHOUT

from otel_kpi.instrumentation import TABLE

if TYPE_CHECKING:
    from matrix.libraries import Library

OF_NAME = {library.name: library for library in LIBRARIES}


def assert_green(cell: cells.Cell) -> None:
    assert cell.result in {"passed", "skipped"}, f"{cell.version}: {cell.reason}"


@pytest.mark.network
@pytest.mark.timeout(400)
@pytest.mark.parametrize(("name", "end"), EVERY_DAY)
def test_every_day_version_is_seen(name: str, end: cells.End) -> None:
    cell = cells.run(OF_NAME[name], end)
    assert cell.result == "passed", f"{cell.version}: {cell.reason}"


@pytest.mark.proof
@pytest.mark.network
@pytest.mark.timeout(900)
@pytest.mark.parametrize("set_of", ["newest", "oldest"])
@pytest.mark.parametrize("end", cells.ENDS)
@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_version_is_seen_beside_each_opentelemetry(library: Library, end: cells.End, set_of: str) -> None:
    assert_green(cells.run(library, end, "oldest" if set_of == "oldest" else "newest"))


@pytest.mark.proof
@pytest.mark.network
@pytest.mark.timeout(900)
@pytest.mark.parametrize("minor", cells.OTHER_PYTHONS)
@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
def test_newest_version_is_seen_on_other_pythons(library: Library, minor: str) -> None:
    interpreter = cells.other_interpreters().get(minor)
    if interpreter is None:
        pytest.skip(f"there is no Python {minor} on this machine")
    assert_green(cells.run(library, "newest", interpreter=interpreter))


# --- the record and the page


def test_page_is_what_the_record_says() -> None:
    assert pages.PAGE.read_text(encoding="utf-8") == pages.markdown(pages.read())


def test_every_row_of_the_table_has_its_cells_or_a_reason() -> None:
    covered = {name for library in LIBRARIES for name in library.rows} | set(STANDARD_LIBRARY) | set(WITHOUT)
    assert {row.name for row in TABLE} == covered


def test_no_cell_is_red() -> None:
    red = {
        f"{name}: {key}": cell["reason"]
        for name, of_library in pages.read()["libraries"].items()
        for key, cell in of_library.items()
        if cell["result"] == "failed"
    }
    assert red == {}


def test_range_that_the_table_promises_is_green_at_both_ends() -> None:
    libraries = pages.read()["libraries"]
    rows = {row.name: row for row in TABLE}
    unproven = [
        f"{library.name}, {end}"
        for library in LIBRARIES
        if rows[library.name].specifier is not None
        for end in ("oldest", "newest")
        if libraries.get(library.name, {}).get(pages.key(end, "newest"), {}).get("result") != "passed"
    ]
    assert unproven == []


def test_a_failure_of_a_librarys_tests_is_a_red_cell(tmp_path: Path) -> None:
    """The matrix can fail: otherwise it would prove nothing."""
    from dataclasses import replace

    broken = tmp_path / "test_broken.py"
    broken.write_text("def test_promise():\n    assert False\n", encoding="utf-8")
    library = replace(OF_NAME["httpx"], tests=(str(broken), "--rootdir", str(tmp_path)))
    cell = cells.tested(library, Path(sys.executable), "0")
    assert (cell.result, cell.tests) == ("failed", 0)
    assert "test_promise" in cell.reason
    skipped = tmp_path / "test_skipped.py"
    skipped.write_text(
        "import pytest\n\ndef test_promise():\n    pytest.skip('no server')\n", encoding="utf-8"
    )
    library = replace(library, tests=(str(skipped), "--rootdir", str(tmp_path)))
    assert cells.tested(library, Path(sys.executable), "0") == cells.Cell("0", "skipped", 0, "no server")


def test_record_is_readable_by_others() -> None:
    record = json.loads(pages.RECORD.read_text(encoding="utf-8"))
    assert set(record["opentelemetry"]) == {"oldest", "newest"}
    assert set(record["python"]) == {"own", "absent"}


def test_page_says_on_which_python_it_was_made_and_which_is_missing() -> None:
    record = {"opentelemetry": {}, "python": {"own": "3.99", "absent": ["3.14"]}, "libraries": {}}
    page = pages.markdown(record)
    assert "Python 3.99 where the column says no other." in page
    assert "Python 3.14: no cell" in page


@pytest.mark.proof
@pytest.mark.network
def test_newest_version_is_that_of_the_interpreter() -> None:
    """Django 6 is for Python 3.12 and later."""
    interpreter = cells.other_interpreters().get("3.12")
    if interpreter is None:
        pytest.skip("there is no Python 3.12 on this machine")
    here, there = (
        int(cells.version_of(OF_NAME["django"], "newest", python).partition(".")[0])
        for python in (sys.executable, interpreter)
    )
    assert there == 6
    assert (here >= 6) is (sys.version_info >= (3, 12))


@pytest.mark.proof
@pytest.mark.network
@pytest.mark.timeout(600)
def test_sqlalchemy_without_greenlet_is_instrumented() -> None:
    """Upstream's instrumentor imports the asyncio extension, which needs greenlet."""
    from support.environments import cached

    python = cached("sqlalchemy-without-greenlet", "sqlalchemy>=2.1")
    result = subprocess.run(
        [str(python), "-W", "error", "-c", WITHOUT_GREENLET],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


WITHOUT_GREENLET = """if True:
    from otel_kpi import instrumentation
    instrumentation.install()
    import importlib.util, sqlalchemy
    assert importlib.util.find_spec("greenlet") is None
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    assert len(exporter.get_finished_spans()) == 1
    """
