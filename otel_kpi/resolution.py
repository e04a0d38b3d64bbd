"""From the environment and what the program gave to `Settings`, and what could not be used of them.

Pure functions; nothing raises. What a setting is, is declared in `config.py`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from otel_kpi._parsing import URL
from otel_kpi.config import SIGNALS, Declaration, PerSignal, Settings, declarations

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that could not be used. `str()` of it is the one line for a person."""

    variable: str
    value: str
    accepted: str

    def __str__(self) -> str:
        return f"{self.variable}={self.value!r} is not used: {self.accepted}"


def load(environ: Mapping[str, str], **code: Any) -> tuple[Settings, tuple[Problem, ...]]:
    """Resolve the settings of a process.

    Args:
        environ: The environment.
        **code: Values that the program gave, by keyword; `None` means not given. Texts are read like the
            environment's, other values are taken as they are.

    Returns:
        The settings, and what could not be used. A malformed value is replaced by the default; nothing raises.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, declaration in declarations():
        given = code.pop(key, None)
        if given is not None and not isinstance(given, str):
            values[key] = PerSignal(given, given, given) if declaration.per_signal else given
        elif given is not None:
            written = dict.fromkeys(declaration.variables()[:1], given)
            values[key] = _resolve(declaration, written, problems, key)
        else:
            values[key] = _resolve(declaration, environ, problems, None)
    keywords = [key for key, _ in declarations()]
    problems += [Problem(key, str(value), _suggestion(key, keywords)) for key, value in code.items()]
    problems += _unknown(environ)
    return Settings(**values), tuple(problems)


def _resolve(
    declaration: Declaration, environ: Mapping[str, str], problems: list[Problem], keyword: str | None
) -> Any:
    def read(variable: str) -> Any:
        raw = environ.get(variable, "").strip()
        if not raw:  # the specification: an empty value is an unset one
            return None
        try:
            return declaration.parser.parse(raw)
        except ValueError:
            shown = "…" if declaration.secret else raw
            accepted = f"{declaration.parser.accepts}; using {_shown_default(declaration)}"
            problems.append(Problem(keyword or variable, shown, accepted))
            return None

    if not declaration.per_signal:
        value = read(declaration.variable)
        return declaration.default if value is None else value
    general = read(declaration.variable.format(""))
    if general is None:
        general = declaration.default
    resolved: list[Any] = []
    for signal in SIGNALS:
        own = read(declaration.variable.format(f"{signal.upper()}_"))
        if own is None:
            own = f"{general.rstrip('/')}/v1/{signal}" if declaration.parser is URL else general
        resolved.append(own)
    return PerSignal(*resolved)


def _shown_default(declaration: Declaration) -> str:
    default = declaration.default
    if isinstance(default, tuple):
        default = ",".join(cast("tuple[str, ...]", default))
    return (
        "nothing"
        if default in (None, "")
        else str(default).lower()
        if default in (True, False)
        else str(default)
    )


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1, 0.75)
    return f"there is no such setting; did you mean {close[0]}?" if close else "there is no such setting"


def _unknown(environ: Mapping[str, str]) -> list[Problem]:
    """Variables that look like ours or like a misspelt one of OpenTelemetry's.

    Other names under `OTEL_` belong to instrumentors and plug-ins of which nothing is known here; they are
    named only when they differ from a known one by a letter or two.
    """
    known = [variable for _, declaration in declarations() for variable in declaration.variables()]
    known += _UPSTREAM + _STACK
    problems: list[Problem] = []
    for name, value in environ.items():
        if not name.startswith("OTEL_") or name in known:
            continue
        if name.startswith("OTEL_KPI_"):
            problems.append(Problem(name, value, _suggestion(name, known)))
        elif not name.startswith(("OTEL_PYTHON_", "OTEL_INSTRUMENTATION_")):
            close = difflib.get_close_matches(name, known, 1, 0.92)
            if close:
                problems.append(Problem(name, value, _suggestion(name, known)))
    return problems


# Read by OpenTelemetry itself; nothing to resolve here, known so that they are not taken for mistakes.
_UPSTREAM = [
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
    "OTEL_EXPORTER_OTLP_METRICS_INSECURE",
    "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
    "OTEL_EXPORTER_PROMETHEUS_HOST",
    "OTEL_EXPORTER_PROMETHEUS_PORT",
    "OTEL_ENTITIES",
]

# Read by `otel-kpi stack` (see docs/stack.md).
_STACK = ["OTEL_KPI_STACK_HOME", "OTEL_KPI_CACHE", "OTEL_KPI_PORT_OFFSET", "OTEL_KPI_STACK_SENTRY_DSN"]
