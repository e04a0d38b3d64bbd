from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

from otel_kpi import instrumentation
from otel_kpi.instrumentation.loader import Loader
from otel_kpi.instrumentation.table import TABLE, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_INSTRUMENTOR = """
    import {library}
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

    class Instrumentor(BaseInstrumentor):
        def instrumentation_dependencies(self):
            return ({dependency!r},) if {dependency!r} else ()

        def _instrument(self, **options):
            {library}.instrumented.append(options)

        def _uninstrument(self, **options):
            {library}.instrumented.pop()
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Put modules on the path; take them out of the interpreter afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def module(name: str, source: str, **values: str) -> None:
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).format(**values) if values else textwrap.dedent(source))
        importlib.invalidate_caches()

    yield module
    for name in set(sys.modules) - before:
        del sys.modules[name]


def upstream_row(name: str, instrumentor: str, specifier: str | None = None, distribution: str = "") -> Row:
    return Row(name, name, f"{instrumentor}:Instrumentor", distribution, specifier, waits_for=(instrumentor,))


def states(loader: Loader) -> dict[str, str]:
    return {row.name: row.state for row in loader.report()}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("otel_kpi")]


def test_row_is_loaded_when_its_library_is_imported_and_not_before(write: Callable[..., None]) -> None:
    write("kpi_lib_a", "instrumented = []")
    write("kpi_ins_a", _INSTRUMENTOR, library="kpi_lib_a", dependency="")
    loader = Loader([upstream_row("kpi_lib_a", "kpi_ins_a")])
    loader.install(frozenset())
    assert "kpi_ins_a" not in sys.modules
    assert states(loader) == {"kpi_lib_a": "armed"}
    library = importlib.import_module("kpi_lib_a")
    assert library.instrumented == [{}]
    assert states(loader) == {"kpi_lib_a": "loaded"}
    loader.install(frozenset())
    assert library.instrumented == [{}]
    loader.uninstall()
    assert library.instrumented == []
    loader.install(frozenset())
    assert library.instrumented == [{}]


def test_instrumentor_that_the_application_imports_first_is_not_met_half_made(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    write("kpi_lib_b", "instrumented = []")
    write("kpi_ins_b", _INSTRUMENTOR, library="kpi_lib_b", dependency="")
    loader = Loader([upstream_row("kpi_lib_b", "kpi_ins_b")])
    loader.install(frozenset())
    instrumentor = importlib.import_module("kpi_ins_b").Instrumentor()
    assert states(loader) == {"kpi_lib_b": "loaded"}
    assert sys.modules["kpi_lib_b"].instrumented == [{}]
    assert instrumentor.is_instrumented_by_opentelemetry
    assert warnings_of(caplog) == []


def test_manual_call_afterwards_wins_with_its_options(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    write("kpi_lib_c", "instrumented = []")
    write("kpi_ins_c", _INSTRUMENTOR, library="kpi_lib_c", dependency="")
    loader = Loader([upstream_row("kpi_lib_c", "kpi_ins_c")])
    loader.install(frozenset())
    library = importlib.import_module("kpi_lib_c")
    importlib.import_module("kpi_ins_c").Instrumentor().instrument(request_hook="mine")
    assert library.instrumented == [{"request_hook": "mine"}]
    assert states(loader) == {"kpi_lib_c": "foreign"}
    assert [record.name for record in caplog.records] == []
    loader.uninstall()
    assert library.instrumented == [{"request_hook": "mine"}]


def test_manual_call_before_install_is_left_alone(write: Callable[..., None]) -> None:
    write("kpi_lib_d", "instrumented = []")
    write("kpi_ins_d", _INSTRUMENTOR, library="kpi_lib_d", dependency="")
    importlib.import_module("kpi_ins_d").Instrumentor().instrument(request_hook="mine")
    loader = Loader([upstream_row("kpi_lib_d", "kpi_ins_d")])
    loader.install(frozenset())
    assert sys.modules["kpi_lib_d"].instrumented == [{"request_hook": "mine"}]
    assert states(loader) == {"kpi_lib_d": "foreign"}


@pytest.mark.parametrize("source", ["raise OSError('no disk')", "class Instrumentor:\n    x = 1 / 0"])
def test_instrumentor_that_fails_takes_nothing_with_it(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture, source: str
) -> None:
    write("kpi_lib_e", "value = 42")
    write("kpi_ins_e", source)
    write("kpi_lib_f", "instrumented = []")
    write("kpi_ins_f", _INSTRUMENTOR, library="kpi_lib_f", dependency="")
    loader = Loader([upstream_row("kpi_lib_e", "kpi_ins_e"), upstream_row("kpi_lib_f", "kpi_ins_f")])
    loader.install(frozenset())
    assert importlib.import_module("kpi_lib_e").value == 42
    importlib.import_module("kpi_lib_f")
    assert states(loader) == {"kpi_lib_e": "failed", "kpi_lib_f": "loaded"}
    [line] = warnings_of(caplog)
    assert line.startswith("kpi_lib_e  is not instrumented: its instrumentor failed with ")
    assert "\n" not in line


def test_library_that_cannot_be_imported_fails_as_without_us(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    write("kpi_lib_g", "import kpi_missing_dependency")
    loader = Loader([upstream_row("kpi_lib_g", "kpi_ins_g")])
    loader.install(frozenset())
    with pytest.raises(ModuleNotFoundError, match="kpi_missing_dependency"):
        importlib.import_module("kpi_lib_g")
    assert states(loader) == {"kpi_lib_g": "armed"}
    assert warnings_of(caplog) == []


def test_version_outside_of_what_we_tested_is_one_line(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    write("kpi_lib_h", "instrumented = []")
    write("kpi_ins_h", _INSTRUMENTOR, library="kpi_lib_h", dependency="")
    loader = Loader([upstream_row("kpi_lib_h", "kpi_ins_h", "<0.1", distribution="pytest")])
    loader.install(frozenset())
    assert importlib.import_module("kpi_lib_h").instrumented == []
    assert states(loader) == {"kpi_lib_h": "skipped"}
    assert warnings_of(caplog) == [
        f"kpi_lib_h {pytest.__version__} is not instrumented: our tests cover <0.1"
    ]


@pytest.mark.parametrize(("specifier", "state"), [(">=5", "loaded"), (None, "skipped")])
def test_upstreams_cap_counts_only_where_our_tests_have_not_been(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture, specifier: str | None, state: str
) -> None:
    write("kpi_lib_i", "instrumented = []")
    write("kpi_ins_i", _INSTRUMENTOR, library="kpi_lib_i", dependency="pytest<0.1")
    loader = Loader([upstream_row("kpi_lib_i", "kpi_ins_i", specifier, distribution="pytest")])
    loader.install(frozenset())
    importlib.import_module("kpi_lib_i")
    assert states(loader) == {"kpi_lib_i": state}
    assert len(warnings_of(caplog)) == (state == "skipped")


@pytest.mark.parametrize("disabled", [frozenset({"kpi_lib_j"}), frozenset({"*"})])
def test_disabled_row_is_never_loaded(write: Callable[..., None], disabled: frozenset[str]) -> None:
    write("kpi_lib_j", "instrumented = []")
    write("kpi_ins_j", _INSTRUMENTOR, library="kpi_lib_j", dependency="")
    loader = Loader([upstream_row("kpi_lib_j", "kpi_ins_j")])
    loader.install(disabled)
    assert importlib.import_module("kpi_lib_j").instrumented == []
    assert states(loader) == {"kpi_lib_j": "skipped"}
    assert "kpi_ins_j" not in sys.modules


def test_table_takes_over_every_instrumentor_that_the_core_installs() -> None:
    installed = {entry.name for entry in entry_points(group="opentelemetry_instrumentor")}
    assert installed <= instrumentation.owned_names()


def test_names_of_the_table_are_distinct() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)


def run(source: str) -> str:
    """Run a script in an interpreter of its own."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_arming_imports_no_framework_and_no_instrumentor() -> None:
    output = run("""
        import sys
        import opentelemetry.sdk.trace
        from otel_kpi import instrumentation
        before = set(sys.modules)
        instrumentation.install()
        new = set(sys.modules) - before
        targets = {row.target.partition(".")[0] for row in instrumentation.TABLE} - sys.stdlib_module_names
        print(sorted(name for name in new if name.partition(".")[0] in targets))
        print([name for name in sys.modules if name.startswith("opentelemetry.instrumentation.")])
    """)
    assert output.splitlines() == ["[]", "[]"]


