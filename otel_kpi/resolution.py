"""From what the program gave, the declarative file and the environment to `Settings`, with the origin of each value.

Pure functions; nothing raises. What a setting is, is declared in `config.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote

from otel_kpi._parsing import URL
from otel_kpi.config import SIGNALS, Declaration, PerSignal, Settings, declarations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting that could not be used. `str()` of it is the one line for a person."""

    variable: str
    value: str
    accepted: str

    def __str__(self) -> str:
        return f"{self.variable}={self.value!r} is not used: {self.accepted}"


@dataclass(frozen=True, slots=True)
class Written:
    """A value in the declarative file.

    Attributes:
        value: As the file has it; text is read like the environment's, other values by their type.
        path: Where it stands, for example `tracer_provider.processors[0].batch.schedule_delay`.
    """

    value: Any
    path: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from.

    Attributes:
        kind: `code`, `file`, `environment` or `default`.
        name: The keyword, the path in the file or the variable; empty for the default.
    """

    kind: Literal["code", "file", "environment", "default"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings of a process and how they came about.

    Attributes:
        settings: The values.
        origins: By keyword, or by `keyword.signal` where a setting exists for each signal.
        problems: What could not be used.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    problems: tuple[Problem, ...]


def load(environ: Mapping[str, str], **code: Any) -> tuple[Settings, tuple[Problem, ...]]:
    """Resolve the settings of a process without a declarative file; see `resolve`."""
    resolved = resolve(environ, code)
    return resolved.settings, resolved.problems


def resolve(
    environ: Mapping[str, str], code: Mapping[str, Any], file: Mapping[str, Written] | None = None
) -> Resolved:
    """Resolve the settings of a process: code first, then the file, the environment, the default.

    Args:
        environ: The environment. Beside a file only what the file's schema has no place for is read of it: that is
            the specification's rule for `OTEL_CONFIG_FILE`.
        code: Values that the program gave, by keyword; `None` means not given. Texts are read like the
            environment's, other values are taken as they are.
        file: What the declarative file says, by keyword or `keyword.signal`; None when there is none.

    Returns:
        The settings, where each came from, and what could not be used. A malformed value is replaced by the
        default; nothing raises.
    """
    reader = _Reader(environ, code, file)
    values = {key: reader.setting(key, declaration) for key, declaration in declarations()}
    keywords = [key for key, _ in declarations()]
    problems = reader.problems
    problems += [
        Problem(key, str(value), _suggestion(key, keywords))
        for key, value in code.items()
        if key not in values and value is not None
    ]
    problems += [
        Problem(written.path, str(written.value), _suggestion(key, keywords))
        for key, written in (file or {}).items()
        if key.partition(".")[0] not in values
    ]
    problems += _unknown(environ)
    return Resolved(Settings(**values), reader.origins, tuple(problems))


def superseded(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of `environ` that are not read beside a declarative file, which has a place for each."""
    return tuple(
        variable
        for _, declaration in declarations()
        if _is_in_schema(declaration)
        for variable in declaration.variables()
        if environ.get(variable, "").strip()
    )


def _is_in_schema(declaration: Declaration) -> bool:
    """Whether the declarative file's schema itself has a place for a setting."""
    variable = declaration.variable
    # The off switch works whatever else is set; the others are no part of the schema.
    outside = {"OTEL_SDK_DISABLED", "OTEL_CONFIG_FILE", "OTEL_SEMCONV_STABILITY_OPT_IN"}
    return (
        variable.startswith("OTEL_")
        and not variable.startswith(("OTEL_KPI_", "OTEL_PYTHON_", "OTEL_INSTRUMENTATION_"))
        and variable not in outside
    )


