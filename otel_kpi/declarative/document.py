"""The file as a tree of elements, each of which is honoured or named.

Whoever translates an element takes it. What nobody has taken at the end is one line with its path, so that nothing
in a file is passed over in silence.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator


_MOST_ELEMENTS = 100_000


class Unreadable(Exception):  # noqa: N818 - it says what the file is
    """The file cannot be used; the text says why."""


class Element:
    """An element of the file.

    Args:
        value: As upstream's reader gives it: its model, a list, a mapping or a plain value.
        path: How a person finds it.
        lines: What is to be said of the file, shared by all its elements.
    """

    def __init__(self, value: Any, path: str = "", lines: list[str] | None = None) -> None:
        self.value = value
        self.path = path
        self._lines: list[str] = [] if lines is None else lines
        self._taken: set[str] = set()
        self._known: set[str] = set()

    def _below(self, name: str, value: Any) -> Element:
        path = f"{self.path}{name}" if name.startswith("[") or not self.path else f"{self.path}.{name}"
        element = Element(value, path, self._lines)
        element._taken, element._known = self._taken, self._known
        return element

    def parts(self) -> list[Element]:
        """The elements directly below, those that are set."""
        self._known.add(self.path)
        return [self._below(name, value) for name, value in _children(self.value)]

    def part(self, *names: str) -> Element | None:
        """The element at a path below, by the names of the file; None when it is absent."""
        element: Element | None = self
        for name in names:
            element = next((part for part in element.parts() if part.name == name), None) if element else None
        return element

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2] if not self.path.endswith("]") else self.path

    def take(self) -> Any:
        """Honour the element with all that is below; gives its value."""
        self._taken.add(self.path)
        return self.value.value if isinstance(self.value, Enum) else self.value

    def refuse(self, reason: str) -> None:
        """Say why the element is not honoured."""
        self._taken.add(self.path)
        self._lines.append(f"{self.path} is not honoured: {reason}")

    def lines(self) -> tuple[str, ...]:
        """What was refused, and what nobody has taken."""
        forgotten = _forgotten(self, self._taken, frozenset(self._known))
        return (
            *self._lines,
            *(f"{path} is not honoured: otel-kpi has nothing like it" for path in forgotten),
        )


def _forgotten(element: Element, taken: set[str], known: frozenset[str]) -> list[str]:
    """The paths that nobody has taken: an element as a whole where nobody knew what is below it."""
    if element.path in taken or _is_void(element.value):
        return []
    below = element.parts() if element.path in known else []
    return [path for part in below for path in _forgotten(part, taken, known)] if below else [element.path]


def _is_void(value: Any) -> bool:
    """Whether a part of the file says nothing; an empty mapping, though, may choose a component by its name."""
    is_model = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return value == [] or (is_model and not any(_children(value)))


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            below = getattr(value, field.name)
            if below is not None:
                yield _name_in_file(field.name), below
        yield from getattr(value, "additional_properties", {}).items()
    elif isinstance(value, dict):
        yield from ((str(name), below) for name, below in cast("dict[Any, Any]", value).items())
    elif isinstance(value, list):
        yield from ((f"[{index}]", below) for index, below in enumerate(cast("list[Any]", value)))


def _name_in_file(name: str) -> str:
    # The schema writes `otlp_file/development`, which is no name in Python.
    return f"{name.removesuffix('_development')}/development" if name.endswith("_development") else name


def read_document(path: str) -> Element:
    """Read a file, with its environment variables replaced, and check it against the schema.

    Raises:
        Unreadable: It cannot be used.
    """
    try:
        from opentelemetry.configuration import load_config_file
    except ImportError as error:
        raise Unreadable("it needs: pip install 'otel-kpi[config]'") from error
    # Upstream logs each mistake, some with a traceback, and raises it as well.
    logger = logging.getLogger("opentelemetry.configuration.file._loader")
    logger.addFilter(_is_no_error)
    try:
        document = load_config_file(path)
    except Exception as error:
        raise Unreadable(" ".join(str(error).split())) from error
    finally:
        logger.removeFilter(_is_no_error)
    if not _is_bounded(document):
        raise Unreadable(f"it has more than {_MOST_ELEMENTS} elements, its aliases followed")
    return Element(document)


def _is_bounded(document: Any) -> bool:
    """Whether it can be walked: ten lines of aliases of aliases are more elements than there is memory."""
    left = _MOST_ELEMENTS
    waiting = [document]
    while waiting:
        left -= 1
        below = [child for _, child in itertools.islice(_children(waiting.pop()), left + 1)]
        if len(below) + len(waiting) > left:
            return False
        waiting += below
    return True


def _is_no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR
