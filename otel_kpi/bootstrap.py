"""Which instrumentors this environment lacks, and how to install them in one go."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from otel_kpi.instrumentation.catalogue import LEFT_OUT, catalogue, lockstep_version


@dataclass(frozen=True, slots=True)
class Missing:
    """An instrumentor that is not installed though its library is.

    Attributes:
        library: The library's distribution.
        version: Its installed version.
        requirement: What a resolver is asked for; empty when upstream has nothing for that version.
        specifier: The versions that upstream covers.
    """

    library: str
    version: str
    requirement: str
    specifier: str


class NoInstaller(Exception):  # noqa: N818 - it says what is not there
    """Neither uv nor pip can install into this environment."""


def missing(*, everything: bool = False) -> tuple[Missing, ...]:
    """The instrumentors that are not installed, in the lockstep version of this environment's OpenTelemetry.

    Args:
        everything: Those too that are left out on purpose.
    """
    lockstep = lockstep_version()
    found: dict[str, Missing] = {}
    for entry in catalogue():
        version = entry.version()
        if version is None or entry.is_there() or (entry.library in LEFT_OUT and not everything):
            continue
        requirement = entry.requirement.format(lockstep) if entry.covers(version) else ""
        found.setdefault(
            f"{entry.instrumentor} {entry.module}",
            Missing(entry.library, version, requirement, entry.specifier),
        )
    return tuple(found.values())


def install_command(requirements: list[str], python: str = sys.executable) -> list[str]:
    """One resolver pass for all of them, by uv when it is there, else by pip.

    Args:
        requirements: What is asked for.
        python: The interpreter of the environment.

    Raises:
        NoInstaller: There is neither.
    """
    # What is installed stays in the pass, so that the resolver changes no version of OpenTelemetry behind our back.
    pinned = [f"opentelemetry-instrumentation=={lockstep_version()}", *requirements]
    uv = shutil.which("uv") or os.environ.get("UV")
    if uv:
        return [uv, "pip", "install", "--python", python, *pinned]
    if find_spec("pip") is not None:
        return [python, "-m", "pip", "install", "--disable-pip-version-check", *pinned]
    raise NoInstaller("neither uv nor pip is here: install uv, or run python -m ensurepip")


def install(command: list[str]) -> int:
    """Run the resolver, whose words go to the terminal; returns its exit status."""
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own words and names of packages