class _Reader:
    """Reads one setting after the other, and keeps where each came from and what could not be read."""

    def __init__(
        self, environ: Mapping[str, str], code: Mapping[str, Any], file: Mapping[str, Written] | None
    ) -> None:
        self._environ = environ
        self._code = code
        self._file: Mapping[str, Written] = file or {}
        self._has_file = file is not None
        self.origins: dict[str, Origin] = {}
        self.problems: list[Problem] = []

    def setting(self, key: str, declaration: Declaration) -> Any:
        if not declaration.per_signal:
            value, _ = self._first(key, declaration, self._given(key, declaration, ""))
            return declaration.default if value is None else value
        return PerSignal(*(self._of(key, declaration, signal) for signal in SIGNALS))

    def _of(self, key: str, declaration: Declaration, signal: str) -> Any:
        value, general = self._first(
            f"{key}.{signal}", declaration, self._given(key, declaration, f"{signal.upper()}_")
        )
        if value is None:
            value = declaration.default
        if general and declaration.parser is URL and isinstance(value, str):
            return f"{value.rstrip('/')}/v1/{signal}"
        return value

    def _given(self, key: str, declaration: Declaration, part: str) -> Iterator[tuple[Any, Origin, bool]]:
        """What was given for a setting, by rank: the value, where it stands, and whether it is for all signals."""
        given = self._code.get(key)
        if isinstance(given, PerSignal):
            given = cast("PerSignal[Any]", given).of(part.lower().rstrip("_"))
        if given is not None:
            yield given, Origin("code", key), True
        own = f"{key}.{part.lower().rstrip('_')}"
        for name in (own, key) if part else (key,):
            written = self._file.get(name)
            if written is not None and written.value is not None:
                yield written.value, Origin("file", written.path), name == key
        if self._has_file and _is_in_schema(declaration):
            return
        variables = dict.fromkeys((declaration.variable.format(part), declaration.variable.format("")))
        for variable in variables:
            raw = self._environ.get(variable, "")
            if (
                raw and variable in declaration.variables()
            ):  # the specification: an empty value is an unset one
                yield raw, Origin("environment", variable), variable == declaration.variable.format("")

    def _first(
        self, name: str, declaration: Declaration, given: Iterator[tuple[Any, Origin, bool]]
    ) -> tuple[Any, bool]:
        for raw, origin, general in given:
            if isinstance(raw, str) and not raw.strip():
                continue  # the specification: an empty value is an unset one
            try:
                value = (
                    raw if origin.kind == "code" and not isinstance(raw, str) else _parse(declaration, raw)
                )
            except ValueError:
                shown = "…" if declaration.secret else str(raw)
                accepted = f"{declaration.parser.accepts}; using {_shown_default(declaration)}"
                problem = Problem(origin.name, shown, accepted)
                if problem not in self.problems:
                    self.problems.append(problem)
                continue
            self.origins[name] = origin
            return value, general
        self.origins[name] = Origin("default")
        return None, True


def _parse(declaration: Declaration, raw: Any) -> Any:
    """Read a value of the environment or of the file.

    Raises:
        ValueError: It is not what the setting accepts.
    """
    parse = declaration.parser.parse
    if isinstance(raw, tuple):  # made of the file's typed parts, and whole
        return cast("Any", raw)
    if isinstance(raw, bool):
        return parse(str(raw).lower())
    if isinstance(raw, Mapping):
        return _joined([_pair(parse, *pair) for pair in cast("Mapping[Any, Any]", raw).items()])
    if isinstance(raw, list):
        return _joined([parse(str(item)) for item in cast("list[Any]", raw)])
    return parse(str(raw).strip())


def _pair(parse: Callable[[str], Any], key: object, value: object) -> Any:
    if any(separator in str(key) for separator in ",="):
        raise ValueError(key)
    return parse(f"{key}={quote(str(value), safe='')}")


def _joined(parts: list[Any]) -> tuple[Any, ...]:
    if not all(isinstance(part, tuple) for part in parts):
        raise ValueError(parts)
    return tuple(item for part in parts for item in part)


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
