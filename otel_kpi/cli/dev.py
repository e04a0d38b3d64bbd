"""`otel-kpi dev [options] -- <command …>`: see what a system on this machine does, with pip alone."""

from __future__ import annotations

import argparse
import importlib
import re
import secrets
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.cli.run import ignores_launchers

if TYPE_CHECKING:
    from collections.abc import Sequence

SUMMARY = "Start a program and see what it does: receives, keeps and shows telemetry on this machine."

_USAGE = """otel-kpi dev [options] [-- command …]
       otel-kpi dev sql|export|import …"""
_EXAMPLES: Final = """\
  otel-kpi dev -- uvicorn shop.main:app          the page is at http://127.0.0.1:4318/
  otel-kpi dev --open -- python manage.py runserver
  otel-kpi dev                                   listens; others send to it
  otel-kpi dev sql|export|import --help          on what is kept
"""
_PORT_DIGITS: Final = 5
_EXTRA: Final = ("h2", "httptools", "jinja2", "orjson", "rich", "starlette", "uvicorn")
_TOOLS: Final = ("sql", "export", "import")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_BYTES: Final = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """For the list of commands alone; the words after `dev` never reach this parser."""
    parser.add_argument("words", nargs="*", metavar="command", help="the program and its arguments")


def main(args: argparse.Namespace) -> int:
    """Run a session; the command line takes `dev` before argparse sees it, and calls `execute` itself."""
    return execute(args.words)


def execute(words: list[str]) -> int:
    """Run a session, or one of the commands on a store.

    Returns:
        The command's exit status; 2 for options that are none, 1 when the server cannot start.
    """
    if words[:1] and words[0] in _TOOLS:
        return _tool(words[0], words[1:])
    before, command = split(words)
    parser = _parser()
    args, rest = parser.parse_known_args(before)
    if rest:
        parser.error(_unknown(before, rest))
    if status := missing_extra("dev"):
        return status
    if command and (ignoring := ignores_launchers(command)) is not None:
        print(
            f"otel-kpi dev: {ignoring} keeps Python from loading telemetry; call otel_kpi.configure() instead",
            file=sys.stderr,
        )
    from otel_kpi.dev.launcher import Options, configure_logging, needs_token, run

    configure_logging()
    token: str = args.token or (secrets.token_urlsafe(24) if needs_token(args.host) else "")
    return run(
        Options(
            command=tuple(command),
            port=args.port,
            host=args.host,
            token=token,
            store=args.store,
            memory=args.memory,
            open_page=args.open,
            stay=args.stay or args.open,
            quiet=args.quiet,
            as_json=args.json,
            **dict(args.keep),
        )
    )


def _tool(name: str, words: list[str]) -> int:
    module = importlib.import_module(f"otel_kpi.cli.dev_{name}")
    parser = argparse.ArgumentParser(f"otel-kpi dev {name}", description=module.SUMMARY)
    module.add_arguments(parser)
    args = parser.parse_args(words)
    return missing_extra(f"dev {name}") or int(module.main(args))


def _unknown(before: Sequence[str], rest: Sequence[str]) -> str:
    if rest[0].startswith("-"):
        return f"unknown option {rest[0]}"
    place = list(before).index(rest[0])
    whole = shlex.join(("otel-kpi", "dev", *before[:place], "--", *before[place:]))
    return f"-- stands before the command: {whole}"


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our options, and the command after the first `--`, untouched."""
    if "--" not in words:
        return list(words), []
    place = list(words).index("--")
    return list(words[:place]), list(words[place + 1 :])


def missing_extra(command: str) -> int:
    """Say what to install; returns the exit status, 0 when nothing is missing."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if not missing:
        return 0
    print(
        f"otel-kpi {command}: {', '.join(missing)} missing: pip install 'otel-kpi[dev]'",
        file=sys.stderr,
    )
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "otel-kpi dev",
        usage=_USAGE,
        description=SUMMARY,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--port",
        type=port,
        metavar="N",
        help="where it listens (default: 4318, or a free one where that is taken; 0: a free one)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="H",
        help="listen there, with a token (default: this machine alone)",
    )
    parser.add_argument(
        "--token",
        type=_token,
        metavar="T",
        help="what every request must carry (default: one is made for --host)",
    )
    parser.add_argument(
        "--store", type=Path, metavar="FILE", help="where it is kept (default: .otel-kpi/dev.db)"
    )
    parser.add_argument("--memory", action="store_true", help="keep it until the end, and no longer")
    parser.add_argument(
        "--keep",
        type=_kept,
        action="append",
        default=[],
        metavar="LIMIT",
        help="how long (3d) or how much (500MB) is kept; may be given twice (default: a week, 2 GiB)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser, and stay")
    parser.add_argument("--stay", action="store_true", help="go on when the command has ended, until Ctrl-C")
    parser.add_argument("--quiet", action="store_true", help="print problems alone")
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each trace, and for the summary"
    )
    return parser


def port(text: str) -> int:
    """Read the number of a port.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isascii() or not text.isdigit() or len(text) > _PORT_DIGITS or int(text) >= 2**16:
        raise argparse.ArgumentTypeError(f"{text}: a port is 0 to 65535")
    return int(text)


def _token(text: str) -> str:
    # It goes through headers, cookies and addresses, which agree on no other characters.
    if not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("a token has ASCII letters, digits and signs, and no spaces")
    return text


def _kept(text: str) -> tuple[str, Any]:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)", text.strip())
    unit = found[2].lower() if found else ""
    if found and unit in _SECONDS:
        return "keep_seconds", float(found[1]) * _SECONDS[unit]
    if found and unit in _BYTES:
        return "keep_bytes", int(float(found[1]) * _BYTES[unit])
    raise argparse.ArgumentTypeError(f"{text}: an age is 30m, 12h, 3d or 2w, a size 500MB or 2GB")
