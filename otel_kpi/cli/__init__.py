"""The command `otel-kpi`. Each command is a module here with `SUMMARY`, `add_arguments` and `main`."""

from __future__ import annotations

import argparse
import importlib
import sys

from otel_kpi._version import __version__

_COMMANDS = ("bootstrap", "doctor", "redact", "run", "sentry-tunnel", "settings", "stack")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["run"]:
        # Not through argparse: every word after `run` is the application's, whatever it looks like.
        from otel_kpi.cli.run import execute

        return execute(given[1:])
    parser = argparse.ArgumentParser(
        prog="otel-kpi", description="See what a Python system does: traces, metrics, logs, errors."
    )
    parser.add_argument("--version", action="version", version=f"otel-kpi {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in _COMMANDS:
        module = importlib.import_module(f"otel_kpi.cli.{name.replace('-', '_')}")
        command = commands.add_parser(name, help=module.SUMMARY, description=module.SUMMARY)
        module.add_arguments(command)
        command.set_defaults(main=module.main)
    parsed = parser.parse_args(given)
    return int(parsed.main(parsed))
