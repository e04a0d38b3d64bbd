"""What a command is told, so that it sends its telemetry here: environment variables, for any language."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from otel_kpi.dev.naming import service_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CHILD: Final = Path(__file__).parent / "child"
"""The folder by which a Python starts with telemetry."""

_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
_ELSEWHERE: Final = re.compile(
    r"OTEL_EXPORTER_OTLP_((TRACES|METRICS|LOGS)_(ENDPOINT|PROTOCOL|HEADERS|COMPRESSION|INSECURE|CERTIFICATE|"
    r"CLIENT_KEY|CLIENT_CERTIFICATE)|HEADERS|COMPRESSION|INSECURE|CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)"
)
"""What is meant for another receiver, with its keys."""

_SOON: Final = {
    # A span is on the page within a second of its end.
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "5000",
}


def child_environment(
    environ: Mapping[str, str], address: str, token: str, here: str, command: Sequence[str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The environment of a command, and what was found in it that a person should know.

    Args:
        environ: As it is; what it says about when and what to send holds, where to send does not.
        address: Where this receives.
        token: What requests must carry; may be empty.
        here: The working directory, from which `gunicorn app:app` imports.
        command: The program and its arguments, after which the service is called where nobody has named it.
    """
    notes: list[str] = []
    child = {name: value for name, value in environ.items() if not _ELSEWHERE.fullmatch(name)}
    child["OTEL_EXPORTER_OTLP_ENDPOINT"] = address
    child["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf"
    if token:
        child["OTEL_EXPORTER_OTLP_HEADERS"] = f"authorization=Bearer%20{quote(token, safe='')}"
    for signal in _SIGNALS:
        variable = f"OTEL_{signal}_EXPORTER"
        names = [name.strip() for name in child.get(variable, "otlp").split(",")]
        if "otlp" not in names:
            child[variable] = ",".join(["otlp", *(name for name in names if name and name != "none")])
            notes.append(f"{variable}={environ[variable]} is {child[variable]} for the command")
    if child.pop("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        notes.append("OTEL_SDK_DISABLED is not set for the command")
    if child.get("OTEL_CONFIG_FILE", "").strip():
        notes.append(
            f"OTEL_CONFIG_FILE={child['OTEL_CONFIG_FILE']} decides where telemetry goes; "
            f"to see it here, the file has to say {address}"
        )
    for variable, value in {**_SOON, "OTEL_KPI_TRACE_URL": f"{address}/traces/{{trace_id}}"}.items():
        if not child.get(variable, "").strip():
            child[variable] = value
    if "PATH" in child:
        child["PATH"] = os.pathsep.join(_without_ours(child))
    if not _is_named(child) and (name := service_name(command, here, child)):
        child["OTEL_SERVICE_NAME"] = name
    child["PYTHONPATH"] = os.pathsep.join(_python_path(child.get("PYTHONPATH", ""), here))
    return child, tuple(notes)


def _without_ours(environ: Mapping[str, str]) -> Sequence[str]:
    """Where programs are looked for: not in the environment that `uvx` has made for us alone, and put first.

    `python` and `uvicorn` would be ours, with nothing that the application needs. Of `uv run`, and of an environment
    that is active or that a person has put there, the command may be a part.
    """
    first, *others = environ["PATH"].split(os.pathsep)
    # uvx says of itself that it is uv, and leaves the environment that is active as it was.
    if not environ.get("UV") or first != sysconfig.get_path("scripts"):
        return [first, *others]
    active = environ.get("VIRTUAL_ENV", "")
    hidden = not active or str(Path(active, Path(first).name)) in others
    return others if hidden and active != sys.prefix else [first, *others]


def _is_named(environ: Mapping[str, str]) -> bool:
    """Say whether somebody has named the service; a declarative file does, or means not to."""
    if environ.get("OTEL_SERVICE_NAME", "").strip() or environ.get("OTEL_CONFIG_FILE", "").strip():
        return True
    pairs = (pair.partition("=") for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    return any(key.strip() == "service.name" and value.strip() for key, _, value in pairs)


def _python_path(current: str, here: str) -> Sequence[str]:
    """Ours first, then the working directory, then what was set: as `otel-kpi run` has it."""
    kept = [entry for entry in current.split(os.pathsep) if entry and entry != str(CHILD)]
    return [str(CHILD), *([] if here in kept else [here]), *kept]
