"""Names of plug-ins that are set but not installed.

Two settings are read by OpenTelemetry itself while its modules are imported, long before anyone could handle
an error: a propagator that is not installed ends the start of telemetry altogether, a resource detector prints a
traceback in every process. Such names are taken out of the environment before those imports.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from otel_kpi.resolution import Problem

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_GROUPS = {
    "OTEL_PROPAGATORS": ("opentelemetry_propagator", frozenset({"tracecontext", "baggage", "none"})),
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": ("opentelemetry_resource_detector", frozenset({"*"})),
}


def drop_missing(environ: MutableMapping[str, str]) -> tuple[Problem, ...]:
    """Take names of plug-ins that are not installed out of `environ`; returns a problem for each.

    A variable of which nothing is left is removed, so that its default holds.
    """
    problems: list[Problem] = []
    for variable, (group, known) in _GROUPS.items():
        names = [name.strip() for name in environ.get(variable, "").split(",") if name.strip()]
        missing = [name for name in names if name not in known]
        if missing:
            installed = entry_points(group=group).names
            missing = [name for name in missing if name not in installed]
        if not missing:
            continue
        problems += [Problem(variable, name, "no plug-in of that name is installed") for name in missing]
        kept = [name for name in names if name not in missing]
        if kept:
            environ[variable] = ",".join(kept)
        else:
            del environ[variable]
    return tuple(problems)
