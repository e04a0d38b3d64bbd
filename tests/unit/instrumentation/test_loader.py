from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest
from support.children import INSTRUMENT, environment
from support.children import run as start_command

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


@pytest.mark.parametrize(
    ("name", "library", "upstream"),
    [
        ("kafka", "kafka", "kafka:KafkaInstrumentor"),
        ("confluent_kafka", "confluent_kafka", "confluent_kafka:ConfluentKafkaInstrumentor"),
        ("aiokafka", "aiokafka", "aiokafka:AIOKafkaInstrumentor"),
        ("pika", "pika", "pika:PikaInstrumentor"),
        ("botocore", "botocore.client", "botocore:BotocoreInstrumentor"),
        ("celery", "celery.app.base", "celery:CeleryInstrumentor"),
        ("psycopg2", "psycopg2", "psycopg2:Psycopg2Instrumentor"),
        ("sqlite3", "sqlite3", "sqlite3:SQLite3Instrumentor"),
    ],
)
@pytest.mark.filterwarnings("default::DeprecationWarning")  # kafka-python's import gives one
@pytest.mark.usefixtures("captured")
def test_manual_call_wins_over_a_row_of_ours_too(
    name: str, library: str, upstream: str, caplog: pytest.LogCaptureFixture
) -> None:
    def state() -> str:
        return next(row.state for row in instrumentation.report() if row.name == name)

    importlib.import_module(library)
    assert state() == "loaded"
    module, _, cls = upstream.partition(":")
    theirs = getattr(importlib.import_module(f"opentelemetry.instrumentation.{module}"), cls)()
    theirs.instrument()
    try:
        assert state() == "foreign"
        assert [record.getMessage() for record in caplog.records] == []  # "while already instrumented"
        instrumentation.uninstall()
        assert theirs.is_instrumented_by_opentelemetry
    finally:
        theirs.uninstrument()


@pytest.mark.usefixtures("captured")
def test_what_upstream_leaves_wrapped_is_taken_back() -> None:
    """Its `consume` would have one more span for each time that it is instrumented."""
    importlib.import_module("confluent_kafka")
    from opentelemetry.instrumentation.confluent_kafka import AutoInstrumentedConsumer

    def depth(method: str) -> int:
        layers, function = 0, vars(AutoInstrumentedConsumer)[method]
        while (function := getattr(function, "__wrapped__", None)) is not None:
            layers += 1
        return layers

    before = [depth(method) for method in ("poll", "consume", "close")]
    instrumentation.uninstall()
    instrumentation.install()
    assert [depth(method) for method in ("poll", "consume", "close")] == before


def test_version_is_that_of_the_distribution_that_carries_the_library(write: Callable[..., None]) -> None:
    """psycopg2 is mostly installed as psycopg2-binary."""
    from importlib.metadata import version

    write("kpi_lib_p", "instrumented = []")
    write("kpi_ins_p", _INSTRUMENTOR, library="kpi_lib_p", dependency="")
    loader = Loader([upstream_row("kpi_lib_p", "kpi_ins_p", distribution="psycopg2")])
    loader.install(frozenset())
    importlib.import_module("kpi_lib_p")
    assert loader.report()[0].version == version("psycopg2-binary")


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


# --- packages of others, as they lie on a disk

FINE = """
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
    from wrapt import wrap_function_wrapper

    class Instrumentor(BaseInstrumentor):
        def instrumentation_dependencies(self):
            return ()

        def _instrument(self, **options):
            print("kpi_fine is there")
            wrap_function_wrapper("textwrap", "dedent", lambda *call: 1 / 0)

        def _uninstrument(self, **options):
            pass
"""

BROKEN = {
    "its import raises": ("raise OSError('no disk')", "no disk"),
    "its import ends the process": ("import sys; sys.exit(3)", "SystemExit(3)"),
    "its class is missing": ("value = 1", "Instrumentor"),
    "its constructor raises": (
        "class Instrumentor:\n    def __new__(cls): raise OSError('no memory')",
        "no memory",
    ),
    "instrument raises": (FINE.replace('print("kpi_fine is there")', "raise OSError('no file')"), "no file"),
    "its dependencies raise": (
        FINE.replace("return ()", "raise OSError('no list')").replace(
            "kpi_fine is there", "kpi_broken is there"
        ),
        "",  # the loader asks the distribution's metadata, and tells the instrumentor not to ask
    ),
    "a part of it is missing": ("import kpi_broken.wrappers", "installed in part"),
    "all of it is missing": (None, "installed in part"),
    "it is for another version": (FINE, "pytest"),
}


