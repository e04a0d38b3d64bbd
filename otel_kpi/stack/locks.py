"""A lock between processes that its owner's death releases."""

from __future__ import annotations

import contextlib
import fcntl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

_POLL_SECONDS = 0.1


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Generator[None]:
    """Hold the lock at ``path`` for the duration of the block.

    Args:
        path: The lock file; made when absent.
        waiting: Called again and again while another process holds it.
    """
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                time.sleep(_POLL_SECONDS)
            else:
                break
        yield
