"""`otel-kpi settings`: what can be set, and what it is set to here."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.config import SIGNALS, Declaration, PerSignal, declarations
from otel_kpi.declarative import resolve_process

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from otel_kpi.resolution import Origin

SUMMARY = "Show every setting: what it is for, what it accepts, and its value in this environment."

_HEAD = """<!-- Generated from otel_kpi/config.py by `otel-kpi settings --markdown`; do not edit. -->
# Settings

Code wins over the declarative file (`OTEL_CONFIG_FILE`, see [declarative.md](declarative.md)), the file over the
environment, the environment over the default. A value that is malformed or a name that
does not exist is one line in the log; the application starts with the default. Names that begin with `OTEL_`
and not with `OTEL_KPI_` are OpenTelemetry's own.

| Variable | `configure(…)` | Default | Accepts | What it is for |
|---|---|---|---|---|
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--markdown", action="store_true", help="print the page docs/settings.md")


def main(args: argparse.Namespace) -> int:
    """Print the settings; status 1 when one of them could not be used."""
    if args.markdown:
        sys.stdout.write(markdown())
        return 0
    resolved, declared = resolve_process(os.environ)
    settings, origins = resolved.settings, resolved.origins
    problems = [*map(str, resolved.problems), *(declared.lines if declared is not None else ())]
    rows = [
        {
            "variables": list(declaration.variables()),
            "keyword": key,
            "value": "…" if declaration.secret and getattr(settings, key) else _plain(getattr(settings, key)),
            "origin": _origin(origins, key, declaration),
            "default": _plain(declaration.default),
            "accepts": declaration.parser.accepts,
            "summary": declaration.summary,
        }
        for key, declaration in declarations()
    ]
    if args.json:
        print(json.dumps({"settings": rows, "problems": problems}, indent=2))
    else:
        for row in rows:
            mark = "*" if row["value"] not in (row["default"], _each(row["default"])) else " "
            origin = _line(row["origin"])
            said = "" if origin == "default" else f"  ({origin})"
            print(f"{mark} {row['variables'][0]:<60} {_line(row['value'])}{said}")
        for problem in problems:
            print(f"! {problem}", file=sys.stderr)
    return 1 if problems else 0


def markdown() -> str:
    """The page docs/settings.md."""
    return _HEAD + "".join(_row(key, declaration) for key, declaration in declarations())


def _row(key: str, declaration: Declaration) -> str:
    variables = "<br>".join(f"`{variable}`" for variable in declaration.variables())
    default = f"`{_line(declaration.default)}`" if declaration.default not in (None, ()) else "–"
    accepts = declaration.parser.accepts.replace("|", "\\|")
    return f"| {variables} | `{key}` | {default} | {accepts} | {declaration.summary} |\n"


def _origin(origins: Mapping[str, Origin], key: str, declaration: Declaration) -> Any:
    if declaration.per_signal:
        return {signal: str(origins[f"{key}.{signal}"]) for signal in SIGNALS}
    return str(origins[key])


def _plain(value: Any) -> Any:
    if isinstance(value, PerSignal):
        return {signal: _plain(value.of(signal)) for signal in ("traces", "metrics", "logs")}
    return list(value) if isinstance(value, tuple) else value


def _each(value: Any) -> dict[str, Any]:
    return {"traces": value, "metrics": value, "logs": value}


def _line(value: Any) -> str:
    if isinstance(value, dict):
        values = list(dict.fromkeys(_line(part) for part in value.values()))
        return (
            values[0]
            if len(values) == 1
            else ", ".join(f"{key}: {_line(part)}" for key, part in value.items())
        )
    if isinstance(value, (list, tuple)):
        return ",".join(_item(part) for part in cast("list[Any]", value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _item(part: Any) -> str:
    return "=".join(map(str, cast("tuple[Any, ...]", part))) if isinstance(part, tuple) else str(part)