def distribution(folder: Path, name: str, source: str | None, requires: str = "") -> None:
    """A distribution with an instrumentor, as an installer leaves it; without `source` only the metadata."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
    (metadata / "entry_points.txt").write_text(
        f"[opentelemetry_instrumentor]\n{name} = {name}:Instrumentor\n"
    )
    if source is not None:
        (folder / f"{name}.py").write_text(textwrap.dedent(source))


def start(folder: Path, source: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script under the launcher with a folder of packages on its path."""
    script = folder / "job.py"
    script.write_text(textwrap.dedent(source))
    env = environment(PYTHONPATH=str(folder), OTEL_SDK_DISABLED="false", **variables)
    return start_command([*INSTRUMENT, sys.executable, str(script)], env)


EVERY_DAY = ("its import ends the process", "instrument raises", "all of it is missing")


@pytest.mark.parametrize(
    "how", [how if how in EVERY_DAY else pytest.param(how, marks=pytest.mark.proof) for how in BROKEN]
)
def test_package_that_is_broken_is_one_line_and_nothing_else_is_affected(tmp_path: Path, how: str) -> None:
    source, said = BROKEN[how]
    another = "Provides-Extra: instruments\nRequires-Dist: pytest<1; extra == 'instruments'\n"
    distribution(tmp_path, "kpi_broken", source, another if "version" in how else "")
    distribution(tmp_path, "kpi_fine", FINE)
    ended = start(
        tmp_path,
        """
        from otel_kpi import instrumentation
        import sqlite3
        print({row.name: row.state for row in instrumentation.report()}["sqlite3"])
        """,
    )
    assert ended.returncode == 0, ended.stderr
    assert "kpi_fine is there" in ended.stdout
    assert ended.stdout.endswith("loaded\n")
    lines = [line for line in ended.stderr.splitlines() if "kpi_broken" in line or "Traceback" in line]
    assert len(lines) == bool(said), ended.stderr
    assert all(said in line for line in lines), lines


@pytest.mark.parametrize("disabled", ["kpi_fine", "sqlite3, kpi_fine", "*"])
def test_foreign_instrumentor_is_disabled_by_the_same_variable(tmp_path: Path, disabled: str) -> None:
    distribution(tmp_path, "kpi_fine", FINE)
    ended = start(
        tmp_path,
        """
        import sys
        from otel_kpi import instrumentation
        import sqlite3
        print("kpi_fine" in sys.modules, {row.name: row.state for row in instrumentation.report()}["sqlite3"])
        """,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"False {'loaded' if disabled == 'kpi_fine' else 'skipped'}\n"
    assert ended.stderr == ""


def test_errors_of_a_foreign_instrumentor_do_not_reach_the_application_either(tmp_path: Path) -> None:
    distribution(tmp_path, "kpi_fine", FINE)
    ended = start(
        tmp_path,
        """
        import textwrap
        print([textwrap.dedent("  text") for _ in range(12)] == ["text"] * 12)
        """,
    )
    assert ended.stdout == "kpi_fine is there\nTrue\n"
    first, last = (line for line in ended.stderr.splitlines() if "kpi_fine" in line)
    assert "kpi_fine: telemetry of a call is lost to an error" in first
    assert "kpi_fine is switched off after 10 errors" in last


def test_instrumentor_that_cannot_be_taken_back_is_one_line(
    write: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    write("kpi_lib_k", "instrumented = []")
    write("kpi_ins_k", _INSTRUMENTOR, library="kpi_lib_k", dependency="")
    loader = Loader([upstream_row("kpi_lib_k", "kpi_ins_k")])
    loader.install(frozenset())
    importlib.import_module("kpi_lib_k").instrumented.clear()
    loader.uninstall()
    assert states(loader) == {"kpi_lib_k": "skipped"}
    [line] = warnings_of(caplog)
    assert line.startswith("kpi_lib_k could not be taken back: IndexError")
