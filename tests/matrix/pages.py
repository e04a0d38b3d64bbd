"""The record of the last run of the matrix, `docs/libraries.json`, and the page that is made of it."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

from support.environments import ROOT

from matrix.libraries import LIBRARIES, STANDARD_LIBRARY, WITHOUT
from otel_kpi.instrumentation import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORD = ROOT / "docs" / "libraries.json"
PAGE = ROOT / "docs" / "libraries.md"

_HEAD = """<!-- Generated from docs/libraries.json by `python -m matrix --markdown`; do not edit. -->
# Libraries

What is seen, in which versions. Each cell is a run of our own tests of that library, in an environment of its own
that holds one version of it and the whole set of OpenTelemetry: ✓ with the version means that all of them passed. A
library outside of its range is left alone, with one line in the log; a cap of upstream's is lifted where a cell
beyond it is green. A dot has not run since the last change of its row; in brackets is what is left alone.

"""

_FOOT = """
`make proof` runs every cell; `make test` a few. An instrumentor is chosen by the name in the first column:
`OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=redis,celery` leaves these out, and those of other packages by their own names.

An error of an instrumentor never reaches the application. It is counted in `otel_kpi.instrumentation.errors`, with
the instrumentor's name, and its first is one line in the log; after the tenth that instrumentor is off until the
process ends, and says so. `otel_kpi.instrumentation.report()` tells the state of each.

A sampler, an id generator, a processor, a callback or a view of your own that raises costs what it was about to
record, never the call: it is counted in `otel_kpi.sdk.errors` with its name, and the first of each is one line.
"""


def key(end: str, set_of: str, python: str = "") -> str:
    """The name of a cell in the record."""
    return f"Python {python}" if python else f"{end}, {set_of} OpenTelemetry"


def read() -> dict[str, Any]:
    """The record; empty when nothing ran yet."""
    if not RECORD.exists() or not RECORD.stat().st_size:
        return {"opentelemetry": {}, "python": {}, "libraries": {}}
    return json.loads(RECORD.read_text(encoding="utf-8"))


def write(record: dict[str, Any]) -> None:
    """Write the record in one order, whatever ran first."""
    order = [library.name for library in LIBRARIES]
    libraries = {
        name: dict(sorted(record["libraries"][name].items())) for name in order if name in record["libraries"]
    }
    text = json.dumps({**record, "libraries": libraries}, indent=1, ensure_ascii=False)
    RECORD.write_text(f"{text}\n", encoding="utf-8")


def note(beside: dict[str, Any], library: str, name: str, cell: dict[str, Any]) -> None:
    """Put one cell into the record, and what it ran beside; several runs may write at the same time."""
    with RECORD.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        record = read()
        record |= beside
        record["libraries"].setdefault(library, {})[name] = cell
        write(record)


def lockstep(pins: Sequence[str]) -> str:
    """OpenTelemetry's set in two numbers: its API and SDK, and its instrumentation."""
    versions = dict(pin.split("==", 1) for pin in pins)
    return f"{versions['opentelemetry-sdk']} / {versions['opentelemetry-instrumentation']}"


def markdown(record: dict[str, Any]) -> str:
    """The page."""
    sets, python = record["opentelemetry"], record.get("python", {})
    absent = ", ".join(python.get("absent", ()))
    missing = f" Python {absent}: no cell, where these ran there is none." if absent else ""
    pythons = sorted(
        {name for cells in record["libraries"].values() for name in cells if name.startswith("Python")}
    )
    head = [
        "Library",
        "Instrumentor",
        "Range",
        "Oldest",
        "Newest",
        "Pre-release",
        "With the oldest OpenTelemetry",
        *pythons,
    ]
    lines = [
        (
            f"OpenTelemetry {sets.get('newest', '–')} (newest) and {sets.get('oldest', '–')} (oldest); "
            f"Python {python.get('own', '–')} where the column says no other.{missing}\n\n"
        ),
        f"| {' | '.join(head)} |\n",
        f"|{'---|' * len(head)}\n",
    ]
    rows = {row.name: row for row in TABLE}
    notes: list[str] = []
    for library in LIBRARIES:
        row = rows[library.name]
        cells = record["libraries"].get(library.name, {})
        whose = "ours" if row.instrumentor.startswith("otel_kpi.") else "upstream's"
        old = [cells.get(key(end, "oldest")) for end in ("oldest", "newest")]
        columns = [
            ", ".join(f"`{name}`" for name in library.rows),
            whose,
            f"`{row.specifier}`" if row.specifier else "upstream's",
            *(
                _cell(cells.get(key(end, "newest")), f"{library.name}, {end}", notes)
                for end in ("oldest", "newest", "pre-release")
            ),
            " ".join(
                dict.fromkeys(_cell(cell, f"{library.name}, oldest OpenTelemetry", notes) for cell in old)
            ),
            *(_cell(cells.get(name), f"{library.name}, {name}", notes) for name in pythons),
        ]
        lines.append(f"| {' | '.join(columns)} |\n")
    if notes:
        lines += ["\n", *(f"- {note}\n" for note in dict.fromkeys(notes))]
    lines.append("\nOf the standard library, in the version of the interpreter: ")
    lines.append(", ".join(f"`{name}`" for name in STANDARD_LIBRARY) + ".\n\n")
    lines += [f"- `{name}`: {reason}.\n" for name, reason in WITHOUT.items()]
    return _HEAD + "".join(lines) + _FOOT


def _cell(cell: dict[str, Any] | None, name: str, notes: list[str]) -> str:
    if cell is None:
        return "·"
    if cell["result"] == "passed":
        return f"✓ {cell['version']}"
    if not cell["version"] and cell["reason"] == "there is none":
        return "–"
    notes.append(f"{name} {cell['version']}".rstrip() + f": {cell['reason']}".replace("|", "\\|"))
    return (
        f"✗ {cell['version']}"
        if cell["result"] == "failed"
        else f"({cell['version']})"
        if cell["version"]
        else "–"
    )
