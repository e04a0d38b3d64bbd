"""`otel-kpi run <command …>`: start a program with telemetry, and pass everything through untouched.

`opentelemetry-instrument` reads options of its own and takes `--config` of the application for one of them.
This launcher has no options. Both start the same `sitecustomize`, so that one thing happens in the process.
"""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from otel_kpi.plugins import drop_missing

if TYPE_CHECKING:
    import argparse

SUMMARY = "Start a program with telemetry; everything after `run` is passed through untouched."

_USAGE = "usage: otel-kpi run <command> [arguments …]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For `--help` alone; the words after `run` never reach argparse."""
    parser.add_argument("words", nargs="*", metavar="command", help="the program and its arguments")


def main(args: argparse.Namespace) -> int:
    """Start the program; the command line takes `run` before argparse sees it, and calls `execute` itself."""
    return execute(args.words)


def execute(words: list[str]) -> int:
    """Replace this process by the program.

    Returns:
        2 without a command, 127 when it is not found, 126 when it cannot be started. Else it does not return.
    """
    if not words or words[0] in {"-h", "--help"}:
        print(_USAGE, file=sys.stdout if words else sys.stderr)
        return 0 if words else 2
    program = shutil.which(words[0])
    if program is None:
        print(f"otel-kpi run: {words[0]}: command not found", file=sys.stderr)
        return 127
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(_python_path(environment.get("PYTHONPATH", "")))
    environment["OTEL_PYTHON_DISTRO"] = "otel_kpi"
    # A propagator that is not installed would end the start of telemetry before anything of ours runs.
    for problem in drop_missing(environment):
        print(problem, file=sys.stderr)
    ignoring = ignores_launchers(words)
    if ignoring is not None:
        print(
            f"otel-kpi run: {ignoring} keeps Python from loading telemetry; call otel_kpi.configure() instead",
            file=sys.stderr,
        )
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # pyright: ignore[reportUnnecessaryComparison] - None where it was closed
            stream.flush()
    try:
        os.execve(program, words, environment)  # noqa: S606 - to become the program is what this is for
    except OSError as error:
        print(f"otel-kpi run: {words[0]}: {error.strerror}", file=sys.stderr)
        return 126


def _python_path(current: str) -> list[str]:
    """The launcher's directory first, then the working directory, then what was set, as upstream has it."""
    spec = find_spec("opentelemetry.instrumentation.auto_instrumentation")
    launcher = (spec.submodule_search_locations or [""])[0] if spec is not None else ""
    kept = [entry for entry in current.split(os.pathsep) if entry and entry != launcher]
    here = os.getcwd()  # noqa: PTH109 - a string, as it goes into the environment
    return [launcher, *([] if here in kept else [here]), *kept]


def ignores_launchers(words: list[str]) -> str | None:
    """The option of Python that switches `sitecustomize` or `PYTHONPATH` off, if there is one."""
    if not os.path.basename(words[0]).startswith("python"):  # noqa: PTH119 - a word, not a path
        return None
    for word in words[1:]:
        if not word.startswith("-") or word.startswith("--") or word in {"-", "-c", "-m"}:
            return None
        if word[1] in "IES" or (word[1] in "bBdhiOqsuvx" and set(word) & set("IES")):
            return word
    return None
