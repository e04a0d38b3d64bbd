"""The configuration files and Go modules that travel with the package."""

from __future__ import annotations

import contextlib
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from importlib.resources.abc import Traversable
    from pathlib import Path


def shipped(*parts: str) -> Traversable:
    """A shipped file or directory, for example ``shipped("collector", "collector.yaml")``."""
    return files("otel_kpi").joinpath("_files", *parts)


@contextlib.contextmanager
def shipped_directory(*parts: str) -> Generator[Path]:
    """A shipped directory as a real path, also where the package is not unpacked on disk."""
    with as_file(shipped(*parts)) as path:
        yield path
