"""The command `otel-kpi`. Each command is a module here with `SUMMARY`, `add_arguments` and `main`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import select
import sys

from otel_kpi._version import __version__

_NOBODY_READS = 128 + 13
"""The status that a shell gives for SIGPIPE, by which programs without a word to say about it end."""
_INTERRUPTED = 128 + 2
"""The same for Ctrl-C; a command that has something to end by then does so itself."""

_COMMANDS = (
    "bootstrap",
    "catalogue",
    "cost",
    "dev",
    "doctor",
    "generate",
    "prices",
    "redact",
    "run",
    "sentry-tunnel",
    "settings",
    "stack",
    "view",
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["run"]:
        # Not through argparse: every word after `run` is the application's, whatever it looks like.
        from otel_kpi.cli.run import execute

        return execute(given[1:])
    try:
        status = _execute(given)
        sys.stdout.flush()
    except SystemExit:  # of argparse, after `--help`
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        _nobody_reads()
        raise
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return _NOBODY_READS
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _execute(given: list[str]) -> int:
    if given[:1] == ["dev"]:
        # As `run`: what stands after its `--` is the application's.
        from otel_kpi.cli.dev import execute

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


def _nobody_reads() -> bool:
    """Say whether standard output leads nowhere, as after `| head`; then what is left for it is thrown away."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    # Not by writing once more: Python forgets what it could not write.
    poll = select.poll()
    poll.register(output, 0)
    if not any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0)):
        return False
    # The interpreter flushes when it ends, and would complain.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, output)
    os.close(nowhere)
    return True
