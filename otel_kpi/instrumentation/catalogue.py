"""Libraries for which upstream has an instrumentor that our table does not know.

Upstream's own list is generated and stale; its check of versions never fails (it asks whether an iterator is empty
without reading from it). Read from it are the pairs of library and instrumentor, nothing else.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Final

from otel_kpi.instrumentation.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODULES: Final = {
    "cassandra-driver": "cassandra",
    "scylla-driver": "cassandra",
    "google-cloud-aiplatform": "vertexai",
    "grpcio": "grpc",
    "kafka-python": "kafka",
    "mysql-connector-python": "mysql.connector",
    "mysqlclient": "MySQLdb",
    "psycopg2-binary": "psycopg2",
    "tortoise-orm": "tortoise",
}
"""Modules that are not called as their distribution."""

_NEVER: Final = {
    "asgiref": "a middleware without an instrumentor; ours covers the frameworks",
    "asyncclick": "a server started from a command line would have one span for as long as it runs",
    "boto3": "botocore, on which it stands, is instrumented",
    "click": "a server started from a command line would have one span for as long as it runs",
    "psutil": "what it measures is measured here",
    "pydantic": "it says nothing of Tortoise, for which upstream lists it",
}

LEFT_OUT: Final = {"jinja2": "a span for each template, in half of all applications"}
"""No line at every start, and not proposed unless somebody asks for all."""

_LOCKSTEP: Final = "opentelemetry-instrumentation"


@dataclass(frozen=True, slots=True)
class Instrumentable:
    """A library for which upstream has an instrumentor.

    Attributes:
        library: Its distribution.
        specifier: The versions that upstream covers.
        module: What is imported of it.
        instrumentor: The distribution that instruments it.
        requirement: What a resolver is asked for when the lockstep version is `{}`.
    """

    library: str
    specifier: str
    module: str
    instrumentor: str
    requirement: str

    @property
    def name(self) -> str:
        """Name of the instrumentor as `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` has it, with `_` for `-`."""
        return _plain(self.instrumentor.removeprefix(f"{_LOCKSTEP}-"))

    def is_there(self) -> bool:
        """Whether the instrumentor is installed."""
        try:
            # By its distribution: several share a module, and a namespace has no file of its own.
            metadata.distribution(self.instrumentor)
        except metadata.PackageNotFoundError:
            return False
        return True

    def version(self) -> str | None:
        """The installed version of the library; None when it is not installed."""
        try:
            return metadata.version(self.library)
        except metadata.PackageNotFoundError:
            return None

    def covers(self, version: str) -> bool:
        """Whether upstream's instrumentor is for that version of the library."""
        return within(version, self.specifier)


def within(version: str, specifier: str) -> bool:
    """Whether a version, pre-releases too, is in a range."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def catalogue() -> tuple[Instrumentable, ...]:
    """The libraries of which our table knows nothing, and those rows of it whose instrumentor is not installed."""
    return (*_upstream(), *_rows())


def lockstep_version() -> str:
    """The version that every instrumentor of this environment has."""
    return metadata.version(_LOCKSTEP)


def _upstream() -> Iterator[Instrumentable]:
    from opentelemetry.instrumentation.bootstrap_gen import libraries

    covered = {_plain(row.distribution) for row in TABLE if row.distribution}
    covered |= {_plain(row.name) for row in TABLE}
    for pair in libraries:
        library, specifier = _split(pair["library"])
        instrumentor, version = _split(pair["instrumentation"])
        name = _plain(instrumentor.removeprefix(f"{_LOCKSTEP}-"))
        if _plain(library) in covered or name in covered or library.lower() in _NEVER:
            continue
        # Those that are not of the lockstep set are pre-releases only; a lower bound that is one lets them in.
        bound = "=={}" if version.startswith("==") else version or ">=2.0b0"
        module = _MODULES.get(library, _plain(library))
        yield Instrumentable(library, specifier, module, instrumentor, f"{instrumentor}{bound}")


def _rows() -> Iterator[Instrumentable]:
    """Rows that need a package of upstream's which is not among our own dependencies here; an extra says so itself."""
    for row in TABLE:
        modules = [
            name for name in (row.instrumentor.partition(":")[0], *row.waits_for) if _is_instrumentor(name)
        ]
        absent = next((name for name in modules if _find(name) is None), None)
        if absent is None or not row.distribution or row.when == "never" or row.extra:
            continue
        instrumentor = f"{_LOCKSTEP}-{absent.split('.')[2].replace('_', '-')}"
        requirement = f"{instrumentor}=={{}}"
        yield Instrumentable(row.distribution, row.specifier or "", row.target, instrumentor, requirement)


def _is_instrumentor(module: str) -> bool:
    return module.startswith("opentelemetry.instrumentation.") and module.count(".") > 1


def _find(module: str) -> object | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _split(requirement: str) -> tuple[str, str]:
    """The name and the versions of a requirement without extras, as upstream writes all of them."""
    end = next((index for index, letter in enumerate(requirement) if letter in " <>=!~"), len(requirement))
    return requirement[:end], requirement[end:].strip()


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")
