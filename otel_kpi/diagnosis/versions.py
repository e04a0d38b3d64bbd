"""Versions of OpenTelemetry that do not fit each other, and distributions beside this one."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from otel_kpi.diagnosis.report import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

_OURS = ("opentelemetry-", "otel-kpi")
_SHOWN = (
    "otel-kpi",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "opentelemetry-configuration",
    "sentry-sdk",
    "protobuf",
    "grpcio",
)


def installed() -> dict[str, metadata.Distribution]:
    """Every distribution, by its normalised name."""
    found: dict[str, metadata.Distribution] = {}
    for each in metadata.distributions():
        name = each.metadata["Name"]
        if name:
            found.setdefault(_plain(name), each)  # the first on the path is the one that is imported
    return found


def versions(found: Mapping[str, metadata.Distribution]) -> dict[str, str]:
    """The versions that matter."""
    return {name: found[name].version for name in _SHOWN if name in found}


def conflicts(found: Mapping[str, metadata.Distribution]) -> list[Finding]:
    """Requirements of OpenTelemetry's packages and of ours that the environment does not meet."""
    findings: list[Finding] = []
    lockstep = (
        found["opentelemetry-instrumentation"].version if "opentelemetry-instrumentation" in found else ""
    )
    for name, distribution in sorted(found.items()):
        if not name.startswith(_OURS):
            continue
        for requirement in distribution.requires or ():
            problem = _unmet(requirement, found)
            if problem is None:
                continue
            beta = name.startswith(("opentelemetry-instrumentation-", "opentelemetry-util-"))
            fix = f"{name}=={lockstep}" if beta and lockstep else "otel-kpi"
            what = f"{name} {distribution.version} needs {problem}"
            findings.append(
                Finding("error", what, f"type: uv pip install --upgrade '{fix}' (or pip install)")
            )
    return findings


def _unmet(text: str, found: Mapping[str, metadata.Distribution]) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
    there = found.get(_plain(requirement.name))
    if there is None:
        return f"{requirement.name}{requirement.specifier}, which is not installed"
    if requirement.specifier.contains(there.version, prereleases=True):
        return None
    return f"{requirement.name}{requirement.specifier}; {there.version} is installed"


def distributions(environ: Mapping[str, str]) -> list[Finding]:
    """Other distributions and configurators that `opentelemetry-instrument` may take in our place."""
    findings: list[Finding] = []
    for group, variable in (
        ("opentelemetry_distro", "OTEL_PYTHON_DISTRO"),
        ("opentelemetry_configurator", "OTEL_PYTHON_CONFIGURATOR"),
    ):
        names = [each.name for each in metadata.entry_points(group=group)]
        others = sorted({name for name in names if name != "otel_kpi"})
        chosen = environ.get(variable)
        kind = group.removeprefix("opentelemetry_")
        if chosen and chosen != "otel_kpi":
            findings.append(
                Finding(
                    "error", f"{variable}={chosen}: another {kind} is chosen", f"export {variable}=otel_kpi"
                )
            )
        elif others and not chosen:
            findings.append(
                Finding(
                    "warning",
                    f"besides otel_kpi the {kind} {', '.join(others)} is installed; opentelemetry-instrument takes the first",
                    f"start with otel-kpi run, or export {variable}=otel_kpi",
                )
            )
    return findings


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
