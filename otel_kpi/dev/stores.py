"""Which store a session has: the folder's, one of its own where another session has that, or memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.store import Store
from otel_kpi.dev.store.files import InUseError, StoreError
from otel_kpi.dev.store.readers import Readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.dev.intake import Committed
    from otel_kpi.dev.launcher import Options
    from otel_kpi.dev.telemetry import Request

FOLDER: Final = Path(".otel-kpi")
DEFAULT: Final = FOLDER / "dev.db"
"""The store of a folder."""
_OTHERS: Final = 9


def open_store(options: Options) -> tuple[Store, str]:
    """Open the store that was asked for; returns it and what a person is told of it.

    Raises:
        StoreError: It cannot be opened; see `Store`.
        OSError: Its folder cannot be made.
    """
    limits: dict[str, Any] = {}
    if options.keep_bytes is not None:
        limits["most_bytes"] = options.keep_bytes
    if options.keep_seconds is not None:
        limits["most_seconds"] = options.keep_seconds
    if options.memory:
        return Store(None, **limits), "kept in memory"
    if options.store is not None:
        return Store(in_its_folder(options.store), **limits), f"kept in {options.store}"
    try:
        return Store(in_its_folder(DEFAULT), **limits), f"kept in {DEFAULT}"
    except InUseError as error:
        return _another(error, limits)


def _another(first: InUseError, limits: dict[str, Any]) -> tuple[Store, str]:
    """A store beside the folder's, which another session has."""
    for number in range(2, _OTHERS + 1):
        path = DEFAULT.with_name(f"{DEFAULT.stem}-{number}{DEFAULT.suffix}")
        try:
            return Store(path, **limits), f"kept in {path}, since {first}"
        except InUseError:
            continue
    raise first


def in_its_folder(path: Path) -> Path:
    """The path of a store, whose folder is made ready if it is that of stores."""
    if path.parent.name == FOLDER.name:
        prepare(path.parent)
    return path


def prepare(folder: Path) -> None:
    """Make the folder, for its owner alone, and keep it out of version control."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    try:
        # Not where there is one: a person may have had a reason.
        descriptor = os.open(ignore, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.write("*\n")


class ReadStore(Store):
    """A store that is looked at, whoever writes it.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:  # pyright: ignore[reportMissingSuperCall] - it opens nothing to write
        self.path = path
        self._readers = Readers(path)

    def write(self, requests: Sequence[Request[Any]]) -> Committed:  # noqa: ARG002 - as a store has it
        """Nothing is written here."""
        raise StoreError(f"{self.path} is only looked at")

    def close(self) -> None:
        """End."""
        self._readers.close()