def test_fastapis_upstream_instrumentor_as_the_first_import_works() -> None:
    output = run("""
        from otel_kpi import instrumentation
        instrumentation.install()
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from fastapi import FastAPI
        app = FastAPI()
        FastAPIInstrumentor.instrument_app(app)
        print({row.name: row.state for row in instrumentation.report()}["fastapi"])
    """)
    assert output == "loaded\n"


def test_sqlalchemys_upstream_instrumentor_as_the_first_import_works() -> None:
    output = run("""
        from otel_kpi import instrumentation
        instrumentation.install()
        from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
        import sqlalchemy
        print({row.name: row.state for row in instrumentation.report()}["sqlalchemy"])
        engine = sqlalchemy.create_engine("sqlite://")
        with engine.connect() as connection:
            print(connection.scalar(sqlalchemy.text("SELECT 42")))
        engine.dispose()
    """)
    assert output == "loaded\n42\n"


def test_line_about_a_failure_goes_to_our_logger(caplog: pytest.LogCaptureFixture) -> None:
    loader = Loader([Row("json", "json", "kpi_no_such_module:Instrumentor")])
    with caplog.at_level(logging.WARNING):
        loader.install(frozenset())
    [record] = caplog.records
    assert record.name == "otel_kpi.instrumentation"
    assert "kpi_no_such_module" in record.getMessage()
