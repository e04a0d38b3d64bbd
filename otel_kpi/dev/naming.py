"""What a service is called that nobody has named: as a person would call what was started.

By the words of the command alone. Of what is no Python program nothing is said, its own SDK has a rule for that; nor of
what starts several programs, since all of them would have the one name.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PYTHON: Final = re.compile(r"(python|pypy)[0-9.]*t?")
_DOTTED: Final = r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*"
_MODULE: Final = re.compile(_DOTTED)
_OBJECT: Final = re.compile(rf"(?!(?:python|unix|egg|file):)({_DOTTED}):[A-Za-z_][\w.]*(?:\(.*\))?")
"""`shop.main:app`, and not gunicorn's `unix:run.sock` or `python:settings`."""
_VARIABLE: Final = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)

_SERVERS: Final = frozenset((
    "arq", "daphne", "dramatiq", "granian", "gunicorn", "huey_consumer", "hypercorn", "taskiq", "uvicorn",
    "waitress-serve",
))  # fmt: skip
"""Programs that are given a module to serve."""
_APPLICATION: Final = {"celery": ("-A", "--app"), "flask": ("-A", "--app"), "django-admin": ("--settings",)}
"""Programs that are given it by an option."""
_VARIABLES: Final = {"flask": "FLASK_APP", "django-admin": "DJANGO_SETTINGS_MODULE"}
_FILES: Final = ("fastapi", "streamlit")
"""Programs that are given a command and then a file."""
_STARTERS: Final = frozenset((
    "circusd", "fab", "hatch", "honcho", "inv", "invoke", "nox", "supervisord", "tox", "watchfiles", "watchmedo",
))  # fmt: skip
"""Programs of Python that start others."""
_RUNNERS: Final[Mapping[tuple[str, ...], frozenset[str]]] = {
    ("env",): frozenset(("-u", "--unset", "-C", "--chdir")),
    ("nice",): frozenset(("-n",)),
    ("nohup",): frozenset(),
    ("opentelemetry-instrument",): frozenset(("--traces_exporter", "--metrics_exporter", "--logs_exporter")),
    ("otel-kpi", "run"): frozenset(),
    ("pdm", "run"): frozenset(("-p", "--project")),
    ("pipenv", "run"): frozenset(),
    ("poetry", "run"): frozenset(),
    ("uv", "run"): frozenset((
        "--directory", "--env-file", "--extra", "--group", "--only-group", "--package", "--project", "--python",
        "--with", "--with-editable", "--with-requirements", "-p", "-w",
    )),
}  # fmt: skip
"""What stands before the program, with those of its options that take a value in the next word."""
_FLAGS: Final = frozenset((
    "-i", "--all-extras", "--all-groups", "--frozen", "--isolated", "--locked", "--no-dev", "--no-project",
    "--no-sync", "--offline", "--quiet", "-q", "-s", "--script",
))  # fmt: skip
"""Their options that take none; behind one that is not known here nothing is guessed."""
_OPTIONS_WITH_VALUE: Final = "XW"
"""Of Python."""


def service_name(command: Sequence[str], here: str, environ: Mapping[str, str]) -> str | None:
    """What the service is called that a command starts; None where that is not ours to say.

    Args:
        command: The program and its arguments.
        here: The working directory.
        environ: In which it is started.
    """
    words = _behind_runners(list(command))
    if not words:
        return None
    if words[0] == "-m" or words[0].endswith(".py"):  # as `uv run` takes them
        return _of_python(words, here, environ)
    program = Path(words[0]).name
    if _PYTHON.fullmatch(program):
        return _of_python(words[1:], here, environ)
    known = _of_program(program, words[1:], here, environ)
    if known is not None or program in _SERVERS or program in _APPLICATION or program in _STARTERS:
        return known
    found = shutil.which(words[0], path=environ.get("PATH"))
    return program if found is not None and interpreter(found) is not None else None


def _behind_runners(words: list[str]) -> list[str]:
    """The command that runners before it start; nothing where that is not known."""
    while words:
        name = Path(words[0]).name
        found = next((each for each in _RUNNERS if (name, *words[1 : len(each)]) == each), None)
        if found is None:
            return words
        words = words[len(found) :]
        while words and (words[0].startswith("-") or (found == ("env",) and _VARIABLE.fullmatch(words[0]))):
            word = words[0]
            if word == "-m":
                return words
            if word in _RUNNERS[found]:
                words = words[2:]
            elif word == "--" or "=" in word or word in _FLAGS:
                words = words[1:]
            else:
                return []
    return words


