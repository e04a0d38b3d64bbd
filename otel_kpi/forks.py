"""What has to begin anew in a forked child: locks, threads, counts that are its parent's. A leaf."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def in_child(callback: Callable[[], object]) -> None:
    """Have `callback` called in each forked child, from now on; where there is no fork, on Windows, it never is."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=callback)


def start(thread: Callable[[], object]) -> None:
    """Have a thread started in a forked child, by something that calls `Thread.start`.

    Under gevent that waits for the thread, and lets every other greenlet of the parent's go on in the child meanwhile. In
    a child that is forked to become another program, as gevent's `subprocess` forks one, they would start theirs anew,
    and each of those again. So it is started there when the child first waits for something by itself.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        sys.modules["gevent"].spawn_raw(thread)
    else:
        thread()
