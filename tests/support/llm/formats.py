"""Which module speaks for a path: every module of this package that has `matches`, highest `PRIORITY` first.

A format is a module of its own with three functions:

- `matches(asked: Asked) -> bool`, whether the request is in its format;
- `reply(asked: Asked, answer: Answer) -> Reply`, the answer in that format;
- `error(answer: Answer) -> object`, the JSON of a failure.

and, where two formats share a path, a `PRIORITY` above 0 for the one that looks closer (at the headers, say).
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked, Reply


class Format(Protocol):
    """What a module of a format has."""

    def matches(self, asked: Asked, /) -> bool: ...

    def reply(self, asked: Asked, answer: Answer, /) -> Reply: ...

    def error(self, answer: Answer, /) -> object: ...


@functools.cache
def formats() -> tuple[Format, ...]:
    """Every format, in the order in which they are asked."""
    names = sorted(found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]))
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    found = [module for module in modules if hasattr(module, "matches")]
    found.sort(key=lambda module: -getattr(module, "PRIORITY", 0))
    return tuple(cast("Format", module) for module in found)


def format_of(asked: Asked) -> Format | None:
    """The format of a request; `None` when nobody knows the path."""
    return next((each for each in formats() if each.matches(asked)), None)