def _of_python(words: Sequence[str], here: str, environ: Mapping[str, str]) -> str | None:
    """By the arguments of an interpreter."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        for place, letter in enumerate(word[1:], 2):
            value = word[place:]
            if letter == "m":
                arguments = [value, *rest] if value else rest
                return _of_module(arguments[0], arguments[1:], here, environ) if arguments else None
            if letter in _OPTIONS_WITH_VALUE:
                rest = rest if value else rest[1:]
                break
            if letter in "c-":
                return None
        if word == "-":
            return None
    if not rest:
        return None
    program = Path(rest[0]).name
    return _of_program(program, rest[1:], here, environ) or _of_file(rest[0], here)


def _of_module(module: str, arguments: Sequence[str], here: str, environ: Mapping[str, str]) -> str | None:
    if module in _SERVERS or module in _APPLICATION or module in _FILES:
        return _of_program(module, arguments, here, environ)
    return _package(module)


def _of_program(program: str, words: Sequence[str], here: str, environ: Mapping[str, str]) -> str | None:
    """By what a program is given that serves what others have written; None of other programs."""
    if program in _SERVERS:
        return _served(words)
    if program in _FILES:
        file = next((word for word in words[1:] if word.endswith(".py")), None)
        return _of_file(file, here) if file is not None else None
    if program in _APPLICATION:
        given = _value(words, _APPLICATION[program]) or environ.get(_VARIABLES.get(program, ""), "").strip()
        if not given and program == "flask":
            given = next((name for name in ("wsgi.py", "app.py") if Path(here, name).is_file()), "")
        return _of_application(given, here) if given else None
    return None


def _served(words: Sequence[str]) -> str | None:
    """The package of `module:object`, or of a module that stands alone."""
    objects = [found[1] for word in words if (found := _OBJECT.fullmatch(word))]
    if objects:
        return _package(objects[0])
    before = ["", *words]
    modules = [(word, before[place]) for place, word in enumerate(words) if _MODULE.fullmatch(word)]
    # What follows an option may be its value: taken last, and then only where it has the look of a module.
    alone = [word for word, last in modules if not last.startswith("-")]
    dotted = [word for word, _ in modules if "." in word]
    chosen = alone or dotted[-1:]
    return _package(chosen[-1]) if chosen else None


def _value(words: Sequence[str], options: Sequence[str]) -> str:
    """What an option was given."""
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word in options:
            return after
        name, separator, value = word.partition("=")
        if separator and name in options:
            return value
    return ""


def _of_application(given: str, here: str) -> str | None:
    path = given.partition(":")[0]
    if path.endswith(".py") or os.sep in path:
        return _of_file(path, here)
    return _package(path) if _MODULE.fullmatch(path) else None


def _of_file(path: str, here: str) -> str | None:
    """A script's name; a folder's, where the file is called as all of its kind are."""
    file = Path(here, path)
    # Not `resolve`: a link is called as it is called.
    whole = Path(os.path.normpath(file))
    if whole.stem in {"__main__", "manage"}:
        whole = whole.parent
        return whole.name or None
    return (whole.name if whole.is_dir() else whole.stem) or None


def _package(module: str) -> str | None:
    parts = [part for part in module.split(".") if part not in {"src", "__main__"}]
    return parts[0] if parts else None


def interpreter(program: str) -> str | None:
    """The Python that a program is, or that its first line names; None of what is no Python."""
    path = Path(program)
    if _PYTHON.fullmatch(path.name):
        return program
    try:
        with path.open("rb") as file:
            line = file.readline(512)
    except OSError:
        return None
    words = line[2:].decode("utf-8", "replace").split() if line.startswith(b"#!") else []
    # `#!/usr/bin/env python` depends on the PATH, as the program itself will.
    name = words[1] if len(words) > 1 and words[0].endswith("/env") else (words[0] if words else "")
    return name if _PYTHON.fullmatch(Path(name).name) else None
