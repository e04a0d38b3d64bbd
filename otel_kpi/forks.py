"""What has to begin anew in a forked child: locks, threads, counts that are its parent's. A leaf."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(callback: Callable[[], object]) -> None:
    """Have `callback` called in each forked child, from now on; where there is no fork, on Windows, it never is."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=callback)
